"""Planning a few live changes in memory. The caller reads what it needs from the database, and stores its result."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from core.identity import ProjectType
from core.iterable import FailureReason
from core.models.batch import Phase
from core.models.run import Run, RunPlan, SyncMode
from core.planning import batching
from core.planning.diff import diff_against_ledger
from core.planning.identity_mapping import map_changes
from core.planning.last_known_emails import without_email
from core.planning.ledger_lookup import LedgerLookup
from core.planning.live_source import SourceRow, live_source
from core.planning.plan_storage import rejections_of, work_of
from core.planning.run_source import sync_mode
from core.planning.small_workspace import SmallWorkspace
from core.planning.suppression import reject_forgotten_few, reject_suppressed_few
from core.planning.workspace import fill_ledger, insert
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
    """The planning of up to SMALL_MEMBERS live changes of a run. Use it in `with`.

    It happens in three steps, so that the caller reads from the database for several mappings at once: the last known
    emails of `without_email`, then the rows of the ledger for `lookup()`, then `plan()`.
    """

    def __init__(self, planned: Run, target: AudienceMapping, rows: Sequence[SourceRow]) -> None:
        """Take the run, its mapping and the changes. The run has no approved plan and sends no data fields."""
        self._planned = planned
        self._target = target
        self._source = live_source(rows, has_fields=False)
        self._mode = sync_mode(planned, target, self._source)
        # no leavers are computed for a mapping that keeps them
        self._diff_mode = SyncMode.ADD if target.removal_policy is RemovalPolicy.KEEP else self._mode
        self._con = SmallWorkspace()
        self._members = sum(is_member for _, _, is_member, *_ in rows)
        with_removals = self._diff_mode is SyncMode.DELTA
        map_changes(self._con, rows, planned.user_id_field, planned.project_type, with_removals=with_removals)

    def __enter__(self) -> Self:
        """Do nothing."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Forget the members."""
        self._con.close()

    @property
    def without_email(self) -> list[str]:
        """The member keys whose last known emails are needed."""
        if self._planned.project_type is not ProjectType.EMAIL:  # in others a user id alone is precise
            return []
        return without_email(self._con)

    def lookup(self, mapping_ids: Sequence[int], last_known: Sequence[tuple[str, str]] = ()) -> LedgerLookup:
        """Return what to look up in the ledger. `mapping_ids` are all mappings of the list, `last_known` the emails."""
        insert(self._con, "last_known_emails", last_known)
        return LedgerLookup(self._con, self._target.id, mapping_ids, self._planned.project_type)

    def plan(
        self,
        ledger_rows: Sequence[Entry],
        suppressed: SuppressionList | None,
        forgotten: tuple[Path | None, Path | None] | None,
    ) -> LivePlan:
        """Return the plan. The last two are as for `plan_run`."""
        con, planned, target = self._con, self._planned, self._target
        fill_ledger(con, ledger_rows)
        if forgotten is not None:
            reject_forgotten_few(con, target.id, planned.user_id_field, *forgotten)
        if suppressed is not None:
            reject_suppressed_few(con, target.id, planned.user_id_field, suppressed)
        counts = diff_against_ledger(
            con,
            mapping_id=target.id,
            field=planned.user_id_field,
            mode=self._diff_mode,
            project_type=planned.project_type,
        )
        rejected = rejections_of(con)
        drafts = [draft for phase in batching.prepare(con) for draft in batching.iter_drafts(con, phase)]
        requests = work_of(drafts).requests
        plan = RunPlan(
            shape=self._source.shape,
            file_name=self._source.file_name,
            audience_id=target.audience_id,
            audience_name=target.audience_name,
            rows_read=self._source.rows,
            members=self._members,
            rejected=len(rejected),
            forgotten=sum(each.reason == FailureReason.FORGOTTEN for each in rejected),
            settings=target.settings_digest,
            requests=requests,
            seconds=requests / planned.rate if planned.rate else 0.0,
            **asdict(counts),
        )
        return LivePlan(plan, self._mode, drafts, rejected)
