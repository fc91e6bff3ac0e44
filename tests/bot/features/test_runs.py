"""Syncs from Slack: started, cancelled, retried, repeated, and the rejected members for who may have them."""

import csv
import io
from pathlib import Path

import pytest

from bot.features.ids import ConnectCallback, MappingCallback, RunAction, RunBlock, RunCallback, RunShortcut
from bot.features.runs.file_links import file_id_of
from bot.slack.file_source import address_of
from bot.ui.blocks import Message as Shown
from bot.ui.blocks import actions, button
from core import mapping_lifecycle
from core.errors import InputError
from core.models.run import Run, RunRequest, RunStatus, SyncMode
from core.reporting.rejected_csv import CSV_HEADER
from core.runs import commands
from core.store import audit_log, rejections, runs
from core.store.mappings import AudienceMapping
from core.store.rejections import Rejection
from sandbox.slack.users.user_driver import Person
from sandbox.slack.workspace.models import Message, View
from tests.bot.slack.harness import MARKETING, MAYA, TEAM, Workspace, audience, workspace
from tests.core.harness import people, person, until


async def form(here: Workspace, typed: str = "/iterable-sync", channel: str = "marketing") -> View:
    """*Start a sync*, as Maya gets it."""
    assert (await here.slack.marketer.command(typed, channel)).ok
    return await here.slack.marketer.open_view(RunCallback.START)


async def told(here: Workspace, text: str, who: Person | None = None, channel: str = "marketing") -> str:
    """What one person alone reads, once it contains this."""
    reader = who or here.slack.marketer

    def found() -> str | None:
        own = [here.slack.render(each) for each in reader.messages(channel) if each.only_for == reader.id]
        return next((each for each in reversed(own) if text in each), None)

    return await here.slack.wait_for(found, what=f"{text!r} for {reader.user.name} alone")


async def all_runs(here: Workspace) -> list[Run]:
    """All runs, newest first."""
    async with here.engine.database.read() as db:
        return await runs.latest(db, 20)


async def ended(here: Workspace, run_id: str) -> Run:
    """A run, once it waits for approval or has ended."""

    async def is_so() -> bool:
        return not (await here.run(run_id)).status.is_active

    await until(is_so)
    return await here.run(run_id)


async def started(here: Workspace, mapping: AudienceMapping, content: bytes) -> str:
    """A run of a file on this machine, as Maya starts it."""
    path = here.engine.settings.data_dir / "audience.csv"
    path.write_bytes(content)
    request = RunRequest(path=str(path))
    return await commands.start(here.engine, mapping, request, by=MAYA, channel=MARKETING, team_id=TEAM)


async def with_button(here: Workspace, action: RunAction, run_id: str) -> Message:
    """A message with one button."""
    client = await here.services.clients.for_team(TEAM)
    assert client is not None
    shown = Shown(f"{action} {run_id}", [actions(button("Press", action, run_id))])
    posted = await client.chat_postMessage(channel=MARKETING, **shown.payload())
    return next(each for each in here.slack.messages("marketing") if each.ts == posted["ts"])


async def test_starts_a_sync_of_a_file_put_in(tmp_path: Path) -> None:
    """A mapping found by typing and a file put in become a run, whose members end up on the list."""
    async with workspace(tmp_path) as here:
        connection = await here.connection()
        await here.mapping(connection)
        await here.mapping(connection, "Lapsed", list_id=1002)
        view = await form(here)
        offered = await here.slack.marketer.suggest(view, RunAction.MAPPING, "shopp")
        assert [each["text"]["text"] for each in offered] == ["SpringShoppers → List 1001"]
        file = here.slack.marketer.file("a.csv", audience(people(range(3))))
        await here.slack.marketer.fill(view, {RunAction.MAPPING: offered[0]["value"], RunBlock.FILE: file})
        assert (await here.slack.marketer.submit()).ok
        assert not here.slack.marketer.views
        run = (await all_runs(here))[0]
        assert (run.started_by, run.channel, run.request.mode) == (MAYA, MARKETING, None)
        assert (await ended(here, run.id)).status is RunStatus.SUCCEEDED
        assert {f"p{number}@example.com" for number in range(3)} <= here.emails()


