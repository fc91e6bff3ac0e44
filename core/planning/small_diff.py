"""The diff of few members, in Python: who changes on the list, and the batches that say so.

The rules are those of core/planning/diff.py and core/planning/batching.py, which plan large audiences in DuckDB. A
property test compares both. Here no plan was approved before, no users are merged, and every member counts.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple

from core.identity import (
    PLACEHOLDER_DOMAIN,
    ProjectType,
    RejectionReason,
    Subscriber,
    UserIdField,
    placeholder_email,
)
from core.models.batch import FORMER_IDENTITY_PREFIX, FieldsOfMember, Operation, Phase
from core.models.run import SyncMode
from core.planning.batching import drafts_of_entries
from core.planning.diff import DiffCounts
from core.planning.member_account import IdentityProblems
from core.planning.small_exclusions import ExcludedPeople
from core.store.batches import Draft
from core.store.ledger import Entry
from core.store.rejections import EXCLUDED, Rejection


@dataclass(slots=True)
class Leaver:
    """A member that has left, or an identity that no one has now (`is_counted` is False).

    The identity is the source's: if the ledger has another, that one is used. `reason` is why the source's can't be
    used; None if it can.
    """

    identity: Subscriber
    is_counted: bool = True
    reason: str | None = None


@dataclass(slots=True)
class Members:
    """Few members by their keys: who should be on the list, who has left, and who can't be synced.

    `fields` are the data fields of the first, as the JSON that is sent.
    """

    desired: dict[str, Subscriber]
    leavers: dict[str, Leaver]
    rejected: list[Rejection]
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def without_email(self) -> list[str]:
        """The keys of the leavers without an email, in their order: in an email-based project the last known counts."""
        return sorted(
            key for key, leaver in self.leavers.items() if leaver.reason is None and leaver.identity.email is None
        )

    @property
    def ordered_rejections(self) -> list[Rejection]:
        """The rejections in the order of their keys, those without a key last."""
        return sorted(self.rejected, key=lambda each: (each.member_key is None, each.member_key or ""))

    def identities(self, last_known: Mapping[str, str]) -> list[tuple[str, str | None, str | None]]:
        """Return member key, email and user id of all that are looked up in the ledger."""
        identities = [(key, *identity) for key, identity in self.desired.items()]
        for key, leaver in self.leavers.items():
            email, user_id = leaver.identity
            identities.append((key, last_known.get(key) if email is None else email, user_id))
        return identities


@dataclass(frozen=True, slots=True)
class DiffSettings:
    """What decides how members are compared, as for `core.planning.diff.diff_against_ledger`.

    `has_mpid` is whether the source has mpids.
    """

    mapping_id: int
    field: UserIdField
    project_type: ProjectType
    mode: SyncMode
    has_mpid: bool = True


@dataclass(frozen=True, slots=True)
class FieldDigests:
    """What tells whose data fields have changed: `salt` keys the digests; `sent` are the last ones, by member key."""

    salt: str
    sent: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SmallDiff:
    """What was found: the counts, the batches in their order, and the identities that are replaced on the list."""

    counts: DiffCounts
    drafts: list[Draft]
    replaced: int
    problems: IdentityProblems


@dataclass(frozen=True, slots=True)
class _Rules:
    """What a subscriber is, by the type of the Iterable project: as the macros in sql/diff.sql."""

    project_type: ProjectType

    def subscriber_key(self, identity: Subscriber) -> str | None:
        return identity.user_id if self.project_type is ProjectType.USER_ID else identity.email

    def is_kept_by_user_id(self, email: str | None) -> bool:
        return self.project_type is ProjectType.HYBRID or (self.project_type is ProjectType.EMAIL and email is None)

    def former_key(self, identity: Subscriber) -> str:
        key = identity.user_id if self.project_type is ProjectType.USER_ID else identity.email
        if key is None and self.project_type is ProjectType.HYBRID:
            key = identity.user_id
        assert key is not None, "who keeps it has the same"
        return key

    def is_same_subscriber(self, ledger: Subscriber, member: Subscriber) -> bool:
        same_email, same_user_id = (
            mine is not None and mine == other for mine, other in zip(ledger, member, strict=True)
        )
        if self.project_type is ProjectType.HYBRID:
            return same_email or same_user_id
        return same_user_id if self.project_type is ProjectType.USER_ID else same_email

    def is_other_subscriber(self, ledger: Subscriber, member: Subscriber) -> bool:
        if self.project_type is ProjectType.HYBRID:
            return not self.is_same_subscriber(ledger, member)
        return _differ(self.subscriber_key(ledger), self.subscriber_key(member)) is True

    def is_other_identity(self, ledger: Subscriber, member: Subscriber) -> bool | None:
        """None: not known."""
        by_email = _differ(ledger.email, member.email)
        if self.project_type is ProjectType.EMAIL or by_email:
            return by_email
        by_user_id = _differ(ledger.user_id, member.user_id)
        return None if by_email is None and not by_user_id else by_user_id


class _Known(NamedTuple):
    """A row of the ledger, of the mapping itself."""

    identity: Subscriber
    is_confirmed: bool


@dataclass(slots=True)
class _Member:
    """A member that should be on the list, and what becomes of it."""

    key: str
    identity: Subscriber
    known: _Known | None
    is_unchanged: bool
    outcome: str = "add"
    primary: str | None = None
    """The member that is sent for this one: both are one subscriber."""
    needs_rename: bool = False


@dataclass(slots=True)
class _Candidate:
    """An identity that may have to leave the list. `keeper`: the mapping and the member that keep it there.

    If nothing does, `primary` is the candidate that is sent for this subscriber, and `position` its own place there.
    """

    key: str
    identity: Subscriber
    is_leaver: bool
    is_counted: bool
    in_ledger: bool
    keeper: tuple[int, str] | None = None
    primary: str = ""
    position: int = 0


# Place, whether it follows another entry, member key, and the values of a batch's entry.
_Row = tuple[str, bool, str, tuple[Any, ...]]
_DUPLICATE = Operation.DUPLICATE.value
_ORDER = itemgetter(0, 1, 2)
# The keys of members by what they have in common: a subscriber or a user id.
_Keys = dict[str | None, set[str]]


def compare(
    members: Members,
    ledger: Sequence[Entry],
    last_known: Mapping[str, str],
    settings: DiffSettings,
    digests: FieldDigests | None = None,
    excluded: ExcludedPeople | None = None,
) -> SmallDiff:
    """Compare members with the rows of the ledger that matter: in a mirror all of the list.

    `last_known` are emails of leavers by member key. `digests` is None if no data fields are sent, `excluded` if the
    mapping excludes no one. Adds to the leavers and to the rejected members.
    """
    return _Diff(members, ledger, last_known, settings, digests, excluded).compared()


class _Diff:
    def __init__(
        self,
        members: Members,
        ledger: Sequence[Entry],
        last_known: Mapping[str, str],
        settings: DiffSettings,
        digests: FieldDigests | None,
        excluded: ExcludedPeople | None,
    ) -> None:
        self._settings = settings
        self._rules = _Rules(settings.project_type)
        self._own = {row[1]: _Known(Subscriber(*row[2:4]), row[4]) for row in ledger if row[0] == settings.mapping_id}
        self._others = [row for row in ledger if row[0] != settings.mapping_id]
        self._last_known = last_known
        self._rejected = members.rejected
        self._keys = self._ledger_keys(members) if ledger else {}
        self._desired: dict[str, Subscriber] = _renamed(members.desired, self._keys)
        self._leavers = _renamed(members.leavers, self._keys)
        renames = settings.field is UserIdField.MPID
        self._has_renames = renames and settings.project_type is ProjectType.EMAIL
        self._fields = None if digests is None else self._with_digests(members, digests.salt)
        self._sent_before = {} if digests is None else digests.sent
        self._changed = {
            key for key, fields in (self._fields or {}).items() if fields.digest != self._sent_before.get(key)
        }
        self._excluded = excluded

    def compared(self) -> SmallDiff:
        if self._excluded is not None:
            self._exclude(self._excluded)
        self._add_leavers()
        members = {
            key: self._member(key, identity, known)
            if (known := self._own.get(key)) is not None
            else _Member(key, identity, None, False)  # as nearly all are, so without another call
            for key, identity in self._desired.items()
        }
        self._find_duplicates(members)
        self._classify(members)
        candidates = self._candidates(members)
        self._find_keepers(candidates)
        self._order_removals(candidates)
        batches = _Batches(self._rules, members, candidates, self._sent_before)
        return SmallDiff(
            counts=self._counts(members, candidates),
            drafts=[
                draft
                for phase in Phase
                for draft in drafts_of_entries(phase, sorted(batches.rows(phase), key=_ORDER), self._fields)
            ],
            replaced=sum(each.position == 1 and not each.is_leaver for each in candidates),
            problems=self._problems(members),
        )

    def _with_digests(self, members: Members, salt: str) -> dict[str, FieldsOfMember]:
        return {
            key: FieldsOfMember(hashlib.sha256(f"{salt}{key}\n{fields}".encode()).hexdigest()[:32], fields)
            for key, fields in _renamed(members.fields, self._keys).items()
        }

    def _exclude(self, people: ExcludedPeople) -> None:
        """Reject excluded members. Who is on the list and excluded leaves it, whether or not the source has them."""
        by_customer_id = self._settings.field is UserIdField.CUSTOMER_ID
        excluded = {key: identity for key, identity in self._desired.items() if people.has(key, *identity)}
        for key, (email, user_id) in excluded.items():
            del self._desired[key]
            self._rejected.append(Rejection(key, email, user_id if by_customer_id else None, EXCLUDED))
        for key, (identity, _) in self._own.items():
            is_known = key in self._desired or key in self._leavers or key.startswith(FORMER_IDENTITY_PREFIX)
            if not is_known and (key in excluded or people.has(key, *identity)):
                self._leavers[key] = Leaver(identity)

    def _ledger_keys(self, members: Members) -> dict[str, str]:
        """Return the keys under which the ledger knows members that have no mpid."""
        identities = members.desired | {key: leaver.identity for key, leaver in members.leavers.items()}
        without_mpid = {key: each for key, each in identities.items() if key.startswith(("customer:", "email:"))}
        if not without_mpid:
            return {}
        by_user_id: dict[str | None, str] = {}
        by_email: dict[str | None, str] = {}
        for ledger_key, (identity, _) in self._own.items():
            if ledger_key not in identities:
                for value, keys in ((identity.user_id, by_user_id), (identity.email, by_email)):
                    if value is not None:
                        keys[value] = min(keys.get(value, ledger_key), ledger_key)
        if self._settings.project_type is ProjectType.USER_ID:
            by_email = {}  # two people may have one
        chosen: dict[str, str] = {}
        for key, identity in without_mpid.items():
            found_key = by_user_id.get(identity.user_id) or by_email.get(identity.email)
            if found_key is not None:
                chosen[found_key] = min(chosen.get(found_key, key), key)
        return {key: ledger_key for ledger_key, key in chosen.items()}

    def _add_leavers(self) -> None:
        """Add former identities that an unfinished run has left in the ledger.

        In a mirror, whoever is not in the source has left, too. Who was rejected stays on the list.
        """
        rejected = {each.member_key for each in self._rejected}
        is_mirror = self._settings.mode is SyncMode.MIRROR
        for key, (identity, _) in self._own.items():
            if key in self._desired or key in self._leavers:
                continue
            if key.startswith(FORMER_IDENTITY_PREFIX):
                self._leavers[key] = Leaver(identity, is_counted=False)
            elif is_mirror and key not in rejected:
                self._leavers[key] = Leaver(identity)

    def _member(self, key: str, identity: Subscriber, known: _Known) -> _Member:
        email, user_id = known.identity
        is_same = (identity.email is None or email == identity.email) and user_id == identity.user_id
        is_unchanged = known.is_confirmed and is_same and key not in self._changed
        member = _Member(key, identity, known, is_unchanged)
        if self._has_renames:
            placeholder = placeholder_email(key)
            had_placeholder = not known.is_confirmed if email is None else email == placeholder
            member.needs_rename = identity.email != placeholder and had_placeholder
        return member

    def _find_duplicates(self, members: dict[str, _Member]) -> None:
        is_by_user_id = self._settings.project_type is ProjectType.USER_ID
        firsts = _shared(members.values(), 1 if is_by_user_id else 0)
        for group in firsts:
            group.sort(key=self._precedence)
            for member in group[1:]:
                member.primary = group[0].key
        if self._settings.project_type is not ProjectType.HYBRID:
            return
        primaries: dict[str, str] = {}
        for group in _shared((member for member in members.values() if member.primary is None), 1):
            group.sort(key=_precedence_of_user_id)
            primaries |= dict.fromkeys((member.key for member in group[1:]), group[0].key)
        if primaries:
            for member in members.values():
                if member.primary is not None:
                    member.primary = primaries.get(member.primary, member.primary)
            for key, primary in primaries.items():
                members[key].primary = primary

    def _precedence(self, member: _Member) -> tuple[bool, bool, bool, str]:
        """A member that is on the list under exactly this identity comes first, so that nothing changes for it."""
        is_same = member.known is not None and self._rules.is_same_subscriber(member.known.identity, member.identity)
        return not member.is_unchanged, not is_same, member.identity.email is None, member.key

    def _classify(self, members: dict[str, _Member]) -> None:
        by_other_mapping = self._on_list_by_other_mapping()
        by_subscriber, by_user_id = self._mergeable()
        has_others = bool(by_subscriber or by_user_id)
        for member in members.values():
            if member.primary is not None:
                member.outcome = "duplicate"
            elif member.is_unchanged:
                member.outcome = "unchanged"
            elif by_other_mapping and self._is_retained(member, by_other_mapping):
                member.outcome = "retained"
            elif (member.known is not None and self._is_in_ledger(member, member.known)) or (
                has_others and self._is_merged(member, by_subscriber, by_user_id)
            ):
                member.outcome = "update"

    def _is_in_ledger(self, member: _Member, known: _Known) -> bool:
        """Return whether the ledger has a member as another identity, or as one that is on the list."""
        is_interrupted = known.identity.email is None and self._has_renames
        is_other = self._rules.is_other_subscriber(known.identity, member.identity)
        return known.is_confirmed or is_other or is_interrupted

    def _is_merged(self, member: _Member, by_subscriber: _Keys, by_user_id: _Keys) -> bool:
        """Return whether a member is on the list under another profile."""
        of_subscriber = by_subscriber.get(self._rules.subscriber_key(member.identity))
        of_user_id = by_user_id.get(member.identity.user_id)
        return any(keys is not None and keys != {member.key} for keys in (of_subscriber, of_user_id))

    def _on_list_by_other_mapping(self) -> dict[str | None, list[Subscriber]]:
        """Return the identities that other mappings have on the list, by subscriber."""
        identities: dict[str | None, list[Subscriber]] = defaultdict(list)
        for _, _, email, user_id, is_confirmed in self._others:
            identity = Subscriber(email, user_id)
            if is_confirmed and (key := self._rules.subscriber_key(identity)) is not None:
                identities[key].append(identity)
        return identities

    def _is_retained(self, member: _Member, by_other_mapping: Mapping[str | None, list[Subscriber]]) -> bool:
        email, user_id = member.identity
        if member.key in self._changed:  # who is on the list because of another mapping gets the fields of this one
            return False
        if not any(
            email in (None, other.email) and user_id in (None, other.user_id)
            for other in by_other_mapping.get(self._rules.subscriber_key(member.identity), ())
        ):
            return False
        if member.known is None:
            return True
        if member.known.is_confirmed:
            return False
        differs = self._rules.is_other_identity(member.known.identity, member.identity)
        return not (self._has_renames if differs is None else differs)

    def _mergeable(self) -> tuple[_Keys, _Keys]:
        """Return who is on the list, by subscriber, and by user id if that keeps them there: the keys of profiles.

        If a member is there under another profile, mParticle has merged the two, or is about to.
        """
        by_subscriber: dict[str | None, set[str]] = defaultdict(set)
        by_user_id: dict[str | None, set[str]] = defaultdict(set)
        is_delta = self._settings.mode is SyncMode.DELTA
        for key, (identity, is_confirmed) in self._own.items():
            if is_confirmed and (is_delta or key in self._leavers):
                if (subscriber := self._rules.subscriber_key(identity)) is not None:
                    by_subscriber[subscriber].add(key)
                if identity.user_id is not None and self._rules.is_kept_by_user_id(identity.email):
                    by_user_id[identity.user_id].add(key)
        return by_subscriber, by_user_id

    def _candidates(self, members: dict[str, _Member]) -> list[_Candidate]:
        """Return the identities that may have to leave the list: those of leavers, and former ones of members."""
        candidates: list[_Candidate] = []
        for key, leaver in self._leavers.items():
            if (row := self._own.get(key)) is not None:
                candidates.append(_Candidate(key, row.identity, True, leaver.is_counted, True))
            elif leaver.reason is not None:
                self._rejected.append(Rejection(key, None, None, leaver.reason))
            else:
                email, user_id = leaver.identity
                identity = Subscriber(self._last_known.get(key) if email is None else email, user_id)
                candidates.append(_Candidate(key, identity, True, leaver.is_counted, False))
        for member in members.values():
            if member.known is None or (member.needs_rename and member.outcome == "update"):
                continue
            former = self._last_identity(member.key, member.known)
            if self._rules.is_other_subscriber(former, member.identity):
                candidates.append(_Candidate(member.key, former, False, False, True))
        return candidates

    def _last_identity(self, key: str, known: _Known) -> Subscriber:
        """Return the identity under which a member is on the list.

        An interrupted rename that is not tried again, because the User ID setting has changed, leaves the placeholder.
        """
        email, user_id = known.identity
        is_interrupted = not known.is_confirmed and user_id == key
        if self._settings.project_type is ProjectType.EMAIL and email is None and is_interrupted:
            return Subscriber(placeholder_email(key), user_id)
        return known.identity

    def _find_keepers(self, candidates: Sequence[_Candidate]) -> None:
        """Find what keeps identities on the list: a member, another mapping, or a row that this run does not change."""
        if not candidates:
            return
        by_subscriber: dict[str | None, tuple[int, str]] = {}
        by_user_id: dict[str | None, tuple[int, str]] = {}
        for identity, keeper in self._keeping():
            for value, keepers in (
                (self._rules.subscriber_key(identity), by_subscriber),
                (identity.user_id, by_user_id),
            ):
                if value is not None:
                    keepers[value] = min(keepers.get(value, keeper), keeper)
        for each in candidates:
            of_candidate = [by_subscriber.get(self._rules.subscriber_key(each.identity))]
            if self._rules.is_kept_by_user_id(each.identity.email):
                of_candidate.append(by_user_id.get(each.identity.user_id))
            each.keeper = min((keeper for keeper in of_candidate if keeper is not None), default=None)

    def _keeping(self) -> Iterator[tuple[Subscriber, tuple[int, str]]]:
        own = self._settings.mapping_id
        for key, identity in self._desired.items():
            yield identity, (own, key)
        for mapping_id, key, email, user_id, _ in self._others:
            yield Subscriber(email, user_id), (mapping_id, key)
        for key, (identity, _) in self._own.items():
            if key not in self._desired and key not in self._leavers:
                yield identity, (own, key)

    def _order_removals(self, candidates: Sequence[_Candidate]) -> None:
        """Of several identities with the same subscriber, the first is sent: a counted leaver's, if there is one."""
        groups: dict[tuple[str, str | None], list[_Candidate]] = defaultdict(list)
        for each in candidates:
            if each.keeper is None:
                subscriber, (email, user_id) = self._rules.subscriber_key(each.identity), each.identity
                kind, value = ("u", user_id) if user_id is not None else ("e", email)
                groups[("k", subscriber) if subscriber is not None else (kind, value)].append(each)
        for group in groups.values():
            group.sort(key=lambda each: (not (each.is_leaver and each.is_counted), not each.is_leaver, each.key))
            for position, each in enumerate(group, 1):
                each.primary, each.position = group[0].key, position

    def _counts(self, members: dict[str, _Member], candidates: Sequence[_Candidate]) -> DiffCounts:
        outcomes = [member.outcome for member in members.values()]
        leaving = [each for each in candidates if each.is_leaver and each.is_counted]
        to_remove = sum(each.position == 1 for each in leaving)
        return DiffCounts(
            left=sum(leaver.is_counted for leaver in self._leavers.values()),
            to_add=outcomes.count("add"),
            to_update=outcomes.count("update"),
            to_remove=to_remove,
            unchanged=outcomes.count("unchanged"),
            duplicates=outcomes.count("duplicate") + outcomes.count("retained") + len(leaving) - to_remove,
        )

    def _problems(self, members: dict[str, _Member]) -> IdentityProblems:
        """As `core.planning.member_account.identity_problems`."""
        lost_user_ids = sum(
            member.known is not None and _has_lost_user_id(member, member.known.identity) for member in members.values()
        )
        other = ("customer:", "email:", FORMER_IDENTITY_PREFIX)
        ledger_keys = self._keys.values() if self._settings.has_mpid else ()
        lost_mpids = sum(not ledger_key.startswith(other) for ledger_key in ledger_keys)
        reasons = [each.reason for each in self._rejected]
        known = [
            (each.reason, self._own[each.member_key].identity.email)
            for each in self._rejected
            if each.member_key in self._own
        ]
        lost_subscribers = sum(reason == RejectionReason.NO_USER_ID.value for reason, _ in known)
        return IdentityProblems(
            shared_customer_ids=reasons.count(RejectionReason.SHARED_CUSTOMER_ID.value),
            lost_ids=max(lost_user_ids, lost_mpids, lost_subscribers),
            lost_emails=sum(
                reason == RejectionReason.NO_EMAIL.value
                and email is not None
                and not email.endswith(f"@{PLACEHOLDER_DOMAIN}")
                for reason, email in known
            ),
        )


