"""The data fields of people: kept, and checked as far as a project insists on a field's type."""

from __future__ import annotations

from typing import Any

from sandbox.iterable import scripted_outcomes
from sandbox.iterable.scripted_outcomes import Failure
from sandbox.iterable.state import Project


def refused(project: Project, data: dict[str, Any], email: str | None, user_id: str | None) -> Failure | None:
    """The failure of somebody whose data can't be taken: a field of another type, or a malformed email."""
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
    """Keeps a person's data, and returns the fields that the project had not seen before."""
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
    """A value's type as far as it matters: whole and broken numbers are one."""
    return "float" if type(value) is int else type(value).__name__
