"""The data fields of people: stored, and checked against the project's types.

The first value of a field fixes its type for the project; a value of another type is refused for its person. The types
are those that `GET /api/users/getFields` names: string, long, double, boolean, date, object. Text of the form
`2026-01-31 10:00:00 +00:00` is a date if it is the first value of its field, and a whole number fits into a field of
decimals. The values of an array have the field's type. null removes a value and has no type.

Sources: API description 1.8 (`getFields`, `createdFields`); `validationErrors` with `incomingTypes`
and `expectedType`, as public tests of other integrations saw them. That an array counts as its values is inferred.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Final

from sandbox.iterable import scripted_outcomes
from sandbox.iterable.scripted_outcomes import Failure
from sandbox.iterable.state import Project

#: The fields that every project has.
BUILT_IN: Final = {
    "email": "string",
    "userId": "string",
    "phoneNumber": "string",
    "signupDate": "date",
    "profileUpdatedAt": "date",
}
_DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d\d:\d\d")
_TYPES: Final[dict[type, tuple[str, ...]]] = {
    bool: ("boolean",),
    int: ("long", "double"),
    float: ("double",),
    str: ("string",),
    dict: ("object",),
}
# People with data fields that the overview shows.
_SHOWN = 5


def types_of(project: Project) -> dict[str, str]:
    """Return the type of each field of a project, as `getFields` does."""
    return BUILT_IN | project.data_fields


def refused(project: Project, data: dict[str, Any], email: str | None, user_id: str | None) -> Failure | None:
    """Return the failure of a person with invalid data: a field of another type, or a malformed email."""
    if not data:
        return None
    if "email" in data and not (
        isinstance(data["email"], str) and scripted_outcomes.valid_email(data["email"].lower())
    ):
        return Failure("invalidEmails", str(data["email"]))
    known = types_of(project)
    if any(name in known and not _fits(value, known[name]) for name, value in data.items()):
        return (
            Failure("invalidDataEmails", email) if email is not None else Failure("invalidDataUserIds", user_id or "")
        )
    return None


def store(project: Project, number: int, data: dict[str, Any], merge: bool) -> set[str]:
    """Store a person's data. Returns the fields that are new in the project."""
    known = types_of(project)
    created = {name: kinds[0] for name in data.keys() - known.keys() if (kinds := _types(data[name]))}
    project.data_fields.update(created)
    kept = project.data.setdefault(number, {})
    for name, value in data.items():
        before = kept.get(name)
        if value is None:
            kept.pop(name, None)
        elif merge and isinstance(value, dict) and isinstance(before, dict):
            kept[name] = {**before, **value}
        else:
            kept[name] = value
    return set(created)


def summary(project: Project) -> dict[str, Any]:
    """Return the fields of a project with the number of people who have each, and some of these people."""
    people = Counter(name for data in project.data.values() for name in data)
    shown = [number for number, data in project.data.items() if data][-_SHOWN:]
    profiles = [(*project.people.identity(number), project.data[number]) for number in shown]
    return {
        "fields": [{"name": name, "type": types_of(project)[name], "people": count} for name, count in people.items()],
        "profiles": [{"email": email, "userId": user_id, "dataFields": data} for email, user_id, data in profiles],
    }


def _fits(value: Any, expected: str) -> bool:
    if expected == "date":
        return value is None or (isinstance(value, str) and _DATE.fullmatch(value) is not None)
    types = _types(value)
    return not types or expected in types or (expected == "string" and types == ("date",))


def _types(value: Any) -> tuple[str, ...]:
    """Return the types that a value may have, the one that it gives to a new field first; none for null."""
    if isinstance(value, list):
        return next(filter(None, map(_types, value)), ())
    if isinstance(value, str) and _DATE.fullmatch(value):
        return ("date",)
    return () if value is None else _TYPES[type(value)]
