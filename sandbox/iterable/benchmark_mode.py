"""Outcomes without stored people, for benchmarks with millions: a person is the hash of an identifier.

Rules and malformed identifiers fail as usual. There are no conflicts, and every unsubscribe succeeds.
"""

from __future__ import annotations

from collections.abc import Callable

from sandbox.iterable import scripted_outcomes
from sandbox.iterable.membership import Batch, Outcome
from sandbox.iterable.responses import bad_params


def hashed(batch: Batch, *, by_user_id: bool, unsubscribing: bool = False) -> Outcome:
    """Return the members of the batch as numbers, and the failures by rule."""
    emails = scripted_outcomes.plain_emails(batch.emails) if batch.has_emails and not by_user_id else None
    if emails is not None:
        given = batch.user_ids
        if not batch.has_user_ids:
            given = [user_id for user_id in given if user_id is not None]
        if scripted_outcomes.plain_user_ids(given):
            return Outcome(list(map(hash, emails)))
    return _each(batch, by_user_id, lambda bucket: unsubscribing and bucket not in scripted_outcomes.WHEN_UNSUBSCRIBING)


def _each(batch: Batch, by_user_id: bool, excused: Callable[[str], bool]) -> Outcome:
    numbers: list[int] = []
    outcome = Outcome(numbers)
    for sent, user_id in zip(batch.emails, batch.user_ids, strict=True):
        email = None if sent is None else sent.lower()
        verdict = scripted_outcomes.judge(email, user_id)
        if verdict is None or excused(verdict.bucket):
            by_id = user_id is not None and (by_user_id or email is None)
            numbers.append(hash(user_id if by_id else email))
        elif verdict.bucket == scripted_outcomes.POISON:
            raise bad_params(scripted_outcomes.POISONED)
        else:
            outcome.failures.append(verdict)
    return outcome
