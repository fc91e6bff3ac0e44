"""Live changes that can't be sent: the rule in core/identity.py, and members that Iterable rejects for good.

For large audiences, core/planning/identity_mapping.py and core/planning/suppression.py do the same.
"""

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

from core.identity import Profile, ProjectType, Subscriber, UserIdField, resolve_for_removal, resolve_subscriber
from core.iterable import FailureReason
from core.planning.live_diff import Leaver, LiveMembers
from core.planning.live_source import mpid_of
from core.planning.suppression import find_digests
from core.store import erasures
from core.store.erasures import SuppressionList
from core.store.inbox import CUSTOMER_ID_HASHED, EMAIL_HASHED
from core.store.ledger import Entry
from core.store.rejections import Rejection
from core.store.suppressions import KIND

_FORGOTTEN = FailureReason.FORGOTTEN.value


class LiveChange(Protocol):
    """A change of one member, as the inbox has it."""

    @property
    def member_key(self) -> str:
        """The member's key, which tells each person apart."""

    @property
    def is_member(self) -> bool:
        """Whether the member has joined or left."""

    @property
    def email(self) -> str | None:
        """The email in the message."""

    @property
    def customer_id(self) -> str | None:
        """The customer id in the message."""

    @property
    def hashed_fields(self) -> int:
        """Bits of core.store.inbox: the identities that are present only as hashes."""


def map_changes(
    changes: Sequence[LiveChange], field: UserIdField, project_type: ProjectType, *, with_removals: bool
) -> LiveMembers:
    """Return the members of changes. Without `with_removals`, who has left is ignored."""
    members = LiveMembers({}, {}, [])
    for change in changes:
        if change.is_member:
            outcome = resolve_subscriber(_profile(change, field), field, project_type)
            if isinstance(outcome, Subscriber):
                members.desired[change.member_key] = outcome
            else:
                members.rejected.append(Rejection(change.member_key, change.email, change.customer_id, outcome.value))
        elif with_removals:
            outcome = resolve_for_removal(_profile(change, field), field, project_type)
            leaver = Leaver(outcome) if isinstance(outcome, Subscriber) else Leaver(_NOBODY, reason=outcome.value)
            members.leavers[change.member_key] = leaver
    return members


def reject_forgotten(
    members: LiveMembers,
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
    members: LiveMembers, ledger: Sequence[Entry], mapping_id: int, field: UserIdField, suppressed: SuppressionList
) -> None:
    """Reject members that are new to the list if Iterable has rejected exactly these identities for good."""
    known = {row[1] for row in ledger if row[0] == mapping_id}
    digests = set(suppressed.digests)
    keys = [
        key
        for key, (email, user_id) in members.desired.items()
        if key not in known
        and erasures.digest(suppressed.salt, KIND, f"{key}\n{email or ''}\n{_customer_id(user_id, field) or ''}")
        in digests
    ]
    _reject(members, keys, field)


_NOBODY = Subscriber(None, None)


def _profile(change: LiveChange, field: UserIdField) -> Profile:
    mpid = mpid_of(change.member_key) if field is UserIdField.MPID else None  # the rule looks at it only then
    hashed = change.hashed_fields
    if not hashed:  # of nearly all
        return Profile(mpid, change.email, change.customer_id)
    is_hashed = bool(hashed & EMAIL_HASHED), bool(hashed & CUSTOMER_ID_HASHED)
    return Profile(mpid, change.email, change.customer_id, *is_hashed)


def _customer_id(user_id: str | None, field: UserIdField) -> str | None:
    return user_id if field is UserIdField.CUSTOMER_ID else None


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.strip().lower().encode()).digest()


def _reject(members: LiveMembers, member_keys: Collection[str], field: UserIdField) -> None:
    for key in member_keys:
        email, user_id = members.desired.pop(key)
        members.rejected.append(Rejection(key, email, _customer_id(user_id, field), _FORGOTTEN))
