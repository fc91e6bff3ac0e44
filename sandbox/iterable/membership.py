"""The effect of a batch of subscribers on a project: who is found, created or changed, and who fails and why.

The type of the project decides which person a subscriber identifies, as in Iterable's guide:

- email: emails are unique, user ids are not. The email decides, and the user id sent overwrites the
  person's; a user id alone identifies its first owner. If it is unknown, it fails, unless `preferUserId` creates
  a person with a placeholder email.
- userId: user ids are unique, emails are not. Only the user id decides; an email alone finds no one.
- hybrid: both are unique. Either finds the person and the other is filled in or changed, unless it
  belongs to another person: a conflict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.iterable import scripted_outcomes, user_fields
from sandbox.iterable.answers import REFUSALS
from sandbox.iterable.lists import MailingList
from sandbox.iterable.responses import bad_params
from sandbox.iterable.scripted_outcomes import CRASH, POISON, WHEN_UNSUBSCRIBING, Failure
from sandbox.iterable.state import Project

PLACEHOLDER: Final = "placeholder.email"


@dataclass(slots=True)
class Batch:
    """The subscribers of a request, in columns."""

    emails: list[Any]
    user_ids: list[Any]
    has_emails: bool  # every subscriber has one
    has_user_ids: bool
    extras: Sequence[dict[str, Any]] = ()  # the subscribers, if any has more than identifiers


@dataclass(slots=True)
class Outcome:
    """The people identified (by number), and the failures."""

    numbers: Sequence[int]
    failures: list[Failure] = field(default_factory=list)
    created_fields: set[str] = field(default_factory=set)


def upsert(project: Project, batch: Batch, *, existing_only: bool = False, unique_user_ids: bool = False) -> Outcome:
    """Find or create the people of a batch."""
    if not batch.extras and not existing_only:
        numbers = _upsert_plain(project, batch, unique_user_ids)
        if numbers is not None:
            return Outcome(numbers)
    return _upsert_each(project, batch, existing_only, unique_user_ids)


def remove(project: Project, target: MailingList, batch: Batch, at: float) -> Outcome:
    """Remove the people of a batch from the list. Those not on it count as not found."""
    numbers = _find_plain(project, batch)
    if numbers is not None and len(set(numbers)) == len(numbers) and target.members.issuperset(numbers):
        target.leave(numbers, at)
        return Outcome(numbers)
    outcome = Outcome([])
    leaving: dict[int, None] = {}
    lowered = _lowered(batch)
    verdicts = _verdicts(lowered, batch.user_ids)
    for email, user_id, verdict in zip(lowered, batch.user_ids, verdicts, strict=True):
        if verdict is not None and verdict.bucket in WHEN_UNSUBSCRIBING:
            outcome.failures.append(verdict)
            continue
        number = find(project, email, user_id)
        if number is None or number not in target.members or number in leaving:
            outcome.failures.append(forgotten(project, email, user_id) or not_found(project, email, user_id))
        else:
            leaving[number] = None
    outcome.numbers = list(leaving)
    target.leave(outcome.numbers, at)
    return outcome


def find(project: Project, email: str | None, user_id: str | None) -> int | None:
    """Return the number of the person that a subscriber identifies, or None."""
    people = project.people
    if email is not None and project.type != "userId":
        number = people.emails.first.get(email)
        if number is not None or project.type == "email":
            return number
    return None if user_id is None else people.user_ids.first.get(user_id)


def not_found(project: Project, email: str | None, user_id: str | None) -> Failure:
    """Return the failure of an unknown subscriber, under the identifier that decides."""
    by_user_id = user_id is not None and (email is None or project.type == "userId")
    return Failure("notFoundUserIds", user_id or "") if by_user_id else Failure("notFoundEmails", email or "")


def forgotten(project: Project, email: str | None, user_id: str | None) -> Failure | None:
    """Return the failure of a forgotten subscriber, or None."""
    if email in project.forgotten_emails:
        return Failure("forgottenEmails", email or "")
    if user_id in project.forgotten_user_ids:
        return Failure("forgottenUserIds", user_id or "")
    return None


def resolve(
    project: Project,
    email: str | None,
    user_id: str | None,
    *,
    prefer_user_id: bool = False,
    existing_only: bool = False,
    unique_user_ids: bool = False,
) -> int | Failure:
    """Find, change or create the person that a valid subscriber identifies."""
    people = project.people
    number = find(project, email, user_id)
    if number is None:
        if project.type == "email":
            if email is None and not prefer_user_id:
                return not_found(project, email, user_id)
            email = email or _placeholder(user_id or "")
        elif existing_only or (project.type == "userId" and user_id is None):
            return not_found(project, email, user_id)
    conflict = _conflict(project, number, email, user_id, unique_user_ids)
    if conflict is not None:
        return conflict
    if number is None:
        return people.add(email, user_id)
    if email is not None and project.type != "email":
        people.emails.set(number, email)
    if user_id is not None:
        people.user_ids.set(number, user_id)
    return number


def _conflict(
    project: Project, number: int | None, email: str | None, user_id: str | None, unique_user_ids: bool
) -> Failure | None:
    people = project.people
    if email is not None and project.type == "hybrid" and people.emails.first.get(email, number) != number:
        return Failure("conflictEmails", email)
    if user_id is None or (project.type == "email" and not unique_user_ids):
        return None
    if people.user_ids.first.get(user_id, number) != number:
        return Failure("conflictUserIds", user_id)
    if project.type == "hybrid" and number is not None and people.user_ids.values[number] not in {None, user_id}:
        return Failure("conflictEmails", email or "")
    return None


def _placeholder(user_id: str) -> str:
    """Return the email of a person created from a user id: the id itself if it can be an address."""
    email = f"{user_id}@{PLACEHOLDER}"
    if email == email.lower() and scripted_outcomes.valid_email(email):
        return email
    return f"{hashlib.sha256(user_id.encode()).hexdigest()[:32]}@{PLACEHOLDER}"


def _upsert_plain(project: Project, batch: Batch, unique_user_ids: bool) -> Sequence[int] | None:
    """Upsert the whole batch at once, if all people are new or all are known, and nothing needs a closer check.

    Returns None otherwise, without a change.
    """
    user_ids = batch.user_ids
    given = user_ids if batch.has_user_ids else [user_id for user_id in user_ids if user_id is not None]
    if not batch.has_emails or (project.type == "userId" and not batch.has_user_ids):
        return None
    emails = scripted_outcomes.plain_emails(batch.emails)
    if emails is None or not scripted_outcomes.plain_user_ids(given):
        return None
    if not project.forgotten_emails.isdisjoint(emails) or not project.forgotten_user_ids.isdisjoint(given):
        return None
    numbers = project.people.add_all_new(
        emails,
        user_ids,
        unique_emails=project.type != "userId",
        unique_user_ids=project.type != "email" or unique_user_ids,
    )
    return project.people.find_all(emails, user_ids) if numbers is None else numbers


def _find_plain(project: Project, batch: Batch) -> list[int] | None:
    """Return the people of a batch, or None.

    That is, if all are known by the identifier that decides, and the other identifier is plain.
    """
    people = project.people
    emails = [email for email in batch.emails if email is not None]
    user_ids = [user_id for user_id in batch.user_ids if user_id is not None]
    try:
        if project.type != "userId" and batch.has_emails:
            plain = scripted_outcomes.plain_user_ids(user_ids)
            return list(map(people.emails.first.__getitem__, map(str.lower, emails))) if plain else None
        if batch.has_user_ids and (not emails or (project.type == "userId" and scripted_outcomes.plain_emails(emails))):
            return list(map(people.user_ids.first.__getitem__, user_ids))
    except KeyError:
        pass
    return None


def _lowered(batch: Batch) -> list[str | None]:
    return [None if email is None else email.lower() for email in batch.emails]


def _verdicts(emails: list[str | None], user_ids: list[str | None]) -> list[Failure | None]:
    verdicts = list(map(scripted_outcomes.judge, emails, user_ids))
    if any(verdict is not None and verdict.bucket == POISON for verdict in verdicts):
        raise bad_params(scripted_outcomes.POISONED)
    crashing = next((verdict for verdict in verdicts if verdict is not None and verdict.bucket == CRASH), None)
    if crashing is not None:
        raise REFUSALS["500"].error(f"failed to create user {crashing.value}")
    return verdicts


def _upsert_each(project: Project, batch: Batch, existing_only: bool, unique_user_ids: bool) -> Outcome:
    numbers: list[int] = []
    outcome = Outcome(numbers)
    lowered = _lowered(batch)
    extras = batch.extras or [{}] * len(lowered)
    verdicts = _verdicts(lowered, batch.user_ids)
    for email, user_id, extra, verdict in zip(lowered, batch.user_ids, extras, verdicts, strict=True):
        data = extra.get("dataFields", {})
        person = (
            verdict
            or forgotten(project, email, user_id)
            or user_fields.refused(project, data, email, user_id)
            or resolve(
                project,
                email,
                user_id,
                prefer_user_id=extra.get("preferUserId", False),
                existing_only=existing_only,
                unique_user_ids=unique_user_ids,
            )
        )
        if isinstance(person, Failure):
            outcome.failures.append(person)
            continue
        numbers.append(person)
        if data:
            merge = extra.get("mergeNestedObjects", False)
            outcome.created_fields |= user_fields.store(project, person, data, merge)
    return outcome
