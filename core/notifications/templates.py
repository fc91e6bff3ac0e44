"""Templates of webhooks: what is sent instead of the event, for services that expect another form.

A template is a JSON object: for a type of event (or "*" for all others) it has the `body`, and optionally a `path` that
is appended to the webhook's address. In their texts, `{{alert.message}}` stands for that value of the event; a text
that is nothing but one of these becomes the value itself. A type that it does not have is not sent.
"""

import json
import re
from typing import Any
from urllib.parse import quote

from core.errors import ValidationError
from core.notifications.answer import DeliverySkippedError

_PLACE = re.compile(r"\{\{\s*([a-z_]+(?:\.[a-z_]+)*)\s*\}\}")
#: The most characters of a template.
LIMIT = 20_000

#: Templates of services. Opsgenie: https://docs.opsgenie.com/docs/alert-api (create, close by alias; `message` has 130
#: characters, and longer ones are cut). Datadog: https://docs.datadoghq.com/api/latest/events/ (v1, DD-API-KEY).
KNOWN: dict[str, dict[str, Any]] = {
    "opsgenie": {
        "alert.opened": {
            "path": "/v2/alerts",
            "body": {
                "message": "Iterable Sync: {{mapping.audience}} ({{alert.code}})",
                "alias": "{{alert.key}}",
                "description": "{{alert.message}}",
                "source": "iterable-sync",
                "details": {"connection": "{{connection.name}}", "alert": "{{alert.id}}"},
            },
        },
        "alert.resolved": {
            "path": "/v2/alerts/{{alert.key}}/close?identifierType=alias",
            "body": {"source": "iterable-sync"},
        },
        "test": {"path": "/v2/alerts", "body": {"message": "Test of Iterable Sync", "source": "iterable-sync"}},
    },
    "datadog": {
        "alert.opened": {
            "path": "/api/v1/events",
            "body": {
                "title": "Iterable Sync: {{mapping.audience}}",
                "text": "{{alert.message}}",
                "alert_type": "error",
                "aggregation_key": "{{alert.key}}",
                "tags": ["service:iterable-sync", "code:{{alert.code}}"],
            },
        },
        "alert.resolved": {
            "path": "/api/v1/events",
            "body": {
                "title": "Iterable Sync: {{mapping.audience}} works again",
                "text": "{{alert.message}}",
                "alert_type": "success",
                "aggregation_key": "{{alert.key}}",
                "tags": ["service:iterable-sync", "code:{{alert.code}}"],
            },
        },
        "test": {"path": "/api/v1/events", "body": {"title": "Test of Iterable Sync", "text": "It works."}},
    },
}


def check(text: str) -> str:
    """Return a template as JSON: a known one by its name, or the text. Raises ValidationError if it is invalid."""
    if text in KNOWN:
        return json.dumps(KNOWN[text])
    try:
        template = json.loads(text) if len(text) <= LIMIT else None
    except (ValueError, RecursionError):
        template = None
    if not isinstance(template, dict) or not all(
        isinstance(part, dict) and "body" in part for part in template.values()
    ):
        raise ValidationError(
            'A template is a JSON object with a "body" for each type of event, such as '
            '{"alert.opened": {"body": {"text": "{{alert.message}}"}}}. Or name one: opsgenie, datadog.'
        )
    return json.dumps(template)


def render(template: str, url: str, event: dict[str, Any]) -> tuple[str, Any]:
    """Return the address and the body for an event. Raises DeliverySkippedError if the template has none for it."""
    parts = json.loads(template)
    part = parts.get(event["type"], parts.get("*"))
    if part is None:
        raise DeliverySkippedError
    path = _PLACE.sub(lambda match: quote(_text(_value(event, match[1])), safe=""), str(part.get("path", "")))
    return url.rstrip("/") + path if path else url, _filled(part["body"], event)


def _filled(content: Any, event: dict[str, Any]) -> Any:
    if isinstance(content, dict):
        return {key: _filled(value, event) for key, value in content.items()}
    if isinstance(content, list):
        return [_filled(value, event) for value in content]
    if not isinstance(content, str):
        return content
    if (whole := _PLACE.fullmatch(content)) is not None:
        return _value(event, whole[1])
    return _PLACE.sub(lambda match: _text(_value(event, match[1])), content)


def _value(event: dict[str, Any], path: str) -> Any:
    """Return a value of the event, or None if it has none there."""
    value: Any = event
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)
