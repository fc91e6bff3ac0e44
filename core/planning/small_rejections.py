"""Few members that can't be sent: the rule in core/identity.py, and who must not be sent.

For large audiences, core/planning/identity_mapping.py and core/planning/suppression.py do the same.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from core.identity import (
    Profile,
    ProjectType,
    RejectionReason,
    Subscriber,
    UserIdField,
    resolve_for_removal,
    resolve_plain,
    resolve_subscriber,
)
from core.iterable import FailureReason
from core.planning.live_source import SourceRow
from core.planning.small_diff import Leaver, Members
from core.planning.small_workspace import lower, trim
from core.planning.suppression import find_digests
from core.sources.grouping import SHARED_ID_PREFIX
from core.store import erasures
from core.store.erasures import SuppressionList
from core.store.inbox import CUSTOMER_ID_HASHED, EMAIL_HASHED
from core.store.ledger import Entry
from core.store.rejections import Rejection
from core.store.suppressions import KIND

_FORGOTTEN = FailureReason.FORGOTTEN.value


def map_few(
    rows: Iterable[SourceRow], field: UserIdField, project_type: ProjectType, *, with_removals: bool
) -> Members:
    """Return the members in the rows of a source. Without `with_removals`, who has left is ignored."""
    members = Members({}, {}, [])
    is_by_customer_id, is_by_user_id = field is UserIdField.CUSTOMER_ID, project_type is ProjectType.USER_ID
    for key, mpid, is_member, email, customer_id, hashed in rows:
        user_id = customer_id if is_by_customer_id else None if mpid is None else str(mpid)
        outcome: Subscriber | RejectionReason | None = resolve_plain(email, user_id, project_type)
        if not is_member and with_removals:
            if outcome is None:
                outcome = resolve_for_removal(_profile(mpid, email, customer_id, hashed), field, project_type)
            leaver = Leaver(outcome) if isinstance(outcome, Subscriber) else Leaver(_NOBODY, reason=outcome.value)
            members.leavers[key] = leaver
        if is_by_customer_id and key.startswith(SHARED_ID_PREFIX):
            is_nobody = email is None and not is_by_user_id
            reason = RejectionReason.NO_EMAIL if is_nobody else RejectionReason.SHARED_CUSTOMER_ID
            members.rejected.append(Rejection(key, email, customer_id, reason.value))
        elif is_member:
            if outcome is None:
                outcome = resolve_subscriber(_profile(mpid, email, customer_id, hashed), field, project_type)
            if isinstance(outcome, Subscriber):
                members.desired[key] = outcome
            else:
                members.rejected.append(Rejection(key, email, customer_id, outcome.value))
    return members


def without_erased(rows: Sequence[SourceRow], erased: SuppressionList | None) -> list[SourceRow]:
    """Return the rows without the members that asked to be erased."""
    if erased is None:
        return [*rows]
    digests = set(erased.digests)

    def is_erased(row: SourceRow) -> bool:
        _, mpid, is_member, email, customer_id, _ = row
        # in the form in which it would be sent
        values = {"mpid": mpid, "email": lower(trim(email)), "customer": customer_id}
        return is_member and any(
            value is not None and erasures.digest(erased.salt, kind, str(value)) in digests
            for kind, value in values.items()
        )

    return [row for row in rows if not is_erased(row)]


def reject_forgotten(
    members: Members,
    ledger: Sequence[Entry],
    mapping_id: int,
    field: UserIdField,
    files: tuple[Path | None, Path | None],
) -> None:
    """Reject members whose email or user id Iterable has forgotten. A former identity of theirs leaves the list.

    `files` have the SHA-256 of the emails and of the user ids, as for `core.planning.suppression.reject_forgotten`.
    """
    for part, path in enumerate(files):
        if path is None or not path.stat().st_size:
            continue
        values = {key: identity[part] for key, identity in members.desired.items()}
        digests = {key: _digest(value) for key, value in values.items() if value is not None}
        forgotten = find_digests(path, digests.values())
        keys = [key for key, digest in digests.items() if digest in forgotten]
        former = {row[1]: Subscriber(*row[2:4]) for row in ledger if row[0] == mapping_id}
        for key in keys:
            identity = members.desired[key]
            if key in former and former[key] != identity:
                members.leavers[key] = Leaver(former[key], is_counted=False)
        _reject(members, keys, field)


def reject_suppressed(
    members: Members, ledger: Sequence[Entry], mapping_id: int, field: UserIdField, suppressed: SuppressionList
) -> None:
    """Reject members that are new to the list if Iterable has rejected exactly these identities for good."""
    known = {row[1] for row in ledger if row[0] == mapping_id}
    digests = set(suppressed.digests)
    keys = [
        key
        for key, (email, user_id) in members.desired.items()
        if key not in known
        and erasures.digest(suppressed.salt, KIND, f"{key}\n{email or ''}\n{customer_id_of(user_id, field) or ''}")
        in digests
    ]
    _reject(members, keys, field)


_NOBODY = Subscriber(None, None)


def _profile(mpid: int | None, email: str | None, customer_id: str | None, hashed: int) -> Profile:
    if not hashed:  # as nearly always
        return Profile(mpid, email, customer_id)
    return Profile(mpid, email, customer_id, bool(hashed & EMAIL_HASHED), bool(hashed & CUSTOMER_ID_HASHED))


def customer_id_of(user_id: str | None, field: UserIdField) -> str | None:
    """Return the customer id of a member with this user id; None if the user id is an mpid."""
    return user_id if field is UserIdField.CUSTOMER_ID else None


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.strip().lower().encode()).digest()


def _reject(members: Members, member_keys: Collection[str], field: UserIdField) -> None:
    for key in member_keys:
        email, user_id = members.desired.pop(key)
        members.rejected.append(Rejection(key, email, customer_id_of(user_id, field), _FORGOTTEN))
