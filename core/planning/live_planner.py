"""Planning a few live changes in memory. The caller reads what it needs from the database, and stores its result."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from core.identity import ProjectType, UserIdField
from core.iterable import FailureReason
from core.models.batch import Phase
from core.models.run import Run, RunPlan, SyncMode
from core.planning.data_fields import FieldSettings
from core.planning.ledger_lookup import LedgerLookup
from core.planning.live_source import live_source, mpid_of
from core.planning.plan_storage import work_of
from core.planning.run_source import sync_mode
from core.planning.small_diff import DiffSettings, FieldDigests, compare
from core.planning.small_exclusions import ExcludedPeople
from core.planning.small_fields import SmallValues, add_fields
from core.planning.small_rejections import map_few, reject_forgotten, reject_suppressed
from core.store.batches import Draft
from core.store.erasures import SuppressionList
from core.store.ledger import Entry
from core.store.mappings import AudienceMapping, RemovalPolicy
from core.store.rejections import EXCLUDED, Rejection


@dataclass(frozen=True, slots=True)
class LivePlan:
    """The plan of a few live changes: its batches in the order in which they are sent, and who can't be synced."""

    plan: RunPlan
    mode: SyncMode
    drafts: Sequence[Draft]
    rejections: Sequence[Rejection]

    @property
    def phases(self) -> list[Phase]:
        """The phase of each batch."""
        return [draft.phase for draft in self.drafts]


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


@dataclass(frozen=True, slots=True)
class LiveFields:
    """The data fields of live changes: their settings, and the attributes of changes by member key."""

    settings: FieldSettings
    values: SmallValues


class LivePlanning:
    """The planning of up to SMALL_MEMBERS live changes of a run.

    It happens in steps, so that the caller reads from the database for several mappings at once: the last known emails
    of `without_email`, then the rows of the ledger for `lookup()`, then `plan()`. Before that come the digests of
    `digests_needed` if data fields are sent, and who is excluded of `identities` if anyone is.
    """

    def __init__(
        self,
        planned: Run,
        target: AudienceMapping,
        changes: Sequence[LiveChange],
        fields: LiveFields | None = None,
    ) -> None:
        """Take the run, its mapping and the changes. The run has no approved plan. Without `fields`, none are sent."""
        self._planned = planned
        self._target = target
        self._fields = fields
        self._source = live_source(len(changes), has_fields=fields is not None)
        self._mode = sync_mode(planned, target, self._source)
        # no leavers are computed for a mapping that keeps them
        self._diff_mode = SyncMode.ADD if target.removal_policy is RemovalPolicy.KEEP else self._mode
        joined = {change.member_key for change in changes if change.is_member}
        self._joined = len(joined)
        self._values = {} if fields is None else {key: of for key, of in fields.values.items() if key in joined}
        # the rule looks at the mpid only if that is sent
        mpid = mpid_of if planned.user_id_field is UserIdField.MPID else _no_mpid
        rows = (
            (each.member_key, mpid(each.member_key), each.is_member, each.email, each.customer_id, each.hashed_fields)
            for each in changes
        )
        with_removals = self._diff_mode is SyncMode.DELTA
        self._members = map_few(rows, planned.user_id_field, planned.project_type, with_removals=with_removals)
        self._last_known: dict[str, str] = {}

    @property
    def without_email(self) -> list[str]:
        """The member keys whose last known emails are needed."""
        if self._planned.project_type is not ProjectType.EMAIL:  # in others a user id alone is precise
            return []
        return self._members.without_email

    def lookup(self, mapping_ids: Sequence[int], last_known: Sequence[tuple[str, str]] = ()) -> LedgerLookup:
        """Return what to look up in the ledger. `mapping_ids` are all mappings of the list, `last_known` the emails."""
        self._last_known = dict(last_known)
        identities = self._members.identities(self._last_known)
        return LedgerLookup(identities, self._target.id, mapping_ids, self._planned.project_type)

    def digests_needed(self, ledger_rows: Sequence[Entry]) -> list[str]:
        """Return the member keys whose digests of data fields the plan compares: those that the ledger has."""
        if self._fields is None:
            return []
        return [key for mapping_id, key, *_ in ledger_rows if mapping_id == self._target.id]

    def identities(self, ledger_rows: Sequence[Entry]) -> list[tuple[str, str | None, str | None]]:
        """Return the identities that the plan compares with the excluded people."""
        return [*self._members.identities({}), *(row[1:4] for row in ledger_rows if row[0] == self._target.id)]

    def plan(
        self,
        ledger_rows: Sequence[Entry],
        suppressed: SuppressionList | None,
        forgotten: tuple[Path | None, Path | None] | None,
        digests: Mapping[str, str] | None = None,
        excluded: ExcludedPeople | None = None,
    ) -> LivePlan:
        """Return the plan. `suppressed` and `forgotten` are as for `plan_run`, the others as for `compare`."""
        members, planned, target = self._members, self._planned, self._target
        field = planned.user_id_field
        if forgotten is not None:
            reject_forgotten(members, ledger_rows, target.id, field, forgotten)
        if suppressed is not None:
            reject_suppressed(members, ledger_rows, target.id, field, suppressed)
        settings = DiffSettings(target.id, field, planned.project_type, self._diff_mode)
        notes: tuple[str, ...] = ()
        before = None
        if self._fields is not None:
            notes = add_fields(members, self._values, self._fields.settings, field)
            before = FieldDigests(self._fields.settings.salt, digests or {})
        diff = compare(members, ledger_rows, self._last_known, settings, before, excluded)
        rejected = members.ordered_rejections
        requests = work_of(diff.drafts).requests
        plan = RunPlan(
            shape=self._source.shape,
            file_name=self._source.file_name,
            audience_id=target.audience_id,
            audience_name=target.audience_name,
            rows_read=self._source.rows,
            notes=notes,
            fields={} if self._fields is None else dict(self._fields.settings.choices),
            members=self._joined,
            rejected=len(rejected),
            forgotten=sum(each.reason == FailureReason.FORGOTTEN for each in rejected),
            excluded=sum(each.reason == EXCLUDED for each in rejected),
            settings=target.settings_digest,
            requests=requests,
            seconds=requests / planned.rate if planned.rate else 0.0,
            **asdict(diff.counts),
        )
        return LivePlan(plan, self._mode, diff.drafts, rejected)


def _no_mpid(_member_key: str) -> None:
    return None
