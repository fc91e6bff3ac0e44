"""Isolation: finding the members that make Iterable answer 500 to a whole batch.

Iterable documents GenericError for permanent faults, such as a user that can't be created. So if a batch keeps failing
while other requests succeed, it is sent in parts, within a budget, until the members that fail alone are found. If no
request succeeds, Iterable has an outage, and no member is rejected.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from core.delivery.outcome import BatchOutcome, EntryGroup, RejectedGroup
from core.iterable import FailureReason, IterableClient, UnavailableError

# How many requests may be spent on one batch. To find one member among 1,000 takes about 35.
BUDGET = 120
# So many failed requests, without a success since the batch was first sent, count as an outage.
OUTAGE_PROBES = 6
# How many members that failed after the last success may be rejected, if Iterable still answers.
MOST_UNPROVED = 3
# Tries of a part, and of a single member: a rejected member has failed more often than chance explains.
TRIES, TRIES_ALONE = 2, 4

#: Sends some members (or none) with at most so many tries, and returns the outcome.
Send = Callable[[list[EntryGroup], int], Awaitable[BatchOutcome]]


@dataclass(slots=True)
class _Search:
    """The state of a search: parts left to send, the outcome so far, and members that failed alone."""

    parts: deque[list[EntryGroup]]
    outcome: BatchOutcome = field(default_factory=BatchOutcome)
    suspects: list[tuple[EntryGroup, UnavailableError, float]] = field(default_factory=list)
    spent: int = 0
    failures: int = 0


async def isolate(client: IterableClient, send: Send, units: list[EntryGroup], began: float) -> BatchOutcome:
    """Send a failed batch in parts, and return the outcome: members that fail alone are rejected.

    `began` is when the batch was first sent, by the client's clock. Raises an UnavailableError if Iterable has an
    outage or the budget is spent.
    """
    search = _Search(deque(_halves(units) if len(units) > 1 else [units]))
    while search.parts:
        part = search.parts.popleft()
        try:
            search.outcome += await send(part, TRIES if len(part) > 1 else TRIES_ALONE)
            search.spent += 1
        except UnavailableError as failure:
            _note_failure(client, search, part, failure, began)
    await _exclude_outage(client, search, send)
    await _try_suspects_again(search, send)
    return search.outcome + _rejected(search)


def _note_failure(
    client: IterableClient, search: _Search, part: list[EntryGroup], failure: UnavailableError, began: float
) -> None:
    search.failures += 1
    search.spent += TRIES if len(part) > 1 else TRIES_ALONE
    is_outage = client.succeeded_at <= began and search.failures >= OUTAGE_PROBES
    if is_outage or search.spent > BUDGET or not failure.may_concern_member:
        raise failure
    if len(part) > 1:
        search.parts.extend(_halves(part))
    else:
        search.suspects.append((part[0], failure, client.now()))


async def _exclude_outage(client: IterableClient, search: _Search, send: Send) -> None:
    """Raise an UnavailableError if an outage may have begun during the search.

    A success after a member's failure shows that Iterable works. After the last members of a search there may be none.
    Then a request without members is sent, which changes nothing: any answer but a server error is enough.
    """
    unproved = [failure for _, failure, failed_at in search.suspects if client.succeeded_at <= failed_at]
    if len(unproved) > MOST_UNPROVED:
        raise unproved[0]
    if unproved:
        await send([], TRIES)


async def _try_suspects_again(search: _Search, send: Send) -> None:
    """Send the suspects once more, now that Iterable answers, because they may have failed in an outage.

    Those that fail again remain suspects.
    """
    suspects, search.suspects = search.suspects, []
    for unit, _, _ in suspects:
        try:
            search.outcome += await send([unit], 1)
        except UnavailableError as failure:
            search.suspects.append((unit, failure, 0.0))


def _rejected(search: _Search) -> BatchOutcome:
    """Return the outcome that rejects the suspects."""
    return BatchOutcome(
        rejected=[
            RejectedGroup(unit, FailureReason.ERROR, _without_identity(failure.words, unit))
            for unit, failure, _ in search.suspects
        ]
    )


def _without_identity(words: str | None, unit: EntryGroup) -> str | None:
    """Return Iterable's words without the user id, which may look like any word. (The client has removed emails.)"""
    user_id = unit[0].user_id
    return words.replace(user_id, "...") if words and user_id else words


def _halves(units: list[EntryGroup]) -> list[list[EntryGroup]]:
    half = len(units) // 2
    return [units[:half], units[half:]]
