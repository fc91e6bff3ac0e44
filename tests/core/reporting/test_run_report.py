"""The report of a run: its numbers as a JSON object, and its rejections as CSV rows."""

import json

import pytest

from core.identity import RejectionReason, UserIdField
from core.iterable import FailureReason
from core.models.run import Guard, GuardName, Run, RunCounters, RunPlan, RunRequest, RunStatus, SyncMode
from core.reporting.rejected_csv import CSV_HEADER, csv_row
from core.reporting.rejection_reasons import EXPLANATIONS, explain
from core.reporting.run_report import RunReport
from core.store.rejections import ERASED, EXCLUDED, UNATTRIBUTED, Rejection

KEYS = [
    "run_id",
    "status",
    "mode",
    "user_id",
    "list_id",
    "audience",
    "members",
    "left",
    "added",
    "updated",
    "removed",
    "unchanged",
    "duplicates",
    "rejected",
    "rejected_by_reason",
    "requests",
    "retries",
    "throttled",
    "merged",
    "duration_s",
    "error",
    "rows_read",
    "rows_merged",
    "notes",
]


def make_run(**values: object) -> Run:
    """A run of three members; two were added."""
    defaults: dict[str, object] = {
        "id": "abc",
        "mapping_id": 1,
        "connection_id": 1,
        "list_id": 42,
        "status": RunStatus.SUCCEEDED,
        "phase": "uploading",
        "mode": SyncMode.MIRROR,
        "user_id_field": UserIdField.CUSTOMER_ID,
        "rate": 5.0,
        "audience": "Shoppers",
        "request": RunRequest(path="audience.csv"),
        "plan": RunPlan(rows_read=4, rows_merged=1, members=3, rejected=1, to_add=2),
        "ledger_revision": 1,
        "attempt": 0,
        "worker_id": "w",
        "stop_requested": None,
        "counters": RunCounters(members=3, added=2, rejected=1),
        "requests": 1,
        "retries": 0,
        "throttled": 0,
        "created_at": 100.0,
        "started_at": 101.0,
        "finished_at": 103.5,
        "error": None,
        "error_code": None,
    }
    return Run.model_validate({**defaults, **values})


def test_object_has_the_documented_keys_in_order() -> None:
    """The JSON object is one line with exactly the documented keys."""
    line = RunReport.of(make_run(), {"no_email": 1}).to_json()

    assert "\n" not in line
    assert list(json.loads(line)) == KEYS


def test_numbers_are_those_of_the_run() -> None:
    """The object has the run's numbers."""
    report = json.loads(RunReport.of(make_run(), {"no_email": 1}).to_json())

    assert report == {
        **dict.fromkeys(KEYS, 0),
        "run_id": "abc",
        "status": "succeeded",
        "mode": "mirror",
        "user_id": "customerId",
        "list_id": 42,
        "audience": "Shoppers",
        "members": 3,
        "added": 2,
        "rejected": 1,
        "rejected_by_reason": {"no_email": 1},
        "requests": 1,
        "duration_s": 2.5,
        "error": None,
        "rows_read": 4,
        "rows_merged": 1,
        "notes": [],
    }


def test_duration_of_a_run_that_has_not_ended() -> None:
    """An active run has lasted until now, and a queued one no time."""
    running = make_run(status=RunStatus.RUNNING, finished_at=None)
    queued = make_run(status=RunStatus.QUEUED, started_at=None, finished_at=None)

    assert RunReport.of(running, {}, now=111.0).duration_s == 10.0
    assert RunReport.of(queued, {}, now=111.0).duration_s == 0.0


@pytest.mark.parametrize("status", [RunStatus.PLANNED, RunStatus.NEEDS_APPROVAL])
def test_planned_numbers_are_those_of_the_plan(status: RunStatus) -> None:
    """The numbers of a run that has sent nothing are those of its plan."""
    plan = RunPlan(members=5, left=1, to_add=2, to_update=1, to_remove=1, unchanged=2)
    report = RunReport.of(make_run(status=status, plan=plan, counters=RunCounters(members=5, left=1, unchanged=2)), {})

    assert (report.added, report.updated, report.removed, report.unchanged) == (2, 1, 1, 2)


def test_error_of_a_run_that_needs_approval() -> None:
    """The error of a run that needs approval is the text of its guards."""
    guard = Guard(name=GuardName.MASS_REMOVAL, message="50 of 60 people would be removed.")
    waiting = make_run(status=RunStatus.NEEDS_APPROVAL, plan=RunPlan(guards=(guard,)))

    assert RunReport.of(waiting, {}).error == guard.message


def test_run_that_never_began_has_all_keys() -> None:
    """A failure before a run exists has the same keys, and no run id."""
    report = json.loads(RunReport(list_id=42, error="There is no such file.").to_json())

    assert list(report) == KEYS
    assert (report["run_id"], report["status"], report["list_id"]) == (None, "failed", 42)


def test_every_reason_is_explained() -> None:
    """Each rejection reason has an explanation."""
    assert set(EXPLANATIONS) == {*RejectionReason, *FailureReason, UNATTRIBUTED, ERASED, EXCLUDED}


def test_unknown_reason_has_an_explanation() -> None:
    """A reason of a newer version gets a general explanation."""
    assert explain("iterable_new").meaning.endswith(".")


def test_row_has_the_columns_of_the_header() -> None:
    """A row has the identities of the member, the reason, its meaning and the remedy."""
    row = csv_row(Rejection("-5", "a@example.com", None, "no_email"))

    assert dict(zip(CSV_HEADER, row, strict=True)) == {
        "profile": "-5",
        "email": "a@example.com",
        "customer_id": "",
        "reason": "no_email",
        "what_it_means": "No email address.",
        "what_to_do": explain("no_email").remedy,
        "mpid": "-5",
    }


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "-"])
def test_formulas_are_text(cell: str) -> None:
    """A cell that a spreadsheet would take for a formula becomes text."""
    assert csv_row(Rejection(None, cell, cell, "no_email"))[1:3] == (f"'{cell}", f"'{cell}")


@pytest.mark.parametrize("cell", ["-13274847", "a=b", "1"])
def test_harmless_cells_stay(cell: str) -> None:
    """A cell that is not a formula stays unchanged, especially a negative mpid."""
    assert csv_row(Rejection(cell, None, None, "no_email"))[0] == cell
