"""The renaming of placeholders: members that had no email until now get the real one.

In email-based projects `updateEmail` does it, unless another user has that address already. Then, if the connection
allows it, the placeholder's user is merged into that one. If not, or if Iterable refuses the merge, the placeholder
leaves the list, and the update that follows adds the other user.
"""

from core.delivery.outcome import BatchOutcome, EntryGroup
from core.delivery.sender import send_units
from core.iterable import FailureReason, IterableClient, RequestRejectedError


async def rename(client: IterableClient, list_id: int, units: list[EntryGroup], *, merges: bool) -> BatchOutcome:
    """Rename placeholders, and return the outcome. `merges`: users may be merged."""
    outcome = BatchOutcome()
    for unit in units:
        entry = unit[0]
        assert entry.email is not None
        old, user_id, new = entry.email, entry.user_id, entry.extra[0]
        try:
            await _rename_one(client, old, user_id, new)
        except RequestRejectedError as error:
            # The new address has a user already, or the placeholder has none.
            if merges and error.failure is FailureReason.CONFLICT and await _merge(client, old, new):
                outcome.merged.append(unit)
                continue
            outcome += await send_units(client.unsubscribe, list_id, [unit], removal=True)
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


async def _merge(client: IterableClient, old: str, new: str) -> bool:
    """Merge the user of a placeholder into the user with the new address. Returns False if Iterable refuses it."""
    try:
        await client.merge_users(source_email=old, destination_email=new)
    except RequestRejectedError:
        return False
    return True
