"""The variants of an A/B test in one upload: a list for each in one form, one card, one approval, a run each."""

from pathlib import Path

import pytest

from bot.features.ids import ApprovalAction, ApprovalCallback, MappingAction, MappingBlock, MappingCallback
from core.models.run import Run, RunStatus
from core.runs import approval
from core.runs.approval import Decision
from core.store import audit_log, mappings, runs
from core.store.connections import Connection
from core.store.mappings import MappingStatus
from sandbox.mparticle import Audience, Profile
from sandbox.mparticle.downloads import Scanned, write_download
from sandbox.slack.workspace.models import Message, View
from tests.bot.slack.harness import AMIR, LIST, MARKETING, MAYA, TEAM, Workspace, workspace
from tests.core.harness import addresses, until

MADE_MS = 1_750_000_000_000
OTHER = 1002
PEOPLE = {"Blue": (1, 2), "Green": (3,), "Red": (4,), "Control": (5, 6)}


def download(directory: Path) -> bytes:
    """Return a download with three variants and a control."""
    exported = {
        Audience(7, f"Spring - {name}"): [
            Scanned(Profile(number, f"p{number}@example.com", f"c{number}"), MADE_MS) for number in numbers
        ]
        for name, numbers in PEOPLE.items()
    }
    return write_download(directory / "spring.zip", exported, made_ms=MADE_MS).read_bytes()


async def variants_form(bot: Workspace, tmp_path: Path) -> View:
    """Upload the download as Maya, and return the form that asks for a list of each variant."""
    maya = bot.slack.marketer
    await maya.command("/iterable-sync map")
    view = await maya.open_view(MappingCallback.MAP)
    file = maya.file("spring.zip", download(tmp_path))
    await maya.fill(view, {MappingAction.LIST: str(LIST), MappingBlock.FILE: file})
    assert (await maya.submit()).ok
    return await bot.slack.wait_for(lambda: maya.view if maya.view.callback_id == MappingCallback.VARIANTS else None)


def list_input(number: int) -> str:
    """Return the input for the list of a variant."""
    return f"{MappingBlock.VARIANT_LIST.of(number)}/{MappingAction.LIST}"


async def proposed(bot: Workspace, tmp_path: Path) -> tuple[Connection, Message]:
    """Propose two of the three variants, and return the connection and the one card."""
    connection = await bot.connection()
    view = await variants_form(bot, tmp_path)
    await bot.slack.marketer.fill(view, {list_input(0): str(LIST), list_input(1): str(OTHER)})
    assert (await bot.slack.marketer.submit()).ok
    return connection, await bot.slack.wait_for_message("marketing", "Approval needed: 2 variants")


async def all_runs(bot: Workspace) -> list[Run]:
    """Return the runs, oldest first."""
    async with bot.engine.database.read() as db:
        return list(reversed(await runs.latest(db, 10)))


async def test_one_approval_for_all_variants(tmp_path: Path) -> None:
    """The form names variants with their sizes; one card and one approval start a run for each, the control none."""
    async with workspace(tmp_path) as bot:
        connection, card = await proposed(bot, tmp_path)
        shown = bot.slack.render(card)
        assert "Spring - Blue → " in shown
        assert "Spring - Green → " in shown
        assert "Red" not in shown
        amir = bot.slack.approver
        await amir.click(card, ApprovalAction.REVIEW)
        review = await amir.open_view(ApprovalCallback.REVIEW_TOGETHER)
        assert "0 → 2 people, +2" in bot.slack.render(review)
        assert (await amir.submit()).ok

        async def all_done() -> bool:
            return [run.status for run in await all_runs(bot)] == [RunStatus.SUCCEEDED] * 2

        await until(all_done)
        assert (bot.emails(LIST), bot.emails(OTHER)) == (addresses(PEOPLE["Blue"]), addresses(PEOPLE["Green"]))
        async with bot.engine.database.read() as db:
            stored = await mappings.of_connection(db, connection.id)
            entries = await audit_log.of(db, [f"run:{run.id}" for run in await all_runs(bot)])
        assert [(each.audience_name, each.status, each.decided_by) for each in stored] == [
            ("Spring - Blue", MappingStatus.ACTIVE, AMIR),
            ("Spring - Green", MappingStatus.ACTIVE, AMIR),
        ]
        assert [each.action.value for each in entries if each.actor == AMIR] == ["run.approved"] * 2
        await bot.slack.wait_for_message("marketing", "Synced Spring - Green")
        cards = [each for each in amir.messages(MARKETING) if "Approval needed" in bot.slack.render(each)]
        assert cards == []


async def test_form_checks_lists(tmp_path: Path) -> None:
    """Two variants in one list, and no list at all, are errors at an input; nothing is proposed."""
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        view = await variants_form(bot, tmp_path)
        text = bot.slack.render(view)
        assert "A/B test with 3 variants" in text
        assert "Control (2 people) is the control group" in text
        assert "Blue (2 people)" in text
        await bot.slack.marketer.fill(view, {list_input(0): str(LIST), list_input(2): str(LIST)})
        assert "mix up the test" in str((await bot.slack.marketer.submit()).errors)
        async with bot.engine.database.read() as db:
            assert await mappings.of_connection(db, connection.id) == []


@pytest.mark.extended
async def test_decline_all_and_a_plan_that_changed(tmp_path: Path) -> None:
    """If one of the plans is another than the approver saw, nothing is decided; one press declines all."""
    async with workspace(tmp_path) as bot:
        connection, card = await proposed(bot, tmp_path)
        waiting = await all_runs(bot)
        seen = [(waiting[0].id, waiting[0].plan_digest), (waiting[1].id, "another")]
        decided = await approval.decide_together(bot.engine, seen, approves=True, by=AMIR, comment=None, team_id=TEAM)
        assert decided is Decision.CHANGED
        assert [run.status for run in await all_runs(bot)] == [RunStatus.NEEDS_APPROVAL] * 2
        await bot.slack.approver.click(card, ApprovalAction.DECLINE)
        await bot.slack.approver.open_view(ApprovalCallback.DECLINE_TOGETHER)
        assert (await bot.slack.approver.submit()).ok
        assert [run.is_declined for run in await all_runs(bot)] == [True, True]
        async with bot.engine.database.read() as db:
            stored = await mappings.of_connection(db, connection.id)
        assert {each.status for each in stored} == {MappingStatus.DECLINED}
        assert {run.started_by for run in waiting} == {MAYA}
