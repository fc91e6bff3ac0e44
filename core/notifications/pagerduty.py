"""PagerDuty: alerts as events of its Events API v2.

Source: https://developer.pagerduty.com/docs/events-api-v2-overview (POST /v2/enqueue; 202 is accepted, 400 an invalid
event or key, 429 and 5xx are to be sent again; a summary of up to 1,024 characters; events with the same `dedup_key`
are one incident).
"""

import json

from core.models.events import Event, EventType
from core.notifications import event_words, http_post
from core.notifications.answer import Answer, DeliverySkippedError
from core.notifications.route_secrets import RouteSecrets
from core.store.alert_rules import Rule

_PATH = "/v2/enqueue"
_SUMMARY_CHARACTERS = 1_024
# PagerDuty never takes the same event: it is invalid, or the routing key is.
_FINAL = frozenset({400, 410})


async def send(route: RouteSecrets, delivery_id: str, event: str) -> Answer:
    """Send an alert (JSON) to PagerDuty. Raises DeliverySkippedError for an event that it needs not to know.

    A test opens an incident of severity `info` and closes it at once.
    """
    parsed = Event.model_validate_json(event)
    if parsed.type is EventType.TEST:
        answer = await _post(route, "trigger", delivery_id, parsed)
        return await _post(route, "resolve", delivery_id, parsed) if answer.is_taken else answer
    if parsed.alert is None or parsed.alert.outcome == "replaced":  # another alert of the same key is open
        raise DeliverySkippedError
    action = "trigger" if parsed.type is EventType.ALERT_OPENED else "resolve"
    return await _post(route, action, f"iterable-sync:{parsed.alert.key}", parsed)


async def _post(route: RouteSecrets, action: str, key: str, event: Event) -> Answer:
    content: dict[str, object] = {"routing_key": route.secret, "event_action": action, "dedup_key": key}
    if action == "trigger":
        content |= {"client": "Iterable Sync", "payload": _payload(event)}
    headers = {"Content-Type": "application/json", "User-Agent": "iterable-sync"}
    return await http_post.post(route.url.rstrip("/") + _PATH, json.dumps(content).encode(), headers, final=_FINAL)


def _payload(event: Event) -> dict[str, object]:
    summary = f"{event_words.title(event)}. {event.alert.message}" if event.alert else event_words.title(event)
    is_rule = event.alert is not None and event.alert.code in list(Rule)
    details = {
        "workspace": event.workspace,
        "mapping": event.mapping.id if event.mapping else None,
        "list_id": event.mapping.list_id if event.mapping else None,
    }
    return {
        "summary": summary[:_SUMMARY_CHARACTERS],
        "source": event.connection.name if event.connection else "Iterable Sync",
        "severity": "info" if event.alert is None else "warning" if is_rule else "error",
        "timestamp": event.at.isoformat(),
        "component": event.mapping.audience if event.mapping else None,
        "class": event.alert.code if event.alert else "test",
        "custom_details": details,
    }
