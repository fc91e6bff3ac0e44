"""Isolation: finding the members that make Iterable refuse a request, or answer it with 500.

Iterable documents GenericError for permanent faults, such as a user that can't be created. So if a request keeps
failing while others succeed, its members are sent in parts, within a budget, until those that fail alone are found. If
no request succeeds, Iterable has an outage, and no member is rejected. The parts of a request that Iterable refuses
(400) need no budget: each is answered at once.
"""

import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from core.delivery.outcome import BatchOutcome, EntryGroup, RejectedGroup
from core.iterable import FailureReason, IterableClient, RequestRejectedError, RequestTooLargeError, UnavailableError
from core.models.data_fields import FIELD_WORDS

# How many tries may fail for one batch. To find one member among 1,000 takes about 25 of them.
BUDGET = 80
# So many failed requests, without a success since the batch was first sent, count as an outage.
OUTAGE_PROBES = 6
# How many members that failed after the last success may be rejected, if Iterable still answers.
MOST_UNPROVED = 3
# Tries of a part, and of a single member: a rejected member has failed more often than chance explains.
TRIES, TRIES_ALONE = 2, 4

#: Sends some members (or none) with at most so many tries (None: the client's own number), and returns the outcome.
#: Raises an IterableError if the request fails.
Send = Callable[[list[EntryGroup], int | None], Awaitable[BatchOutcome]]
#: An error after which the members are sent in parts. (An UnavailableError only if it may concern a member.)
Divisible = RequestRejectedError | RequestTooLargeError | UnavailableError


@dataclass(slots=True)
class _Search:
    """The state of a search: parts left to send, the outcome so far, and members that failed alone.

    `is_failing`: a request has failed after all tries of the client, so the next ones get fewer.
    """

    parts: deque[list[EntryGroup]]
    is_failing: bool = False
    outcome: BatchOutcome = field(default_factory=BatchOutcome)
    suspects: list[tuple[EntryGroup, UnavailableError, float]] = field(default_factory=list)
    spent: int = 0
    failures: int = 0
    refused_at: float = -math.inf

    def answered_at(self, client: IterableClient) -> float:
        """Return when Iterable last answered anything but a server error."""
        return max(client.succeeded_at, self.refused_at)

    def tries(self, part: list[EntryGroup]) -> int | None:
        """Return how often a part is sent at most."""
        if not self.is_failing:
            return None
        return TRIES if len(part) > 1 else TRIES_ALONE


async def isolate(
    client: IterableClient, send: Send, units: list[EntryGroup], began: float, error: Divisible
) -> BatchOutcome:
    """Send a batch in parts after the request with all members failed, and return the outcome.

    Members that are refused alone, or fail alone, are rejected. `began` is when the batch was first sent, by the
    client's clock. Raises an IterableError if Iterable has an outage, the budget is spent, or a request fails for a
    reason that concerns no single member.
    """
    if isinstance(error, UnavailableError):
        if not error.may_concern_member:
            raise error
        return await _searched(client, send, _Search(deque(_halves(units)), is_failing=True), began)
    if len(units) == 1:
        return _refused(units[0], error)
    return await _searched(client, send, _Search(deque(_halves(units))), began)


async def send_one_by_one(client: IterableClient, send: Send, units: list[EntryGroup]) -> BatchOutcome:
    """Send each member in a request of its own, and return the outcome. Rejects and raises as `isolate`."""
    return await _searched(client, send, _Search(deque([unit] for unit in units)), client.now())


async def _searched(client: IterableClient, send: Send, search: _Search, began: float) -> BatchOutcome:
    while search.parts:
        part = search.parts.popleft()
        try:
            search.outcome += await send(part, search.tries(part))
        except (RequestRejectedError, RequestTooLargeError) as error:
            search.refused_at = client.now()
            if len(part) > 1:
                search.parts.extend(_halves(part))
            else:
                search.outcome += _refused(part[0], error)
        except UnavailableError as failure:
            _note_failure(client, search, part, failure, began)
    await _exclude_outage(client, search, send)
    await _try_suspects_again(search, send)
    return search.outcome + _rejected(search)


def _note_failure(
    client: IterableClient, search: _Search, part: list[EntryGroup], failure: UnavailableError, began: float
) -> None:
    search.failures += 1
    search.spent += search.tries(part) or TRIES_ALONE
    search.is_failing = True
    is_outage = search.answered_at(client) <= began and search.failures >= OUTAGE_PROBES
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
    unproved = [failure for _, failure, failed_at in search.suspects if search.answered_at(client) <= failed_at]
    if len(unproved) > MOST_UNPROVED:
        raise unproved[0]
    if unproved:
        try:
            await send([], TRIES)
        except (RequestRejectedError, RequestTooLargeError):
            return


async def _try_suspects_again(search: _Search, send: Send) -> None:
    """Send the suspects once more, now that Iterable answers, because they may have failed in an outage.

    Those that fail again remain suspects.
    """
    suspects, search.suspects = search.suspects, []
    for unit, _, failed_at in suspects:
        try:
            search.outcome += await send([unit], 1)
        except (RequestRejectedError, RequestTooLargeError) as error:
            search.outcome += _refused(unit, error)
        except UnavailableError as failure:
            search.suspects.append((unit, failure, failed_at))


def _refused(unit: EntryGroup, error: RequestRejectedError | RequestTooLargeError) -> BatchOutcome:
    """Return the outcome of a member whose request was refused."""
    reason = FailureReason.INVALID_DATA
    fields: tuple[str, ...] = ()
    if isinstance(error, RequestRejectedError):
        reason, fields = error.failure, error.fields
    words = f"{FIELD_WORDS} {', '.join(fields)}: Iterable expects another type." if fields else None
    return BatchOutcome(rejected=[RejectedGroup(unit, reason, words)])


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
    return [units[:half], units[half:]] if half else [units]