async def test_exactly_one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No source, two sources, or a link that is none: each is said at its input, and nothing is started."""
    monkeypatch.setenv("ITERABLE_SYNC_AUDIENCE_PATHS", "")
    async with workspace(tmp_path) as here:
        await here.mapping(await here.connection())
        view = await form(here)  # the only mapping is chosen already
        assert "path or address" not in here.slack.render(view)  # no place is allowed
        maya = here.slack.marketer
        assert RunBlock.FILE in (await maya.submit()).errors
        await maya.fill(view, {RunBlock.LINK: "https://fernway.slack.com/archives/C1/p1"})
        assert "link of a message" in (await maya.submit()).errors[RunBlock.LINK]
        await maya.fill(view, {RunBlock.LINK: "F0NOTTHERE"})
        assert "may not see it" in (await maya.submit()).errors[RunBlock.LINK]
        await maya.fill(view, {RunBlock.FILE: maya.file("a.csv", audience(people(range(3))))})
        assert "Only one of them" in (await maya.submit()).errors[RunBlock.LINK]
        assert not await all_runs(here)


async def test_starts_a_sync_of_a_file_that_is_in_slack(tmp_path: Path) -> None:
    """The pasted link of a file becomes a run that only adds, as was chosen; shown where the mapping's runs are."""
    async with workspace(tmp_path) as here:
        await here.mapping(await here.connection())
        message = await here.slack.marketer.upload_file("marketing", "a.csv", audience(people(range(2))))
        link = f"https://fernway.slack.com/files/{MAYA}/{message.files[0].id}/a.csv"
        view = await form(here, channel="sync-alerts")
        await here.slack.marketer.fill(view, {RunBlock.LINK: link, RunBlock.MODE: "add"})
        assert (await here.slack.marketer.submit()).ok
        run = (await all_runs(here))[0]
        assert run.request.path == address_of(TEAM, message.files[0].id)
        assert (run.request.mode, run.channel) == (SyncMode.ADD, MARKETING)
        assert "appears in #marketing" in await told(here, f"run `{run.id}`", channel="sync-alerts")
        assert (await ended(here, run.id)).status is RunStatus.SUCCEEDED


async def test_columns_are_asked_for_and_remembered(tmp_path: Path) -> None:
    """Two columns for the email are a question; the answer in the modal counts for later runs of the mapping, too."""
    table = b"E-Mail,Email,customer_id\na@example.com,b@example.com,c1\n"
    async with workspace(tmp_path) as here:
        await here.mapping(await here.connection())
        maya = here.slack.marketer
        view = await form(here)
        await maya.fill(view, {RunBlock.FILE: maya.file("a.csv", table), RunBlock.COLUMNS: "mail: E-Mail"})
        assert "Columns are chosen with email=NAME" in (await maya.submit()).errors[RunBlock.COLUMNS]
        await maya.fill(view, {RunBlock.COLUMNS: ""})
        assert (await maya.submit()).ok
        asked = await ended(here, (await all_runs(here))[0].id)
        assert (asked.status, asked.error_code) == (RunStatus.FAILED, "ambiguous_columns")
        view = await form(here)
        await maya.fill(view, {RunBlock.FILE: maya.file("a.csv", table), RunBlock.COLUMNS: "email = e-mail"})
        assert (await maya.submit()).ok
        chosen = await ended(here, (await all_runs(here))[0].id)
        assert chosen.request.columns == {"email": "e-mail"}
        assert here.emails() == {"a@example.com"}
        view = await form(here)
        await maya.fill(view, {RunBlock.FILE: maya.file("b.csv", table.replace(b"a@", b"d@"))})
        assert (await maya.submit()).ok
        later = await ended(here, (await all_runs(here))[0].id)
        assert (later.status, here.emails()) == (RunStatus.SUCCEEDED, {"d@example.com"})


async def test_takes_a_path_from_where_it_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the operator allows places, a path is taken from there, and refused from elsewhere."""
    folder = tmp_path / "drop"
    folder.mkdir()
    (folder / "a.csv").write_bytes(audience(people(range(2))))
    monkeypatch.setenv("ITERABLE_SYNC_AUDIENCE_PATHS", str(folder))
    async with workspace(tmp_path) as here:
        await here.mapping(await here.connection())
        view = await form(here)
        await here.slack.marketer.fill(view, {RunBlock.ADDRESS: "/etc/passwd"})
        assert "may not be read from there" in (await here.slack.marketer.submit()).errors[RunBlock.ADDRESS]
        await here.slack.marketer.fill(view, {RunBlock.ADDRESS: str(folder / "a.csv")})
        assert (await here.slack.marketer.submit()).ok
        assert (await ended(here, (await all_runs(here))[0].id)).status is RunStatus.SUCCEEDED


async def test_leads_into_connect_and_into_map(tmp_path: Path) -> None:
    """With nothing connected an admin gets Connect; with nothing mapped a marketer gets Map."""
    async with workspace(tmp_path) as here:
        await here.slack.admin.command("/iterable-sync")
        await here.slack.admin.open_view(ConnectCallback.CONNECT)
        await here.connection()
        await here.slack.marketer.command("/iterable-sync")
        await here.slack.marketer.open_view(MappingCallback.MAP)


async def test_run_names_its_mapping(tmp_path: Path) -> None:
    """`run` with a name opens the form with it chosen; an unknown name is answered with those that there are; a paused
    mapping says that it is, and who may not start is told so."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection())
        assert "SpringShoppers → List 1001" in here.slack.render(await form(here, "/iterable-sync run springshoppers"))
        await here.slack.marketer.close()
        await here.slack.marketer.command("/iterable-sync run SpringShopers")
        assert "SpringShoppers" in await told(here, "There is no mapping *SpringShopers*")
        await here.slack.admin.command("/iterable-sync run springshoppers")
        await told(here, "Only operators and approvers of Shop", here.slack.admin)
        view = await form(here)
        await mapping_lifecycle.pause(here.engine, mapping.id, by=MAYA, team_id=TEAM)
        file = here.slack.marketer.file("a.csv", audience(people(range(2))))
        await here.slack.marketer.fill(view, {RunBlock.FILE: file})
        assert "is paused" in (await here.slack.marketer.submit()).errors[RunBlock.MAPPING]
        await here.slack.marketer.command("/iterable-sync run springshoppers")
        await told(here, "is paused, so nothing is sent")


