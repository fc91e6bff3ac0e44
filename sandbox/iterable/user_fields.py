"""The data fields of people: stored, and checked against the project's types."""

from __future__ import annotations

from typing import Any

from sandbox.iterable import scripted_outcomes
from sandbox.iterable.scripted_outcomes import Failure
from sandbox.iterable.state import Project


def refused(project: Project, data: dict[str, Any], email: str | None, user_id: str | None) -> Failure | None:
    """Return the failure of a person with invalid data: a field of another type, or a malformed email."""
    if not data:
        return None
    if "email" in data and not (
        isinstance(data["email"], str) and scripted_outcomes.valid_email(data["email"].lower())
    ):
        return Failure("invalidEmails", str(data["email"]))
    if any(project.data_fields.get(name, _kind(value)) != _kind(value) for name, value in data.items()):
        return (
            Failure("invalidDataEmails", email) if email is not None else Failure("invalidDataUserIds", user_id or "")
        )
    return None


def store(project: Project, number: int, data: dict[str, Any], merge: bool) -> set[str]:
    """Store a person's data. Returns the fields that are new in the project."""
    created = data.keys() - project.data_fields.keys()
    project.data_fields.update({name: _kind(data[name]) for name in created})
    kept = project.data.setdefault(number, {})
    for name, value in data.items():
        before = kept.get(name)
        if merge and isinstance(value, dict) and isinstance(before, dict):
            kept[name] = {**before, **value}
        else:
            kept[name] = value
    return created


def _kind(value: object) -> str:
    """Return the type of a value; all numbers have the same type."""
    return "float" if type(value) is int else type(value).__name__
