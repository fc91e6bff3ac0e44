"""The number of profiles that may be merged, and that were, in Slack and in the terminal."""

import json

from rich.console import Console

from bot.cli import render
from bot.features.approval.card import card, details_modal
from bot.features.runs import result_messages
from bot.features.runs.run_view import RunView
from bot.features.undo.views import UndoCandidate, undo_modal
from core.identity import UserIdField
from core.iterable import DataCenter
from core.models.run import Run, RunPlan, RunStatus
from core.reporting.run_report import RunReport
from core.store.connections import Connection
from tests.core.reporting.test_run_report import make_run

SHOP = Connection(1, "Shop", b"key", "abcd", "digest", DataCenter.US, UserIdField.MPID, 5.0, None, 0.0)


def blocks(run: Run, status: RunStatus) -> str:
    """The blocks of a run's message as JSON."""
    view = RunView(run.model_copy(update={"status": status}), SHOP, "Spring")
    if status is RunStatus.NEEDS_APPROVAL:
        return json.dumps([*(block.to_dict() for block in card(view).blocks), details_modal(view)])
    return json.dumps([block.to_dict() for block in result_messages.result_message(view).blocks])


def printed(run: Run) -> str:
    """What the terminal shows of a run."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(render.summary(RunReport.of(run, {}), run))
    return capture.get()


def test_number_is_shown_before_and_after() -> None:
    """Card and preview show the most that may be merged, and the summary what was; none is not mentioned."""
    plan = RunPlan(members=5, to_update=2, unchanged=3, to_merge=2)
    run = make_run(plan=plan, merged=1)
    for status in (RunStatus.NEEDS_APPROVAL, RunStatus.PLANNED):
        assert "Profiles may be merged: up to 2" in blocks(run, status)
        assert "This can't be undone" in blocks(run, status)
    assert "1 profile merged" in blocks(run, RunStatus.SUCCEEDED)
    assert "1  profiles merged into others" in printed(run)
    assert "2  profiles at most to merge" in printed(run.model_copy(update={"status": RunStatus.PLANNED}))
    undo = json.dumps(undo_modal(UndoCandidate(run, "Shoppers", "Spring")))
    assert "1 profile that it merged: merged for good" in undo
    without = make_run(plan=plan.model_copy(update={"to_merge": 0}))
    assert "erged" not in "".join(blocks(without, status) for status in RunStatus) + printed(without)
