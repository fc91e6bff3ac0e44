"""Writes the JSON Schema of the configuration file, and the page of its names: `python -m tools.configuration`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.configuration.json_schema import schema_text
from core.configuration.model import schema

_FOLDER = Path(__file__).parents[1] / "docs" / "reference"
PATH = _FOLDER / "configuration.schema.json"
PAGE = _FOLDER / "configuration.md"

_HEAD = """\
# Configuration file

What a [configuration file](../howto/configuration-as-code.md) may contain. `python -m tools.configuration` writes this
page and [the JSON Schema](configuration.schema.json) from the code. What a file leaves out has its default. A name that
is not on this page is an error.
"""
_FILE = "ConfigurationFile"
#: The objects in the order of the page, with their headings.
_HEADINGS: Mapping[str, str] = {
    _FILE: "The file",
    "Connection": "Connection",
    "Mapping": "Mapping",
    "Limits": "Limits",
    "Exclusions": "Exclusions",
    "Source": "Source",
    "Schedule": "Schedule",
    "CampaignFreeze": "Campaign freeze",
    "AlertRules": "Alert rules",
    "WebhookRoute": "Route to a webhook",
    "PagerDutyRoute": "Route to PagerDuty",
    "EmailRoute": "Route by e-mail",
    "SlackRoute": "Route in Slack",
    "Reference": "Reference to a secret",
}
_PEOPLE = "ids in Slack (`U...`, `S...`), email addresses, or handles of groups"
#: What names mean that have no description in the schema. A name alone means the same in each object.
_MEANINGS: Mapping[str, str] = {
    "version": "The version of the format.",
    "connections": "Iterable projects, by name.",
    "routes": "Receivers of alerts and events, by name.",
    "data_center": "Where the Iterable project is.",
    "user_id": "The [User ID setting](identity.md).",
    "alert_channel": "The id of the Slack channel for alerts and live audiences.",
    "approvers": f"Who approves: {_PEOPLE}.",
    "self_approval": "Whether people may approve their own requests.",
    "merge_profiles": "Whether [placeholders are merged](identity.md#placeholders-whose-address-is-taken).",
    "alert_rules": "Rules that differ from the default.",
    "Connection.mappings": "Audiences and their lists, each by a key that never changes.",
    "audience": "Its name or id in mParticle. Left out: that of its first file.",
    "name": "What people call the mapping. Left out: the name of its audience.",
    "Mapping.channel": "The id of the Slack channel that shows its syncs.",
    "mode": "What a file says: all members, changes, or additions only. `auto`: by its format.",
    "removals": "What happens to people who leave the audience.",
    "limits": "What a sync may change without approval.",
    "fields": "Columns that are sent as [data fields](data-fields.md): the column, and the name of the field.",
    "exclude": "Who is kept off the list.",
    "campaign_freeze": "Freezes the mapping before campaigns to its list.",
    "source": "Where its files come from.",
    "schedules": "When it is synced, by name. They need a source.",
    "archived": "Whether nothing of it is synced.",
    "domains": "Email domains, with their subdomains.",
    "files": "Files of people, or their addresses.",
    "address": "A folder, a prefix, a pattern or a file.",
    "columns": "The columns that hold `email`, `customer_id` and `mpid`, if they have other names.",
    "sheet": "The sheet of an Excel workbook.",
    "archive": "The folder to which a file is moved after its sync.",
    "existing": "Which of the files that are there at first are synced.",
    "cron": "A cron expression of five fields.",
    "new_file": "Syncs each new file of the source.",
    "time_zone": "The time zone of its times.",
    "missed": "What to do about times at which no process ran.",
    "quiet_from": "The time of day from which on nothing starts, such as `22:00`.",
    "quiet_to": "The time of day until which nothing starts.",
    "before_minutes": "How long before a campaign the freeze begins.",
    "holds": "Which changes wait.",
    "kind": "The kind of the route.",
    "events": "Events, such as `run.failed`, or `run.*` for all of runs.",
    "headers": "Headers, with references to their values.",
    "fallback": "Whether it gets only alerts that Slack has not shown.",
    "url": "The address of PagerDuty's Events API.",
    "routing_key": "The routing key of the integration.",
    "recipients": "Email addresses.",
    "sender": "The sender. Left out: the user in the address of the server.",
    "password": "The password of that user.",
    "SlackRoute.channel": "The id of a channel or a person.",
    "rejected_share": "Percent of the members that were rejected.",
    "new_reason": "Members that were rejected for a new reason.",
    "deviation": "Percent by which a sync deviates.",
    "run_time": "Minutes that a sync takes.",
    "overdue": "Hours without a sync that succeeded.",
    "backlog": "Minutes for which live changes wait.",
    "drift": "People who are missing on the list, or extra.",
}


def page() -> str:
    """Return the page. Raises KeyError if a name has no meaning, or an object no heading."""
    content = schema()
    objects = {_FILE: content} | {name: each for name, each in content["$defs"].items() if each.get("type") == "object"}
    ordered = {name: objects.pop(name) for name in _HEADINGS}
    if objects:
        raise KeyError(*objects)
    return _HEAD + "".join(_section(name, each, content["$defs"]) for name, each in ordered.items())


def _section(name: str, described: Mapping[str, Any], types: Mapping[str, Any]) -> str:
    required = described.get("required", ())
    lines = [
        f"\n## {_HEADINGS[name]}\n",
        f"{described['description']}\n",
        "| name | value | default | meaning |",
        "|---|---|---|---|",
        *(
            f"| `{key}` | {_value(value, types)} | {_default(value, is_required=key in required)} "
            f"| {_description(value) or _MEANINGS.get(f'{name}.{key}') or _MEANINGS[key]} |"
            for key, value in described["properties"].items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _description(value: Mapping[str, Any]) -> str:
    """Return the description of a value, or of its only form."""
    inner = (each.get("description", "") for each in value.get("anyOf", ()))
    return str(value.get("description") or next(filter(None, inner), ""))


def _default(value: Mapping[str, Any], *, is_required: bool) -> str:
    if is_required:
        return "required"
    match value.get("default"):
        case None | [] | dict():
            return ""
        case bool(default):
            return f"`{str(default).lower()}`"
        case [*many]:
            return ", ".join(f"`{each}`" for each in many)
        case default:
            return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _value(value: Mapping[str, Any], types: Mapping[str, Any]) -> str:
    """Return what a value may be, in words."""
    forms = [each for each in value.get("anyOf", value.get("oneOf", ())) if each.get("type") != "null"]
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        words = f"[{_HEADINGS[name]}](#{_anchor(name)})" if name in _HEADINGS else _value(types[name], types)
    elif forms:
        words = ", or ".join(_value(each, types) for each in forms)
    elif "enum" in value or "const" in value:
        words = ", ".join(f"`{each}`" for each in value.get("enum", [value.get("const")]))
    else:
        words = _of_type(value, types)
    return words


def _of_type(value: Mapping[str, Any], types: Mapping[str, Any]) -> str:
    match value.get("type"):
        case "object":
            each = value.get("additionalProperties") or next(iter(value["patternProperties"].values()))
            return f"by name: {_value(each, types)}"
        case "array":
            return f"list of {_value(value['items'], types)}"
        case "boolean":
            return "`true` or `false`"
        case "integer" | "number" as kind:
            return ("whole number" if kind == "integer" else "number") + _bounds(value)
        case _:
            return "text"


def _bounds(value: Mapping[str, Any]) -> str:
    least, most = value.get("minimum"), value.get("maximum")
    if least is None or most is None:
        return ""
    return f", {least:,} at least" if most > 10**9 else f", {least:,} to {most:,}"


def _anchor(name: str) -> str:
    return _HEADINGS[name].lower().replace(" ", "-")


if __name__ == "__main__":
    PATH.write_text(schema_text(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
