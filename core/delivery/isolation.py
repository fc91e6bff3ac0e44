"""Isolation of the members that make Iterable answer 500 to a whole batch.

Iterable documents GenericError for faults that stay, such as a user that can't be created. So a batch that keeps
failing while other requests succeed is sent in parts, within a budget, until the members are found that fail alone.
If nothing succeeds, Iterable has an outage, and no member is rejected.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from core.delivery.outcome import BatchOutcome, EntryGroup, RejectedGroup
from core.iterable import FailureReason, IterableClient, UnavailableError

# Requests for one batch. One member among 1,000 takes some 35.
BUDGET = 120
# Requests that fail, with none that succeeds since the batch first failed, before it is taken for an outage.
OUTAGE_PROBES = 6
# Members that failed after the last success, who may be rejected if Iterable still answers.
MOST_UNPROVED = 3
# Tries of a part, and of a member alone: whoever is rejected has failed more often than chance explains.
TRIES, TRIES_ALONE = 2, 4

#: Sends some members (or none), with at most so many tries, and returns what became of them.
Send = Callable[[list[EntryGroup], int], Awaitable[BatchOutcome]]


@dataclass(slots=True)
class _Search:
    """The state of a search: parts left to send, the outcome so far, and members that failed alone."""

    parts: deque[list[EntryGroup]]
    outcome: BatchOutcome = field(default_factory=BatchOutcome)
    suspects: list[tuple[EntryGroup, UnavailableError, float]] = field(default_factory=list)
    spent: int = 0
    failures: int = 0


async def isolate(
    client: IterableClient, send: Send, units: list[EntryGroup], error: UnavailableError, began: float
) -> BatchOutcome:
    """Send in parts what failed as a whole; reject the members that fail alone.

    `began` is when the batch was first sent, by the client's clock. Raises the error again if it is an outage, or if
    the budget is spent.
    """
    if len(units) == 1 and client.succeeded_at <= began:
        raise error
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
    """Raise if an outage may have begun during the search: a success after a failure shows that Iterable works.

    The last members of a search may have none after them. Then a request without members is sent, which changes
    nothing: any answer but an error of the server will do.
    """
    unproved = [failure for _, failure, at in search.suspects if client.succeeded_at <= at]
    if len(unproved) > MOST_UNPROVED:
        raise unproved[0]
    if unproved:
        await send([], TRIES)


async def _try_suspects_again(search: _Search, send: Send) -> None:
    """Keep as suspects who fail even now that Iterable answers: their failures may have been those of an outage."""
    suspects, search.suspects = search.suspects, []
    for unit, _, _ in suspects:
        try:
            search.outcome += await send([unit], 1)
        except UnavailableError as failure:
            search.suspects.append((unit, failure, 0.0))


def _rejected(search: _Search) -> BatchOutcome:
    """The outcome of those who failed alone."""
    return BatchOutcome(
        rejected=[
            RejectedGroup(unit, FailureReason.ERROR, _without_identity(failure.words, unit))
            for unit, failure, _ in search.suspects
        ]
    )


def _without_identity(words: str | None, unit: EntryGroup) -> str | None:
    """Iterable's words without the user id, which may look like a plain word. (An email never does.)"""
    user_id = unit[0].user_id
    return words.replace(user_id, "...") if words and user_id else words


def _halves(units: list[EntryGroup]) -> list[list[EntryGroup]]:
    half = len(units) // 2
    return [units[:half], units[half:]]
