"""Delivering a batch to Iterable: what it accepted, what it rejected and why, attributed to each member.

The table of answers (core/iterable/answers.py) is the behaviour: a request that is refused as a whole is split down to
the member, and failures that Iterable counts but does not name are counted as such.
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

# For a removal these are as good as done: whoever is not there, or was erased, is not on the list.
_GONE_ANYWAY = frozenset({FailureReason.NOT_FOUND, FailureReason.FORGOTTEN})

_Call = Callable[[int, Iterable[SubscriberKey], int | None], Awaitable[BulkResult]]


async def send_batch(client: IterableClient, list_id: int, batch: Batch) -> BatchOutcome | None:
    """Send a batch. Returns None where every member was accepted: then nothing had to be unpacked.

    Raises an IterableError where the batch as a whole could not be delivered, whatever its members.
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
    """Send some members. `tries`: how often at most; None: as often as any request."""
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
    """Send in halves what was refused as a whole, down to the member."""
    if not units:  # it was a question whether Iterable answers
        return BatchOutcome()
    if len(units) == 1:
        reason = error.failure if isinstance(error, RequestRejectedError) else FailureReason.INVALID_DATA
        return BatchOutcome(rejected=[RejectedGroup(units[0], reason)])
    half = len(units) // 2
    first = await _send_units(call, list_id, units[:half], removal=removal)
    return first + await _send_units(call, list_id, units[half:], removal=removal)


async def _rename(client: IterableClient, list_id: int, units: list[EntryGroup]) -> BatchOutcome:
    """Rename placeholders. Where Iterable can't, the placeholder is taken off; the update puts the real address on."""
    delivery = BatchOutcome()
    for unit in units:
        entry = unit[0]
        assert entry.email is not None
        old, user_id, new = entry.email, entry.user_id, entry.extra[0]
        try:
            await _rename_one(client, old, user_id, new)
        except RequestRejectedError as error:
            # The new address has a user already, or the placeholder none, or (in a userID-based project)
            # this is not how emails are changed.
            delivery += await _send_units(client.unsubscribe, list_id, [unit], removal=True)
            if error.failure is FailureReason.NOT_FOUND:
                delivery.vanished.append(unit)
        else:
            delivery.renamed.append(unit)
    return delivery


async def _rename_one(client: IterableClient, old: str, user_id: str | None, new: str) -> None:
    try:
        await client.update_placeholder_email(old, new)
    except RequestRejectedError as error:
        if error.failure is not FailureReason.NOT_FOUND or user_id is None:
            raise
        try:  # an earlier rename, to another address, was made though its answer was lost
            await client.update_email_by_user_id(user_id, new)
        except RequestRejectedError:
            raise error from None


def attribute_failures(units: list[EntryGroup], result: BulkResult, *, removal: bool) -> BatchOutcome:
    """Say of each member what an answer means for it, whatever the case of the email that Iterable returns."""
    delivery = BatchOutcome(is_confirmed=result.is_applied)
    named = 0
    for unit in units:
        email, user_id = unit[0].email, unit[0].user_id
        why = result.failed_emails.get(email or "") or result.failed_user_ids.get(user_id or "")
        named += why is not None
        if why is None or (removal and why in _GONE_ANYWAY):
            delivery.accepted.append(unit)
        else:
            delivery.rejected.append(RejectedGroup(unit, why))
    delivery.unattributed = min(max(0, result.fail_count - named), len(delivery.accepted))
    return delivery


def _sent(columns: BatchColumns) -> Iterable[SubscriberKey]:
    everybody = zip(columns.emails, columns.user_ids, strict=True)
    if Operation.DUPLICATE not in columns.ops:
        return everybody
    return [sent for sent, op in zip(everybody, columns.ops, strict=True) if op != Operation.DUPLICATE]


def _units(batch: Batch) -> list[EntryGroup]:
    return list(groups(batch.entries))