class _Batches:
    """The entries of each phase, as core/planning/batching.py has them."""

    def __init__(
        self,
        rules: _Rules,
        members: dict[str, _Member],
        candidates: Sequence[_Candidate],
        sent_before: Mapping[str, str],
    ) -> None:
        self._rules = rules
        self._candidates = candidates
        self._by_outcome: dict[str, list[_Member]] = defaultdict(list)
        for member in members.values():
            self._by_outcome[member.outcome].append(member)
        # duplicates that the ledger does not record as on the list under the identity of the member sent for them, and
        # those whose own data fields no longer count, because those of that member are sent
        self._unrecorded = [
            (member, primary)
            for member in members.values()
            if member.primary is not None
            and (
                member.known != _Known((primary := members[member.primary]).identity, is_confirmed=True)
                or (member.key in sent_before and primary.outcome in ("add", "update"))
            )
        ]

    def rows(self, phase: Phase) -> Iterable[_Row]:
        if phase is Phase.REMOVE:
            return self._removals()
        if phase is Phase.RETAIN:
            return self._retained()
        if phase is Phase.RENAME:
            return self._renames()
        if phase is Phase.RELEASE:
            return self._releases()
        is_update = phase is Phase.UPDATE
        return self._subscribed(*(("update", Operation.UPDATE.value) if is_update else ("add", Operation.ADD.value)))

    def _removals(self) -> Iterator[_Row]:
        for each in self._candidates:
            if each.keeper is not None:
                continue
            role = Operation.REMOVE.value if each.is_leaver and each.is_counted else Operation.UNSUBSCRIBE_FORMER.value
            follows = each.position > 1
            more = (False,) if each.is_leaver and not each.in_ledger else ()
            yield _row(each.primary, _DUPLICATE if follows else role, each.key, each.identity, more)

    def _retained(self) -> Iterator[_Row]:
        for member in self._by_outcome["retained"]:
            yield _row(member.key, Operation.RETAIN.value, member.key, member.identity, _former_state(member))
        for member, primary in self._unrecorded:
            if primary.outcome in ("retained", "unchanged"):
                yield _row(member.key, Operation.RETAIN.value, member.key, primary.identity, _former_state(member))
        for key, identity, _ in self._former():  # before all others, which replace it
            yield _row(f"!{key}", Operation.RETAIN.value, f"{FORMER_IDENTITY_PREFIX}{key}", identity)

    def _renames(self) -> Iterator[_Row]:
        for member in self._by_outcome["update"]:
            if member.needs_rename:
                former = Subscriber(placeholder_email(member.key), member.identity.user_id)
                yield _row(member.key, Operation.RENAME.value, member.key, former, (member.identity.email,))

    def _subscribed(self, outcome: str, role: str) -> Iterator[_Row]:
        for member in self._by_outcome[outcome]:  # nearly all are here, so without calls
            key, identity, known = member.key, member.identity, member.known
            former = () if known is None else (*known.identity,)
            yield key, False, key, (role, key, identity[0], identity[1], former)
        for member, primary in self._unrecorded:
            if primary.outcome == outcome:
                yield _row(primary.key, _DUPLICATE, member.key, primary.identity, _former_state(member))

    def _releases(self) -> Iterator[_Row]:
        for each in self._candidates:
            if each.keeper is not None and each.in_ledger:
                role = Operation.RELEASE.value if each.is_leaver else Operation.UNSUBSCRIBE_FORMER.value
                yield _row(each.key, role, each.key, each.identity, each.keeper)
        for key, identity, keeper in self._former():
            former = f"{FORMER_IDENTITY_PREFIX}{key}"
            yield _row(former, Operation.RELEASE.value, former, identity, keeper)

    def _former(self) -> Iterator[tuple[str, Subscriber, tuple[int, str]]]:
        """Yield the former identities of members that something keeps on the list: key, identity, and the first that
        keeps it."""
        groups: dict[str, list[tuple[Subscriber, tuple[int, str]]]] = defaultdict(list)
        for each in self._candidates:
            if each.keeper is not None and not each.is_leaver:
                groups[self._rules.former_key(each.identity)].append((each.identity, each.keeper))
        for key, group in groups.items():
            emails, user_ids = zip(*(identity for identity, _ in group), strict=True)
            yield key, Subscriber(_least(emails), _least(user_ids)), min(keeper for _, keeper in group)