async def test_shortcut_syncs_the_file_of_a_message(tmp_path: Path) -> None:
    """Of a message with two files one is chosen; a single one is fixed, beyond 10 MB too; without one it says so."""
    async with workspace(tmp_path) as here:
        await here.mapping(await here.connection())
        maya = here.slack.marketer

        async def begun(path: str) -> None:
            async def is_begun() -> bool:
                return (path, "C01ALERTS") in [(run.request.path, run.channel) for run in await all_runs(here)]

            await until(is_begun)

        large = audience(people(range(2))).ljust(11_000_000, b"\n")
        message = await maya.upload_file("sync-alerts", "large.csv", large)
        assert (await maya.shortcut(RunShortcut.SYNC, message)).ok
        view = await maya.open_view(RunCallback.START)
        assert "large.csv (11.0 MB)" in here.slack.render(view)
        assert (await maya.submit()).ok
        await begun(address_of(TEAM, message.files[0].id))
        message.files.append(maya.file("other.csv", audience(people(range(3)))))
        await maya.shortcut(RunShortcut.SYNC, message)
        view = await maya.open_view(RunCallback.START)
        await maya.fill(view, {RunBlock.ATTACHED: message.files[1].id})
        assert (await maya.submit()).ok
        await begun(address_of(TEAM, message.files[1].id))
        await maya.shortcut(RunShortcut.SYNC, await maya.say("no file here", "marketing"))
        await told(here, "This message has no file")


async def test_cancels_the_only_run_or_lists_several(tmp_path: Path) -> None:
    """`cancel` alone cancels the only run under way, of several it asks which; an ended one is told as such."""
    async with workspace(tmp_path) as here:
        connection = await here.connection()
        mapping = await here.mapping(connection, active=False)  # its runs wait for approval
        first = await started(here, mapping, audience(people(range(2))))
        await ended(here, first)
        await here.slack.marketer.command("/iterable-sync cancel")
        await told(here, f"Run `{first}` of")
        assert (await here.run(first)).status is RunStatus.CANCELLED
        second = await started(here, mapping, audience(people(range(2))))
        other = await started(here, await here.mapping(connection, "X", list_id=1002, active=False), audience([]))
        await ended(here, second)
        await ended(here, other)
        await here.slack.marketer.command("/iterable-sync cancel")
        await told(here, "2 runs are under way")
        answer = await here.slack.wait_for_message("marketing", "2 runs are", reader=here.slack.marketer)
        await here.slack.marketer.click(answer, RunAction.CANCEL, second)
        await told(here, f"Run `{second}` of")
        await here.slack.marketer.click(answer, RunAction.CANCEL, second)
        await told(here, f"Run {second} has ended")
        assert (await here.run(other)).status is RunStatus.NEEDS_APPROVAL


async def test_retries_once(tmp_path: Path) -> None:
    """Retry lets a failed run go on; who clicks after that is told that somebody has; who may not, may not."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection(), active=False)
        run_id = await started(here, mapping, audience(people(range(2))))
        await ended(here, run_id)
        async with here.engine.database.write() as db:
            await runs.change(db, run_id, plan=None)
            await runs.set_status(db, run_id, RunStatus.FAILED, error="It broke.", code="error")
        message = await with_button(here, RunAction.RETRY, run_id)
        await here.slack.admin.click(message, RunAction.RETRY)
        await told(here, "Only operators", here.slack.admin)
        await here.slack.marketer.click(message, RunAction.RETRY)
        await told(here, "resumes where it stopped")
        await ended(here, run_id)
        await here.slack.operator.click(message, RunAction.RETRY)
        await told(here, "Someone has retried run", here.slack.operator)
        async with here.engine.database.read() as db:
            done = await audit_log.of(db, [f"run:{run_id}"])
        assert [each.action for each in done].count(audit_log.AuditAction.RUN_RETRIED) == 1


async def test_runs_again_once(tmp_path: Path) -> None:
    """Run again starts one run like the first; a double click does not start two."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection())
        run_id = await started(here, mapping, audience(people(range(2))))
        await ended(here, run_id)
        message = await with_button(here, RunAction.AGAIN, run_id)
        await here.slack.marketer.click(message, RunAction.AGAIN)
        await told(here, "Started again as run")
        await here.slack.marketer.click(message, RunAction.AGAIN)
        await told(here, "Someone has started this already")
        found = await all_runs(here)
        assert len(found) == 2
        assert (await ended(here, found[0].id)).counters.unchanged == 2


