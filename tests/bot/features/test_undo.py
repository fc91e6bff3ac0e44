"""Taking a run back from Slack: offered, previewed, approved, and the list is as it was."""

from pathlib import Path

from bot.features.ids import ApprovalAction, ApprovalCallback, UndoAction, UndoCallback
from core import mapping_lifecycle
from core.models.run import Run, RunRequest, RunStatus
from core.runs import commands
from core.store import audit_log, connections
from core.store.connections import Connection
from core.store.mappings import AudienceMapping
from sandbox.slack.workspace.models import Message, View
from tests.bot.slack.harness import AMIR, MARKETING, MAYA, OKSANA, TEAM, Workspace, audience, workspace
from tests.core.harness import decide, people, until


async def synced(here: Workspace, mapping: AudienceMapping, numbers: range) -> Run:
    """A run that Maya started and Amir approved where it asked, ended."""
    path = here.engine.settings.data_dir / f"audience-{numbers.start}-{numbers.stop}.csv"
    path.write_bytes(audience(people(numbers)))
    run_id = await commands.start(
        here.engine, mapping, RunRequest(path=str(path)), by=MAYA, channel=MARKETING, team_id=TEAM
    )
    return await ended(here, run_id)


async def ended(here: Workspace, run_id: str) -> Run:
    """A run, once it waits for approval or has ended."""

    async def has_ended() -> bool:
        return not (await here.run(run_id)).status.is_active

    await until(has_ended)
    run = await here.run(run_id)
    if run.status is RunStatus.NEEDS_APPROVAL and run.undo_of is None:
        await decide(here.engine, run_id, by=AMIR, team_id=TEAM)
        return await ended(here, run_id)
    return run


async def two_runs(here: Workspace) -> tuple[Connection, AudienceMapping, Run]:
    """A list with p0 to p9 on it, and the run that made it p3 to p11."""
    connection = await here.connection()
    mapping = await here.mapping(connection)
    await synced(here, mapping, range(10))
    run = await synced(here, mapping, range(3, 12))
    assert (run.counters.added, run.counters.removed) == (2, 3)
    return connection, mapping, run


async def summary_of(here: Workspace, numbers: str) -> Message:
    """The message of a run that has ended, with these numbers in it."""

    def found() -> Message | None:
        shown = {here.slack.render(each): each for each in here.slack.messages("marketing") if each.bot_id}
        return next((each for text, each in shown.items() if "Synced" in text and numbers in text), None)

    return await here.slack.wait_for(found, timeout=20)


async def opened(here: Workspace, run: Run) -> View:
    """The modal that Maya gets for a run."""
    assert (await here.slack.marketer.command(f"/iterable-sync undo {run.id}")).ok
    return await here.slack.marketer.open_view(UndoCallback.UNDO)


async def told(here: Workspace, text: str) -> str:
    """What Maya alone reads, once it contains this."""
    message = await here.slack.wait_for_message("marketing", text, reader=here.slack.marketer)
    assert message.only_for == MAYA
    return here.slack.render(message)


