"""Undo in Slack: a run is offered, previewed and approved, and the list is as before the run."""

from pathlib import Path

import pytest

from bot.features.ids import ApprovalAction, ApprovalCallback, UndoAction, UndoCallback
from core.connections import mapping_lifecycle
from core.models.run import Run, RunRequest, RunStatus
from core.runs import commands
from core.store import audit_log, connections
from core.store.connections import Connection
from core.store.mappings import AudienceMapping
from sandbox.slack.workspace.models import Message, View
from tests.bot.slack.harness import AMIR, MARKETING, MAYA, OKSANA, TEAM, Workspace, audience, workspace
from tests.core.harness import decide, people, until


async def sync_people(bot: Workspace, mapping: AudienceMapping, numbers: range) -> Run:
    """Sync these people as Maya, with Amir's approval if needed, and return the ended run."""
    path = bot.engine.settings.data_dir / f"audience-{numbers.start}-{numbers.stop}.csv"
    path.write_bytes(audience(people(numbers)))
    run_id = await commands.start(
        bot.engine, mapping, RunRequest(path=str(path)), by=MAYA, channel=MARKETING, team_id=TEAM
    )
    return await wait_for_end(bot, run_id)


async def wait_for_end(bot: Workspace, run_id: str) -> Run:
    """Wait until a run has ended, or an undo needs approval, and return it. Amir approves other runs."""

    async def has_ended() -> bool:
        return not (await bot.run(run_id)).status.is_active

    await until(has_ended)
    run = await bot.run(run_id)
    if run.status is RunStatus.NEEDS_APPROVAL and run.undo_of is None:
        await decide(bot.engine, run_id, by=AMIR, team_id=TEAM)
        return await wait_for_end(bot, run_id)
    return run


async def two_runs(bot: Workspace) -> tuple[Connection, AudienceMapping, Run]:
    """Sync p0 to p9, then p3 to p11. Returns the connection, the mapping and the second run."""
    connection = await bot.connection()
    mapping = await bot.mapping(connection)
    await sync_people(bot, mapping, range(10))
    run = await sync_people(bot, mapping, range(3, 12))
    assert (run.counters.added, run.counters.removed) == (2, 3)
    return connection, mapping, run


async def wait_for_summary(bot: Workspace, numbers: str) -> Message:
    """Wait for the summary of a run with these numbers, and return it."""

    def find() -> Message | None:
        shown = {bot.slack.render(each): each for each in bot.slack.messages("marketing") if each.bot_id}
        return next((each for text, each in shown.items() if "Synced" in text and numbers in text), None)

    return await bot.slack.wait_for(find)


async def open_undo(bot: Workspace, run: Run) -> View:
    """Open the modal in which Maya undoes a run."""
    assert (await bot.slack.marketer.command(f"/iterable-sync undo {run.id}")).ok
    return await bot.slack.marketer.open_view(UndoCallback.UNDO)


async def read_privately(bot: Workspace, text: str) -> str:
    """Wait for a message that only Maya sees and that contains a text. Returns its text."""
    message = await bot.slack.wait_for_message("marketing", text, reader=bot.slack.marketer)
    assert message.only_for == MAYA
    return bot.slack.render(message)