async def test_retries_the_rejected(tmp_path: Path) -> None:
    """Retry rejected starts a run of those that Iterable did not take."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection())
        run_id = await started(here, mapping, audience([person(1), person(2, email="", customer_id="")]))
        assert (await ended(here, run_id)).counters.rejected == 1
        message = await with_button(here, RunAction.RETRY_REJECTED, run_id)
        await here.slack.marketer.click(message, RunAction.RETRY_REJECTED)
        await told(here, "tries the rejected members")
        run = await ended(here, (await all_runs(here))[0].id)
        assert (run.request.path, run.counters.members) == (f"rejected:{run_id}", 1)


async def test_rejected_members_come_privately(tmp_path: Path) -> None:
    """The file comes into the direct message of who asks, is on record, and nothing of it is in the channel."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection())
        run_id = await started(here, mapping, audience([person(1), person(2, email="=broken")]))
        await ended(here, run_id)
        message = await with_button(here, RunAction.REJECTED, run_id)
        maya = here.slack.marketer
        await maya.click(message, RunAction.REJECTED)
        await told(here, "comes to your direct messages")
        sent = await here.slack.wait_for_message("dm", f"rejected-{run_id}.csv", reader=maya)
        rows = list(csv.reader(io.StringIO((sent.files[0].content or b"").decode("utf-8-sig"))))
        assert rows[0] == list(CSV_HEADER)
        assert rows[1][:4] == ["2", "'=broken", "c2", "invalid_email"]
        assert not any(each.files or "broken" in here.slack.render(each) for each in maya.messages("marketing"))
        async with here.engine.database.read() as db:
            last = (await audit_log.of(db, [f"run:{run_id}"]))[-1]
        assert (last.actor, last.action) == (MAYA, audit_log.AuditAction.REJECTIONS_TAKEN)


async def test_rejected_members_are_kept_from_others(tmp_path: Path) -> None:
    """Who is no operator gets no addresses; where nobody was rejected, or it is too long ago, that is said."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection())
        run_id = await started(here, mapping, audience(people(range(2))))
        await ended(here, run_id)
        message = await with_button(here, RunAction.REJECTED, run_id)
        await here.slack.admin.click(message, RunAction.REJECTED)
        await told(here, "can have the addresses", here.slack.admin)
        await here.slack.marketer.click(message, RunAction.REJECTED)
        await told(here, "rejected no members")
        async with here.engine.database.write() as db:
            await runs.change(db, run_id, rejected=3)
        await here.slack.marketer.click(message, RunAction.REJECTED)
        await told(here, "is too long ago")
        assert not here.slack.calls("files.completeUploadExternal")


async def test_many_rejected_members_are_sent(tmp_path: Path) -> None:
    """A file of more pieces than one has every member in it, once."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection())
        run_id = await started(here, mapping, audience(people(range(1))))
        await ended(here, run_id)
        found = [Rejection(str(number), None, None, "no_email") for number in range(5_001)]
        async with here.engine.database.write() as db:
            await rejections.add(db, run_id, found)
        message = await with_button(here, RunAction.REJECTED, run_id)
        await here.slack.marketer.click(message, RunAction.REJECTED)
        sent = await here.slack.wait_for_message("dm", f"rejected-{run_id}.csv", reader=here.slack.marketer)
        lines = (sent.files[0].content or b"").decode().splitlines()
        assert [line.split(",")[0] for line in lines[1:]] == [f'"{number}"' for number in range(5_001)]


@pytest.mark.parametrize(
    "typed",
    [
        "https://fernway.slack.com/files/U01MAYA/F0123ABCD/a.csv",
        "https://fernway.enterprise.slack.com/files/W01MAYA/F0123ABCD/a.csv?x=1",
        "https://files.slack.com/files-pri/T01FERNWAY-F0123ABCD/a.csv",
        " <F0123ABCD> ",
    ],
)
def test_reads_the_id_of_a_file(typed: str) -> None:
    """A link of any of Slack's kinds, or the id, names the file."""
    assert file_id_of(typed) == "F0123ABCD"


def test_refuses_what_names_no_file() -> None:
    """Anything else is refused with what to do."""
    with pytest.raises(InputError, match="Copy link to file"):
        file_id_of("a.csv")