async def test_list_is_as_before(tmp_path: Path) -> None:
    """From the summary's *Undo* through preview and approval: the list is as it was before the run."""
    async with workspace(tmp_path) as here:
        _, _, run = await two_runs(here)
        maya, amir = here.slack.marketer, here.slack.approver
        summary = await summary_of(here, "2 added, 0 updated, 3 removed")
        assert (await maya.click(summary, UndoAction.OPEN)).ok
        view = await maya.open_view(UndoCallback.UNDO)
        shown = here.slack.render(view)
        assert "2 people that it added: taken off the list" in shown
        assert "3 people that it removed: put back on the list" in shown
        assert "started journeys" in shown
        assert "/iterable-sync pause SpringShoppers" in shown
        assert (await maya.submit(view)).ok
        await here.slack.wait_for(lambda: "#marketing" in here.slack.render(maya.view))
        undoing = await ended(here, (await here.latest_run()).id)
        assert (undoing.status, undoing.undo_of, undoing.channel) == (RunStatus.NEEDS_APPROVAL, run.id, MARKETING)
        card = await here.slack.wait_for_message("marketing", "To approve", timeout=20)
        assert here.emails() == {f"p{number}@example.com" for number in range(3, 12)}

        assert (await amir.click(card, ApprovalAction.REVIEW)).ok
        assert (await amir.submit(await amir.open_view(ApprovalCallback.REVIEW))).ok
        undoing = await ended(here, undoing.id)

        assert (undoing.status, undoing.error) == (RunStatus.SUCCEEDED, None)
        assert here.emails() == {f"p{number}@example.com" for number in range(10)}
        await summary_of(here, "3 added, 0 updated, 2 removed")
        async with here.engine.database.read() as db:
            entries = [each for each in await audit_log.of(db, [f"run:{run.id}"]) if each.after == {"run": undoing.id}]
        assert [(each.action, each.actor) for each in entries] == [(audit_log.AuditAction.RUN_UNDO_ASKED, MAYA)]


async def test_runs_are_offered(tmp_path: Path) -> None:
    """Without an argument the runs that can be undone are offered, newest first, and a button opens the modal."""
    async with workspace(tmp_path) as here:
        _, mapping, run = await two_runs(here)
        nothing = await synced(here, mapping, range(3, 12))
        maya = here.slack.marketer
        await maya.command("/iterable-sync undo")
        message = await here.slack.wait_for_message("marketing", "Which run?", reader=maya)
        shown = here.slack.render(message)
        assert message.only_for == MAYA
        assert shown.index("2 added, 3 removed") < shown.index("10 added")
        assert nothing.id not in shown

        assert (await maya.click(message, UndoAction.OPEN, run.id)).ok
        view = await maya.open_view(UndoCallback.UNDO)
        await maya.submit(view)
        await here.slack.wait_for(lambda: "is on its way" in here.slack.render(maya.view))
        await maya.command("/iterable-sync undo")
        await here.slack.wait_for_message("marketing", "(1 run)", reader=maya)


async def test_what_cannot_be_undone(tmp_path: Path) -> None:
    """An unknown run, one that changed nothing, and one of a mapping that is paused: each is told in plain words."""
    async with workspace(tmp_path) as here:
        _, mapping, run = await two_runs(here)
        nothing = await synced(here, mapping, range(3, 12))
        maya = here.slack.marketer
        await maya.command("/iterable-sync undo <b>nonsense")
        assert "`/iterable-sync undo` alone" in await told(here, 'There is no run "<b>nonsense"')
        await maya.command(f"/iterable-sync undo {nothing.id}")
        await told(here, f"Run {nothing.id} changed nothing, so there is nothing to undo.")
        view = await opened(here, run)
        await mapping_lifecycle.pause(here.engine, mapping.id, by=OKSANA, team_id=TEAM)
        await maya.submit(view)
        await here.slack.wait_for(lambda: "is paused, so nothing is sent" in here.slack.render(maya.view))
        assert (await here.latest_run()).id == nothing.id


async def test_only_operators_undo(tmp_path: Path) -> None:
    """Who may not start runs can't undo them; it is asked again when *Preview* is pressed."""
    async with workspace(tmp_path) as here:
        connection, _, run = await two_runs(here)
        ada = here.slack.admin
        for typed in (f"/iterable-sync undo {run.id}", "/iterable-sync undo"):
            await ada.command(typed, "sync-alerts")
            message = await here.slack.wait_for_message("sync-alerts", "Only operators and approvers", reader=ada)
            here.slack.channel("sync-alerts").messages.remove(message)
        assert not ada.views
        view = await opened(here, run)
        async with here.engine.database.write() as db:
            await connections.change(db, connection.id, operators=(OKSANA,))
        await here.slack.marketer.submit(view)
        await here.slack.wait_for(
            lambda: "Only operators and approvers of Shop" in here.slack.render(here.slack.marketer.view)
        )
        assert (await here.latest_run()).id == run.id
