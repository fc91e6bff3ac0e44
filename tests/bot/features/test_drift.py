"""The alert that a list differs from what was synced: what it says, and what its buttons do."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from bot.features.alerts.drift_views import drift_blocks, drift_buttons
from bot.features.ids import ApprovalAction, ApprovalCallback, DriftAction
from core.models.run import RunCounters
from core.runs.drift import OwnChanges
from core.runs.verification import verify
from core.store import lists
from core.store.list_checks import ListCheck
from core.store.tables import runs as runs_table
from sandbox.slack.workspace.models import Message
from tests.bot.slack.following import LONG, ended, start
from tests.bot.slack.harness import LIST, Workspace, workspace
from tests.core.harness import RunStatus, addresses, people, until
from tests.core.reporting.test_run_report import make_run


async def _is_free(bot: Workspace) -> bool:
    async with bot.engine.database.read() as db:
        state = await lists.get(db, 1, LIST)
    return state is not None and state.locked_by_run_id is None


async def an_hour_passes(bot: Workspace) -> None:
    """All runs ended an hour ago, and none holds the list any longer."""
    await until(lambda: _is_free(bot))
    async with bot.engine.database.write() as db:
        await db.execute(update(runs_table).values(finished_at=runs_table.c.finished_at - 3600))


async def differs(bot: Workspace, directory: Path) -> Message:
    """Sync 100 people; another program removes 20 of them and adds 3. Returns the alert."""
    bot.iterable.settings.update({"limits": {"size": 0, "getUsers": 0}})
    mapping = await bot.mapping(await bot.connection())
    await ended(bot, await start(bot, directory, mapping, people(range(100))))
    await an_hour_passes(bot)
    await verify(bot.engine, mapping.id)
    state = bot.iterable.state
    names = state.project().people
    state.lists[LIST].leave([names.emails.first[address] for address in addresses(range(20))], state.clock())
    state.lists[LIST].join([names.add(f"x{number}@example.com", None) for number in range(3)], state.clock())
    await verify(bot.engine, mapping.id)
    bot.services.wake()
    return await bot.slack.wait_for_message("sync-alerts", "The list differs", timeout=LONG)


async def _has_succeeded(bot: Workspace, run_id: str) -> bool:
    return (await bot.run(run_id)).status is RunStatus.SUCCEEDED


async def test_report_and_repair(tmp_path: Path) -> None:
    """The alert shows the sizes and when the list matched last; *Repair* asks an approver, and then the alert closes
    with one all-clear."""
    async with workspace(tmp_path) as bot:
        message = await differs(bot, tmp_path)
        shown = bot.slack.render(message)
        assert "20 people who were synced to it are missing, and 3 people on it were not synced to it." in shown
        assert "Last matched" in shown
        assert "No sync from here has changed it since then: someone else in Iterable did, or another tool." in shown
        assert "[Repair] [Only add 20 missing] [Who differs] [Keep the 3 extra]" in shown

        await bot.slack.marketer.click(message, DriftAction.REPAIR)
        card = await bot.slack.wait_for_message("marketing", "This repairs List 1001", timeout=LONG)
        assert "+20, −3" in bot.slack.render(card)
        run_id = (await bot.latest_run()).id
        await bot.slack.approver.click(card, ApprovalAction.REVIEW)
        await bot.slack.approver.submit(await bot.slack.approver.open_view(ApprovalCallback.REVIEW))
        await until(lambda: _has_succeeded(bot, run_id))
        assert bot.emails() == addresses(range(100))
        await an_hour_passes(bot)
        await verify(bot.engine, 1)
        bot.services.wake()
        await bot.slack.wait_for(lambda: "The list matches again" in bot.slack.render(message), LONG)


@pytest.mark.extended
async def test_who_differs_comes_as_a_file(tmp_path: Path) -> None:
    """*Who differs* sends a file in a direct message; *Keep* closes the alert only if no one is missing."""
    async with workspace(tmp_path) as bot:
        message = await differs(bot, tmp_path)
        maya = bot.slack.marketer
        await maya.click(message, DriftAction.PEOPLE)
        sent = await bot.slack.wait_for_message("dm", f"differences-{LIST}.csv", reader=maya)
        rows = (sent.files[0].content or b"").decode("utf-8-sig").splitlines()
        assert len(rows) == 24
        assert '"x0@example.com"' in rows[1]
        assert "x0@example.com" not in "".join(bot.slack.render(each) for each in bot.slack.messages("sync-alerts"))
        await maya.click(message, DriftAction.KEEP)
        await bot.slack.wait_for_message("sync-alerts", "the people who are extra stay", reader=maya, timeout=LONG)
        assert "The list differs" in bot.slack.render(message)


def test_own_changes_and_mparticle_in_the_report() -> None:
    """The report names an undo with its person, and offers no repair if only mParticle's size differs."""
    check = ListCheck(1, LIST, 0.0, checked_at=9.0, matched_at=1.0, ours=100, in_iterable=80, missing=20, extra=0)
    undo = make_run(undo_of="r1", started_by="U01MAYA", finished_at=5.0, counters=RunCounters(removed=20))
    text = str([block.to_dict() for block in drift_blocks(check, OwnChanges((undo,), 2), "Differs", "Why.")])
    assert "`abc`, undo of `r1` by <@U01MAYA>" in text
    assert "20 removed." in text
    assert "2 more syncs" in text
    assert "Iterable does not say who made the other changes" in text
    alike = replace(check, matched_at=9.0, in_iterable=100, missing=0, in_mparticle=500)
    assert "The list itself is as it was synced." in str(
        [block.to_dict() for block in drift_blocks(alike, OwnChanges(), "Differs", "Why.")]
    )
    assert drift_buttons(alike, 1) == []
