"""The renaming of placeholders: members that had no email until now get the real one.

In email-based projects `updateEmail` does it, unless another user has that address already. Then, if the connection
allows it, the placeholder's user is merged into that one. If not, or if Iterable refuses the merge, the placeholder
leaves the list, and the update that follows adds the other user.

In hybrid projects the update that follows gives the user the new email, by the user id, unless another user has that
email. Such a user that has no user id is merged, too; one with another user id is another person, and the update is
refused as a conflict.

If Iterable keeps answering 500, or refuses to take the placeholder off the list, the member is rejected, and stays on
the list under the placeholder.
"""

from collections.abc import Awaitable
from http import HTTPStatus

from core.delivery.isolation import send_one_by_one
from core.delivery.outcome import BatchOutcome, EntryGroup
from core.delivery.sender import send_units
from core.iterable import FailureReason, InvalidApiKeyError, IterableClient, RequestRejectedError
from core.models.batch import BatchEntry


async def rename(client: IterableClient, list_id: int, units: list[EntryGroup], *, merges: bool) -> BatchOutcome:
    """Rename placeholders, and return the outcome. `merges`: users may be merged."""

    async def send(part: list[EntryGroup], tries: int | None) -> BatchOutcome:
        if not part:  # the request only tests whether Iterable answers
            return await send_units(client.unsubscribe, list_id, part, tries, removal=True)
        entry = part[0][0]
        failure = await _rename_one(client, entry, tries)
        if failure is None:
            return BatchOutcome(renamed=part)
        if merges and failure is FailureReason.CONFLICT:
            merge = client.merge_users(source_email=entry.email, destination_email=entry.extra[0], tries=tries)
            failure = await _merge(merge)
            if failure is None:
                return BatchOutcome(merged=part)
        left = await send_units(client.unsubscribe, list_id, part, tries, removal=True)
        return left + BatchOutcome(vanished=part) if failure is FailureReason.NOT_FOUND else left

    return await send_one_by_one(client, send, units)


async def merge_known(client: IterableClient, list_id: int, units: list[EntryGroup]) -> BatchOutcome:
    """Merge placeholders into the users that have their new emails and no user id (hybrid). Returns the outcome."""

    async def send(part: list[EntryGroup], tries: int | None) -> BatchOutcome:
        if not part:  # the request only tests whether Iterable answers
            return await send_units(client.unsubscribe, list_id, part, tries, removal=True)
        entry, new = part[0][0], part[0][0].extra[0]
        known = await client.user_by_email(new, tries)
        if known is None or known.user_id is not None or entry.user_id is None:
            return BatchOutcome()
        failure = await _merge(client.merge_users(source_user_id=entry.user_id, destination_email=new, tries=tries))
        return BatchOutcome(merged=part) if failure in (None, FailureReason.NOT_FOUND) else BatchOutcome()

    return await send_one_by_one(client, send, units)


async def _rename_one(client: IterableClient, entry: BatchEntry, tries: int | None) -> FailureReason | None:
    """Give a placeholder its new address, and return why Iterable refuses that; None if it is done.

    CONFLICT: the address has a user already. NOT_FOUND: the placeholder has none.
    """
    old, user_id, new = entry.email, entry.user_id, entry.extra[0]
    assert old is not None
    try:
        await client.update_placeholder_email(old, new, tries)
    except RequestRejectedError as error:
        if error.failure is not FailureReason.NOT_FOUND or user_id is None:
            return error.failure
        try:  # an earlier rename to another address succeeded, but its answer was lost
            await client.update_email_by_user_id(user_id, new, tries)
        except RequestRejectedError:
            return error.failure
    return None


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