async def test_list_is_as_before(tmp_path: Path) -> None:
    """*Undo* of the summary, its preview and its approval restore the list as it was before the run."""
    async with workspace(tmp_path) as bot:
        _, _, run = await two_runs(bot)
        maya, amir = bot.slack.marketer, bot.slack.approver
        summary = await wait_for_summary(bot, "2 added, 3 removed")
        assert (await maya.click(summary, UndoAction.OPEN)).ok
        view = await maya.open_view(UndoCallback.UNDO)
        shown = bot.slack.render(view)
        assert "2 people that it added are removed from the list" in shown
        assert "3 people that it removed are added back" in shown
        assert "may be in journeys already" in shown
        assert "/iterable-sync pause SpringShoppers" in shown
        assert (await maya.submit(view)).ok
        await bot.slack.wait_for(lambda: "#marketing" in bot.slack.render(maya.view))
        undo_run = await wait_for_end(bot, (await bot.latest_run()).id)
        assert (undo_run.status, undo_run.undo_of, undo_run.channel) == (RunStatus.NEEDS_APPROVAL, run.id, MARKETING)
        card = await bot.slack.wait_for_message("marketing", "Approval needed")
        assert bot.emails() == {f"p{number}@example.com" for number in range(3, 12)}

        assert (await amir.click(card, ApprovalAction.REVIEW)).ok
        assert (await amir.submit(await amir.open_view(ApprovalCallback.REVIEW))).ok
        undo_run = await wait_for_end(bot, undo_run.id)

        assert (undo_run.status, undo_run.error) == (RunStatus.SUCCEEDED, None)
        assert bot.emails() == {f"p{number}@example.com" for number in range(10)}
        await wait_for_summary(bot, "3 added, 2 removed")
        async with bot.engine.database.read() as db:
            entries = [each for each in await audit_log.of(db, [f"run:{run.id}"]) if each.after == {"run": undo_run.id}]
        assert [(each.action, each.actor) for each in entries] == [(audit_log.AuditAction.RUN_UNDO_ASKED, MAYA)]


@pytest.mark.extended
async def test_runs_are_offered(tmp_path: Path) -> None:
    """`undo` alone lists the runs that can be undone, newest first, and a button opens the modal."""
    async with workspace(tmp_path) as bot:
        _, mapping, run = await two_runs(bot)
        unchanged = await sync_people(bot, mapping, range(3, 12))
        maya = bot.slack.marketer
        await maya.command("/iterable-sync undo")
        message = await bot.slack.wait_for_message("marketing", "Which run?", reader=maya)
        shown = bot.slack.render(message)
        assert message.only_for == MAYA
        assert shown.index("2 added, 3 removed") < shown.index("10 added")
        assert unchanged.id not in shown

        assert (await maya.click(message, UndoAction.OPEN, run.id)).ok
        view = await maya.open_view(UndoCallback.UNDO)
        await maya.submit(view)
        await bot.slack.wait_for(lambda: "Preparing undo" in bot.slack.render(maya.view))
        await maya.command("/iterable-sync undo")
        await bot.slack.wait_for_message("marketing", "(1 run)", reader=maya)


@pytest.mark.extended
async def test_runs_that_can_not_be_undone(tmp_path: Path) -> None:
    """An unknown run, a run without changes and a run of a paused mapping are refused in plain words."""
    async with workspace(tmp_path) as bot:
        _, mapping, run = await two_runs(bot)
        unchanged = await sync_people(bot, mapping, range(3, 12))
        maya = bot.slack.marketer
        await maya.command("/iterable-sync undo <b>nonsense")
        assert "`/iterable-sync undo` alone" in await read_privately(bot, 'There is no run "<b>nonsense"')
        await maya.command(f"/iterable-sync undo {unchanged.id}")
        await read_privately(bot, f"Run {unchanged.id} changed nothing, so there is nothing to undo.")
        view = await open_undo(bot, run)
        await mapping_lifecycle.pause(bot.engine, mapping.id, by=OKSANA, team_id=TEAM)
        await maya.submit(view)
        await bot.slack.wait_for(lambda: "is paused, so nothing is sent" in bot.slack.render(maya.view))
        assert (await bot.latest_run()).id == unchanged.id


@pytest.mark.extended
async def test_only_operators_undo(tmp_path: Path) -> None:
    """A person who may not start runs can't undo them, and *Preview* checks that again."""
    async with workspace(tmp_path) as bot:
        connection, _, run = await two_runs(bot)
        ada = bot.slack.admin
        for typed in (f"/iterable-sync undo {run.id}", "/iterable-sync undo"):
            await ada.command(typed, "sync-alerts")
            message = await bot.slack.wait_for_message("sync-alerts", "Only operators and approvers", reader=ada)
            bot.slack.channel("sync-alerts").messages.remove(message)
        assert not ada.views
        view = await open_undo(bot, run)
        async with bot.engine.database.write() as db:
            await connections.change(db, connection.id, operators=(OKSANA,))
        await bot.slack.marketer.submit(view)
        await bot.slack.wait_for(
            lambda: "Only operators and approvers of Shop" in bot.slack.render(bot.slack.marketer.view)
        )
        assert (await bot.latest_run()).id == run.id