def _shared(members: Iterable[_Member], part: int) -> list[list[_Member]]:
    """Return the members that have a part of their identity (0: email, 1: user id) in common, in groups."""
    firsts: dict[str, _Member] = {}
    groups: dict[str, list[_Member]] = {}
    for member in members:
        value = member.identity[part]
        if value is not None and (first := firsts.setdefault(value, member)) is not member:
            groups.setdefault(value, [first]).append(member)
    return [*groups.values()]


def _has_lost_user_id(member: _Member, ledger: Subscriber) -> bool:
    email, user_id = ledger
    is_same = email is not None and email == member.identity.email
    return is_same and user_id not in (None, member.key) and member.identity.user_id is None


def _precedence_of_user_id(member: _Member) -> tuple[bool, bool, str]:
    known, user_id = member.known, member.identity.user_id
    return not member.is_unchanged, known is None or known.identity.user_id != user_id, member.key


def _differ(one: str | None, other: str | None) -> bool | None:
    """Return whether two values differ; None if either is not known."""
    return None if one is None or other is None else one != other


def _least(values: Iterable[str | None]) -> str | None:
    return min((value for value in values if value is not None), default=None)


def _renamed(by_key: dict[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    return {keys.get(key, key): value for key, value in by_key.items()} if keys else by_key


def _former_state(member: _Member) -> tuple[Any, ...]:
    """Return the ledger's row before the run, so that the run can be undone."""
    return () if member.known is None else (*member.known.identity,)


def _row(place: str, role: str, key: str, identity: Subscriber, more: tuple[Any, ...] = ()) -> _Row:
    return place, role == _DUPLICATE, key, (role, key, identity[0], identity[1], more)
