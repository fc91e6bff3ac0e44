"""Planning a few live changes in memory. The caller reads what it needs from the database, and stores its result."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from core.identity import ProjectType
from core.iterable import FailureReason
from core.models.batch import Phase
from core.models.run import Run, RunPlan, SyncMode
from core.planning.ledger_lookup import LedgerLookup
from core.planning.live_diff import DiffSettings, plan_changes
from core.planning.live_rejections import LiveChange, map_changes, reject_forgotten, reject_suppressed
from core.planning.live_source import live_source
from core.planning.plan_storage import work_of
from core.planning.run_source import sync_mode
from core.store.batches import Draft
from core.store.erasures import SuppressionList
from core.store.ledger import Entry
from core.store.mappings import AudienceMapping, RemovalPolicy
from core.store.rejections import Rejection


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


class LivePlanning:
    """The planning of up to SMALL_MEMBERS live changes of a run.

    It happens in three steps, so that the caller reads from the database for several mappings at once: the last known
    emails of `without_email`, then the rows of the ledger for `lookup()`, then `plan()`.
    """

    def __init__(self, planned: Run, target: AudienceMapping, changes: Sequence[LiveChange]) -> None:
        """Take the run, its mapping and the changes. The run has no approved plan and sends no data fields."""
        self._planned = planned
        self._target = target
        self._source = live_source(len(changes), has_fields=False)
        self._mode = sync_mode(planned, target, self._source)
        # no leavers are computed for a mapping that keeps them
        self._removes = self._mode is SyncMode.DELTA and target.removal_policy is not RemovalPolicy.KEEP
        self._joined = sum(change.is_member for change in changes)
        self._members = map_changes(changes, planned.user_id_field, planned.project_type, with_removals=self._removes)
        self._last_known: dict[str, str] = {}

    @property
    def without_email(self) -> list[str]:
        """The member keys whose last known emails are needed."""
        if self._planned.project_type is not ProjectType.EMAIL:  # in others a user id alone is precise
            return []
        leavers = self._members.leavers.items()
        return sorted(key for key, leaver in leavers if leaver.reason is None and leaver.identity.email is None)

    def lookup(self, mapping_ids: Sequence[int], last_known: Sequence[tuple[str, str]] = ()) -> LedgerLookup:
        """Return what to look up in the ledger. `mapping_ids` are all mappings of the list, `last_known` the emails."""
        self._last_known = dict(last_known)
        members = [(key, *identity) for key, identity in self._members.desired.items()]
        for key, leaver in self._members.leavers.items():
            email, user_id = leaver.identity
            members.append((key, self._last_known.get(key) if email is None else email, user_id))
        return LedgerLookup(members, self._target.id, mapping_ids, self._planned.project_type)

    def plan(
        self,
        ledger_rows: Sequence[Entry],
        suppressed: SuppressionList | None,
        forgotten: tuple[Path | None, Path | None] | None,
    ) -> LivePlan:
        """Return the plan. The last two are as for `plan_run`."""
        members, planned, target = self._members, self._planned, self._target
        field = planned.user_id_field
        if forgotten is not None:
            reject_forgotten(members, ledger_rows, target.id, field, forgotten)
        if suppressed is not None:
            reject_suppressed(members, ledger_rows, target.id, field, suppressed)
        settings = DiffSettings(target.id, field, planned.project_type, self._removes)
        counts, drafts = plan_changes(members, ledger_rows, self._last_known, settings)
        rejected = sorted(members.rejected, key=lambda each: each.member_key or "")
        requests = work_of(drafts).requests
        plan = RunPlan(
            shape=self._source.shape,
            file_name=self._source.file_name,
            audience_id=target.audience_id,
            audience_name=target.audience_name,
            rows_read=self._source.rows,
            members=self._joined,
            rejected=len(rejected),
            forgotten=sum(each.reason == FailureReason.FORGOTTEN for each in rejected),
            settings=target.settings_digest,
            requests=requests,
            seconds=requests / planned.rate if planned.rate else 0.0,
            **asdict(counts),
        )
        return LivePlan(plan, self._mode, drafts, rejected)
