"""The renaming of placeholders: members that had no email until now get the real one.

In email-based projects `updateEmail` does it, unless another user has that address already. Then, if the connection
allows it, the placeholder's user is merged into that one. If not, or if Iterable refuses the merge, the placeholder
leaves the list, and the update that follows adds the other user.

In hybrid projects the update that follows gives the user the new email, by the user id, unless another user has that
email. Such a user that has no user id is merged, too; one with another user id is another person, and the update is
refused as a conflict.
"""

from collections.abc import Awaitable
from http import HTTPStatus

from core.delivery.outcome import BatchOutcome, EntryGroup
from core.delivery.sender import send_units
from core.iterable import FailureReason, InvalidApiKeyError, IterableClient, RequestRejectedError


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
            failure: FailureReason | None = error.failure
            if merges and failure is FailureReason.CONFLICT:
                failure = await _merge(client.merge_users(source_email=old, destination_email=new))
            if failure is None:
                outcome.merged.append(unit)
                continue
            outcome += await send_units(client.unsubscribe, list_id, [unit], removal=True)
            if failure is FailureReason.NOT_FOUND:
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


async def _merge(merge: Awaitable[None]) -> FailureReason | None:
    """Wait for a merge, and return why Iterable refuses it; None if it is made.

    NOT_FOUND: the answer of an earlier try may have been lost. Iterable documents 403 for keys of some kinds, which may
    be allowed to change lists, so that does not mean a broken connection.
    """
    try:
        await merge
    except RequestRejectedError as error:
        return error.failure
    except InvalidApiKeyError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        return FailureReason.CONFLICT
    return None


async def merge_known(client: IterableClient, units: list[EntryGroup]) -> BatchOutcome:
    """Merge placeholders into the users that have their new emails and no user id (hybrid). Returns the outcome."""
    outcome = BatchOutcome()
    for unit in units:
        entry, new = unit[0], unit[0].extra[0]
        known = await client.user_by_email(new)
        if known is None or known.user_id is not None or entry.user_id is None:
            continue
        failure = await _merge(client.merge_users(source_user_id=entry.user_id, destination_email=new))
        if failure in (None, FailureReason.NOT_FOUND):
            outcome.merged.append(unit)
    return outcome
