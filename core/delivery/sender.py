"""Delivering a batch to Iterable: what it accepted, what it rejected and why, attributed to each member.

The table at the end of Iterable's facts is the behaviour: a request that is refused as a whole is split down to the
member, and failures that Iterable counts but does not name are counted as such.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from core.iterable import BulkResult, Failure, IterableClient, RefusedError, Subscriber, TooLargeError
from core.models.batch import Columns, Entry, Phase, Role, groups
from core.store.batches import Batch

# For a removal these are as good as done: whoever is not there, or was erased, is not on the list.
_GONE_ANYWAY = frozenset({Failure.NOT_FOUND, Failure.FORGOTTEN})

#: A sent entry with its followers.
Unit = list[Entry]
_Call = Callable[[int, Iterable[Subscriber]], Awaitable[BulkResult]]


@dataclass(slots=True)
class Delivery:
    """What became of the members of a batch, each with its followers.

    `unattributed` of those accepted were not, and Iterable does not say which. `renamed` are placeholders that have
    their real address now; `vanished` are placeholders that Iterable does not know, perhaps because they were renamed
    before, in a request whose answer was lost.
    """

    accepted: list[Unit] = field(default_factory=list)
    rejected: list[tuple[Unit, str]] = field(default_factory=list)
    unattributed: int = 0
    renamed: list[Unit] = field(default_factory=list)
    vanished: list[Unit] = field(default_factory=list)

    def __add__(self, other: "Delivery") -> "Delivery":
        return Delivery(
            self.accepted + other.accepted,
            self.rejected + other.rejected,
            self.unattributed + other.unattributed,
            self.renamed + other.renamed,
            self.vanished + other.vanished,
        )


async def deliver(client: IterableClient, list_id: int, batch: Batch) -> Delivery | None:
    """Send a batch. Returns None where every member was accepted: then nothing had to be unpacked.

    Raises an IterableError where the batch as a whole could not be delivered, whatever its members.
    """
    if batch.phase is Phase.RENAME:
        return await _rename(client, list_id, _units(batch))
    removal = batch.phase is Phase.REMOVE
    call = client.unsubscribe if removal else client.subscribe
    try:
        result = await call(list_id, _sent(batch.columns))
    except (RefusedError, TooLargeError) as error:
        return await _halves(call, list_id, _units(batch), error, removal=removal)
    return None if result.is_clean else attribute(_units(batch), result, removal=removal)


async def _some(call: _Call, list_id: int, units: list[Unit], *, removal: bool) -> Delivery:
    try:
        result = await call(list_id, [(unit[0][2], unit[0][3]) for unit in units])
    except (RefusedError, TooLargeError) as error:
        return await _halves(call, list_id, units, error, removal=removal)
    return Delivery(accepted=units) if result.is_clean else attribute(units, result, removal=removal)


async def _halves(
    call: _Call, list_id: int, units: list[Unit], error: RefusedError | TooLargeError, *, removal: bool
) -> Delivery:
    """Send in halves what was refused as a whole, down to the member."""
    if len(units) == 1:
        reason = error.failure if isinstance(error, RefusedError) else Failure.INVALID_DATA
        return Delivery(rejected=[(units[0], reason)])
    half = len(units) // 2
    first = await _some(call, list_id, units[:half], removal=removal)
    return first + await _some(call, list_id, units[half:], removal=removal)


async def _rename(client: IterableClient, list_id: int, units: list[Unit]) -> Delivery:
    """Rename placeholders. Where Iterable can't, the placeholder is taken off; the update puts the real address on."""
    delivery = Delivery()
    for unit in units:
        _, _, old, user_id, new = unit[0][:5]
        try:
            await _rename_one(client, old, user_id, new)
        except RefusedError as error:
            # The new address has a user already, or the placeholder none, or (in a userID-based project)
            # this is not how emails are changed.
            delivery += await _some(client.unsubscribe, list_id, [unit], removal=True)
            if error.failure is Failure.NOT_FOUND:
                delivery.vanished.append(unit)
        else:
            delivery.renamed.append(unit)
    return delivery


async def _rename_one(client: IterableClient, old: str, user_id: str | None, new: str) -> None:
    try:
        await client.rename(old, new)
    except RefusedError as error:
        if error.failure is not Failure.NOT_FOUND or user_id is None:
            raise
        try:  # an earlier rename, to another address, was made though its answer was lost
            await client.rename_user(user_id, new)
        except RefusedError:
            raise error from None


def attribute(units: list[Unit], result: BulkResult, *, removal: bool) -> Delivery:
    """Say of each member what an answer means for it, whatever the case of the email that Iterable returns."""
    delivery = Delivery()
    named = 0
    for unit in units:
        _, _, email, user_id, *_ = unit[0]
        why = result.failed_emails.get(email) or result.failed_user_ids.get(user_id)
        named += why is not None
        if why is None or (removal and why in _GONE_ANYWAY):
            delivery.accepted.append(unit)
        else:
            delivery.rejected.append((unit, why))
    delivery.unattributed = min(max(0, result.fail_count - named), len(delivery.accepted))
    return delivery


def _sent(columns: Columns) -> Iterable[Subscriber]:
    everybody = zip(columns.emails, columns.user_ids, strict=True)
    if Role.FOLLOWER not in columns.roles:
        return everybody
    return [sent for sent, role in zip(everybody, columns.roles, strict=True) if role != Role.FOLLOWER]


def _units(batch: Batch) -> list[Unit]:
    return list(groups(batch.entries))
