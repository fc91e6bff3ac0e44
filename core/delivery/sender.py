"""The sender of a bulk request: it returns, for each member, whether Iterable accepted or rejected it, and why.

The table of answers (core/iterable/answers.py) decides: a request that is refused as a whole is split down to the
member, and failures that Iterable counts without naming the members are counted as unattributed.
"""

import functools
import logging
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

logger = logging.getLogger(__name__)

# A removal with these reasons counts as done: a user that does not exist, or was erased, is not on the list.
_NOT_ON_LIST = frozenset({FailureReason.NOT_FOUND, FailureReason.FORGOTTEN})

_Call = Callable[[int, Iterable[SubscriberKey], int | None], Awaitable[BulkResult]]


async def send_batch(client: IterableClient, list_id: int, batch: Batch) -> BatchOutcome | None:
    """Send a batch (no renames). Returns its outcome, or None if every member was accepted, which saves decoding it.

    Raises an IterableError if the batch could not be delivered for a reason that concerns no single member.
    """
    removal = batch.phase is Phase.REMOVE
    call: _Call = client.unsubscribe if removal else client.subscribe
    if batch.data_fields:
        call = functools.partial(client.subscribe, data_fields=_by_subscriber(batch))
    began = client.now()
    try:
        result = await call(list_id, _sent(batch.columns), None)
    except (RequestRejectedError, RequestTooLargeError, UnavailableError) as error:
        send = functools.partial(send_units, call, list_id, removal=removal)
        return await isolate(client, send, units_of(batch), began, error)
    if result.dropped_fields:
        names = ", ".join(result.dropped_fields)
        logger.warning("list %s: Iterable dropped data fields that the project does not have: %s", list_id, names)
    return None if result.is_clean else attribute_failures(units_of(batch), result, removal=removal)


async def send_units(
    call: _Call, list_id: int, units: list[EntryGroup], tries: int | None = None, *, removal: bool
) -> BatchOutcome:
    """Send some members in one request, and return the outcome. Raises an IterableError if it fails as a whole.

    `tries` is the maximum number of tries (None: the client's own).
    """
    result = await call(list_id, [(unit[0].email, unit[0].user_id) for unit in units], tries)
    return BatchOutcome(accepted=units) if result.is_clean else attribute_failures(units, result, removal=removal)


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


def _by_subscriber(batch: Batch) -> dict[SubscriberKey, str]:
    """Return the data fields of a batch by email and user id."""
    columns, fields = batch.columns, batch.data_fields or {}
    keys = zip(columns.member_keys, columns.emails, columns.user_ids, strict=True)
    return {(email, user_id): fields[key].fields for key, email, user_id in keys if key in fields}


def _sent(columns: BatchColumns) -> Iterable[SubscriberKey]:
    keys = zip(columns.emails, columns.user_ids, strict=True)
    if Operation.DUPLICATE not in columns.ops:
        return keys
    return [key for key, op in zip(keys, columns.ops, strict=True) if op != Operation.DUPLICATE]


def units_of(batch: Batch) -> list[EntryGroup]:
    """Return the members of a batch: each sent entry with its duplicates."""
    return list(groups(batch.entries))
