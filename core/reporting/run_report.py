"""The report of a run: the same numbers for the terminal, for programs (JSON) and for spreadsheets (CSV)."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Self

from core.models.run import Run, RunPlan, RunStatus
from core.store.mappings import is_new_list


@dataclass(slots=True)
class RunReport:
    """The outcome of a run. The fields are those of the JSON object, in its order.

    For a run that is only planned (a dry run, or one awaiting approval), `added`, `updated` and `removed` are the
    plan's numbers. `run_id` is None if no run was created.
    """

    run_id: str | None = None
    status: str = RunStatus.FAILED.value
    mode: str | None = None
    user_id: str | None = None
    list_id: int | None = None
    audience: str | None = None
    members: int = 0
    left: int = 0
    added: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    duplicates: int = 0
    rejected: int = 0
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    merged: int = 0
    duration_s: float = 0.0
    error: str | None = None
    rows_read: int = 0
    rows_merged: int = 0
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, run: Run, by_reason: Mapping[str, int], now: float = 0.0) -> Self:
        """Build the report from a run and its number of rejections per reason.

        `now` is the time by the database's clock (UTC seconds). Without it, a run that has not ended took no time yet.
        """
        counters = {**run.counters.model_dump(), "merged": run.merged}
        error = run.error
        if run.plan is not None and run.status in (RunStatus.PLANNED, RunStatus.NEEDS_APPROVAL):
            counters |= _planned(run.plan)
        if run.plan is not None and run.status is RunStatus.NEEDS_APPROVAL:
            error = " ".join(guard.message for guard in run.plan.guards)
        return cls(
            run_id=run.id,
            status=run.status.value,
            mode=run.mode.value,
            user_id=run.user_id_field.value,
            list_id=None if is_new_list(run.list_id) else run.list_id,
            audience=run.audience,
            **counters,
            # rejections of a failed planning do not count
            rejected_by_reason=dict(by_reason) if run.plan is not None else {},
            requests=run.requests,
            retries=run.retries,
            throttled=run.throttled,
            duration_s=_duration(run, now),
            error=error,
            rows_read=run.plan.rows_read if run.plan else 0,
            rows_merged=run.plan.rows_merged if run.plan else 0,
            notes=[*filter(None, [run.plan.removal_note]), *run.plan.notes] if run.plan else [],
        )

    def fail(self, sentence: str, *, is_interrupted: bool) -> None:
        """Record that the command failed, or was interrupted, and why."""
        self.status = (RunStatus.INTERRUPTED if is_interrupted else RunStatus.FAILED).value
        self.error = sentence

    def to_json(self) -> str:
        """Return the JSON object, on one line."""
        return json.dumps(asdict(self))


def _planned(plan: RunPlan) -> dict[str, int]:
    planned = {"added": plan.to_add, "updated": plan.to_update, "removed": plan.to_remove}
    return {**planned, "merged": plan.to_merge}


def _duration(run: Run, now: float) -> float:
    if run.started_at is None:
        return 0.0
    ended = run.finished_at or now
    return round(max(0.0, ended - run.started_at - run.approval_wait_s), 3)
