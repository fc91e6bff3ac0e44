"""The sender of a batch: it returns, for each member, whether Iterable accepted or rejected it, and why.

The table of answers (core/iterable/answers.py) decides: a request that is refused as a whole is split down to the
member, and failures that Iterable counts without naming the members are counted as unattributed.
"""

import functools
from collections.abc import Awaitable, Callable, Iterable

from core.delivery.isolation import isolate
from core.delivery.outcome import BatchOutcome, EntryGroup, RejectedGroup
from core.iterable import (
    BulkResult,
    FailureReason,
    IterableClient,
    RequestRejectedError,
    RequestTooLargeError,
    SubscriberKey,
    UnavailableError,
)
from core.models.batch import BatchColumns, Operation, Phase, groups
from core.store.batches import Batch

# A removal with these reasons counts as done: a user that does not exist, or was erased, is not on the list.
_NOT_ON_LIST = frozenset({FailureReason.NOT_FOUND, FailureReason.FORGOTTEN})

_Call = Callable[[int, Iterable[SubscriberKey], int | None], Awaitable[BulkResult]]


async def send_batch(client: IterableClient, list_id: int, batch: Batch) -> BatchOutcome | None:
    """Send a batch. Returns its outcome, or None if every member was accepted, which saves decoding the batch.

    Raises an IterableError if the batch could not be delivered for a reason that concerns no single member.
    """
    if batch.phase is Phase.RENAME:
        return await _rename(client, list_id, _units(batch))
    removal = batch.phase is Phase.REMOVE
    call = client.unsubscribe if removal else client.subscribe
    began = client.now()
    try:
        result = await call(list_id, _sent(batch.columns))
    except (RequestRejectedError, RequestTooLargeError) as error:
        return await _bisect(call, list_id, _units(batch), error, removal=removal)
    except UnavailableError as error:
        if not error.may_concern_member:
            raise
        send = functools.partial(_send_units, call, list_id, removal=removal)
        return await isolate(client, send, _units(batch), error, began)
    return None if result.is_clean else attribute_failures(_units(batch), result, removal=removal)


async def _send_units(
    call: _Call, list_id: int, units: list[EntryGroup], tries: int | None = None, *, removal: bool
) -> BatchOutcome:
    """Send some members, and return the outcome. `tries` is the maximum number of tries (None: the client's own)."""
    try:
        result = await call(list_id, [(unit[0].email, unit[0].user_id) for unit in units], tries)
    except (RequestRejectedError, RequestTooLargeError) as error:
        return await _bisect(call, list_id, units, error, removal=removal)
    return BatchOutcome(accepted=units) if result.is_clean else attribute_failures(units, result, removal=removal)


async def _bisect(
    call: _Call,
    list_id: int,
    units: list[EntryGroup],
    error: RequestRejectedError | RequestTooLargeError,
    *,
    removal: bool,
) -> BatchOutcome:
    """Send the halves of a request that was refused as a whole, down to the member. Returns the outcome."""
    if not units:  # the request only tested whether Iterable answers
        return BatchOutcome()
    if len(units) == 1:
        reason = error.failure if isinstance(error, RequestRejectedError) else FailureReason.INVALID_DATA
        return BatchOutcome(rejected=[RejectedGroup(units[0], reason)])
    half = len(units) // 2
    first = await _send_units(call, list_id, units[:half], removal=removal)
    return first + await _send_units(call, list_id, units[half:], removal=removal)


async def _rename(client: IterableClient, list_id: int, units: list[EntryGroup]) -> BatchOutcome:
    """Rename placeholders, and return the outcome.

    If Iterable can't rename a placeholder, it is removed from the list, and the update adds the real address.
    """
    outcome = BatchOutcome()
    for unit in units:
        entry = unit[0]
        assert entry.email is not None
        old, user_id, new = entry.email, entry.user_id, entry.extra[0]
        try:
            await _rename_one(client, old, user_id, new)
        except RequestRejectedError as error:
            # The new address has a user already, the placeholder has none, or the project is userID-based and changes
            # emails in another way.
            outcome += await _send_units(client.unsubscribe, list_id, [unit], removal=True)
            if error.failure is FailureReason.NOT_FOUND:
                outcome.vanished.append(unit)
        else:
            outcome.renamed.append(unit)
    return outcome


async def _rename_one(client: IterableClient, old: str, user_id: str | None, new: str) -> None:
    try:
        await client.update_placeholder_email(old, new)
    except RequestRejectedError as error:
        if error.failure is not FailureReason.NOT_FOUND or user_id is None:
            raise
        try:  # an earlier rename to another address succeeded, but its answer was lost
            await client.update_email_by_user_id(user_id, new)
        except RequestRejectedError:
            raise error from None


def attribute_failures(units: list[EntryGroup], result: BulkResult, *, removal: bool) -> BatchOutcome:
    """Return the outcome that an answer means for each member. Emails in the answer match in any case."""
    outcome = BatchOutcome(is_confirmed=result.is_applied)
    named = 0
    for unit in units:
        email, user_id = unit[0].email, unit[0].user_id
        reason = result.failed_emails.get(email or "") or result.failed_user_ids.get(user_id or "")
        named += reason is not None
        if reason is None or (removal and reason in _NOT_ON_LIST):
            outcome.accepted.append(unit)
        else:
            outcome.rejected.append(RejectedGroup(unit, reason))
    outcome.unattributed = min(max(0, result.fail_count - named), len(outcome.accepted))
    return outcome


def _sent(columns: BatchColumns) -> Iterable[SubscriberKey]:
    keys = zip(columns.emails, columns.user_ids, strict=True)
    if Operation.DUPLICATE not in columns.ops:
        return keys
    return [key for key, op in zip(keys, columns.ops, strict=True) if op != Operation.DUPLICATE]


def _units(batch: Batch) -> list[EntryGroup]:
    return list(groups(batch.entries))
