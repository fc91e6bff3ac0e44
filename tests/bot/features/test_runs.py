"""Syncs from Slack: they are started, cancelled, retried and repeated, and operators get the rejected members."""

import csv
import io
from pathlib import Path

import pytest

from bot.features.ids import ConnectCallback, MappingCallback, RunAction, RunBlock, RunCallback, RunShortcut
from bot.features.runs.file_links import file_id_of
from bot.features.runs.result_messages import result_message
from bot.features.runs.run_view import RunView
from bot.slack.file_source import address_of
from bot.ui.blocks import Message as Shown
from bot.ui.blocks import actions, button
from core.connections import mapping_lifecycle
from core.errors import InputError
from core.models.run import Run, RunRequest, RunStatus, SyncMode
from core.reporting.rejected_csv import CSV_HEADER
from core.runs import commands
from core.store import audit_log, rejections, runs
from core.store.mappings import AudienceMapping
from core.store.rejections import Rejection
from sandbox.iterable.hosted_extension import HostedProfile, fill_list
from sandbox.slack.users.user_driver import Person
from sandbox.slack.workspace.models import Message, View
from tests.bot.slack.following import open_options
from tests.bot.slack.harness import MARKETING, MAYA, TEAM, Workspace, audience, workspace
from tests.core.harness import people, person, until


async def form(
    bot: Workspace, typed: str = "/iterable-sync", channel: str = "marketing", *, options: bool = False
) -> View:
    """Open *Start a sync* as Maya. `options`: with all its inputs."""
    assert (await bot.slack.marketer.command(typed, channel)).ok
    view = await bot.slack.marketer.open_view(RunCallback.START)
    return await open_options(bot.slack.marketer, view) if options else view


async def read_privately(bot: Workspace, text: str, person: Person | None = None, channel: str = "marketing") -> str:
    """Wait for a message that only one person sees and that contains a text. Returns its text."""
    reader = person or bot.slack.marketer

    def find() -> str | None:
        own = [bot.slack.render(each) for each in reader.messages(channel) if each.only_for == reader.id]
        return next((each for each in reversed(own) if text in each), None)

    return await bot.slack.wait_for(find, description=f"{text!r} for {reader.user.name} alone")


async def all_runs(bot: Workspace) -> list[Run]:
    """Return all runs, newest first."""
    async with bot.engine.database.read() as db:
        return await runs.latest(db, 20)


async def wait_for_end(bot: Workspace, run_id: str) -> Run:
    """Wait until a run needs approval or has ended, and return it."""

    async def is_idle() -> bool:
        return not (await bot.run(run_id)).status.is_active

    await until(is_idle)
    return await bot.run(run_id)


async def start_run(bot: Workspace, mapping: AudienceMapping, content: bytes) -> str:
    """Start a run of a local file as Maya, and return its id."""
    path = bot.engine.settings.data_dir / "audience.csv"
    path.write_bytes(content)
    request = RunRequest(path=str(path))
    return await commands.start(bot.engine, mapping, request, by=MAYA, channel=MARKETING, team_id=TEAM)


async def post_button(bot: Workspace, action: RunAction, run_id: str) -> Message:
    """Post a message with one button, and return it."""
    client = await bot.services.clients.for_team(TEAM)
    assert client is not None
    shown = Shown(f"{action} {run_id}", [actions(button("Press", action, run_id))])
    posted = await client.chat_postMessage(channel=MARKETING, **shown.payload())
    return next(each for each in bot.slack.messages("marketing") if each.ts == posted["ts"])


async def test_uploaded_file_is_synced(tmp_path: Path) -> None:
    """A mapping found by typing and an uploaded file become a run, and the members are on the list."""
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        await bot.mapping(connection)
        await bot.mapping(connection, "Lapsed", list_id=1002)
        view = await form(bot)
        offered = await bot.slack.marketer.suggest(view, RunAction.MAPPING, "shopp")
        assert [each["text"]["text"] for each in offered] == ["SpringShoppers → List 1001"]
        file = bot.slack.marketer.file("a.csv", audience(people(range(3))))
        await bot.slack.marketer.fill(view, {RunAction.MAPPING: offered[0]["value"], RunBlock.FILE: file})
        assert (await bot.slack.marketer.submit()).ok
        assert not bot.slack.marketer.views
        run = (await all_runs(bot))[0]
        assert (run.started_by, run.channel, run.request.mode) == (MAYA, MARKETING, None)
        assert (await wait_for_end(bot, run.id)).status is RunStatus.SUCCEEDED
        assert {f"p{number}@example.com" for number in range(3)} <= bot.emails()


@pytest.mark.extended
async def test_list_is_taken_over(tmp_path: Path) -> None:
    """*Take over this list* waits for an approver, with the numbers of the people on it."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        state = bot.iterable.state
        fill_list(
            state, mapping.list_id, [HostedProfile(number, f"p{number}@example.com") for number in (1, 9)], by_mpid=True
        )
        view = await form(bot, options=True)
        file = bot.slack.marketer.file("a.csv", audience(people([1, 2])))
        await bot.slack.marketer.fill(view, {RunBlock.FILE: file, RunBlock.ADOPT: "remove"})
        assert (await bot.slack.marketer.submit()).ok
        run = await wait_for_end(bot, (await all_runs(bot))[0].id)
        assert run.status is RunStatus.NEEDS_APPROVAL
        card = await bot.slack.wait_for_message("marketing", "This takes ")
        assert "1 belong to the audience, and 1 would be removed" in bot.slack.render(card)


async def test_preview_only(tmp_path: Path) -> None:
    """*Preview only* shows what would change, and sends nothing until *Sync now* is pressed."""
    async with workspace(tmp_path) as bot:
        await bot.mapping(await bot.connection())
        view = await form(bot)
        maya = bot.slack.marketer
        await maya.fill(
            view, {RunBlock.FILE: maya.file("a.csv", audience(people([1, 2]))), RunBlock.PREVIEW_ONLY: ["yes"]}
        )
        assert (await maya.submit()).ok
        message = await bot.slack.wait_for_message("marketing", "Preview of SpringShoppers")
        assert "2 to add. Nothing was sent." in bot.slack.render(message)
        assert not bot.emails()
        await maya.click(message, RunAction.SEND)
        await read_privately(bot, "Started: ")
        await bot.slack.wait_for_message("marketing", "Synced SpringShoppers")
        assert bot.emails() == {"p1@example.com", "p2@example.com"}


async def test_exactly_one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing source, two sources, and an invalid link are errors at their inputs, and no run starts."""
    monkeypatch.setenv("ITERABLE_SYNC_AUDIENCE_PATHS", "")
    async with workspace(tmp_path) as bot:
        await bot.mapping(await bot.connection())
        view = await form(bot)  # the only mapping is preselected
        assert "file path or URL" not in bot.slack.render(view)  # no place is allowed, so there is no such input
        maya = bot.slack.marketer
        assert RunBlock.FILE in (await maya.submit()).errors
        await open_options(maya, view)
        await maya.fill(view, {RunBlock.LINK: "https://fernway.slack.com/archives/C1/p1"})
        assert "link of a message" in (await maya.submit()).errors[RunBlock.LINK]
        await maya.fill(view, {RunBlock.LINK: "F0NOTTHERE"})
        assert "may not see it" in (await maya.submit()).errors[RunBlock.LINK]
        await maya.fill(view, {RunBlock.FILE: maya.file("a.csv", audience(people(range(3))))})
        assert "Choose one source" in (await maya.submit()).errors[RunBlock.LINK]
        assert not await all_runs(bot)


@pytest.mark.extended
async def test_linked_file_is_synced(tmp_path: Path) -> None:
    """The link of a file in Slack becomes a run in the chosen mode, which appears in the mapping's channel."""
    async with workspace(tmp_path) as bot:
        await bot.mapping(await bot.connection())
        message = await bot.slack.marketer.upload_file("marketing", "a.csv", audience(people(range(2))))
        link = f"https://fernway.slack.com/files/{MAYA}/{message.files[0].id}/a.csv"
        view = await form(bot, channel="sync-alerts", options=True)
        await bot.slack.marketer.fill(view, {RunBlock.LINK: link, RunBlock.MODE: "add"})
        assert (await bot.slack.marketer.submit()).ok
        run = (await all_runs(bot))[0]
        assert run.request.path == address_of(TEAM, message.files[0].id)
        assert (run.request.mode, run.channel) == (SyncMode.ADD, MARKETING)
        assert "Follow it in #marketing" in await read_privately(bot, f"run `{run.id}`", channel="sync-alerts")
        assert (await wait_for_end(bot, run.id)).status is RunStatus.SUCCEEDED


@pytest.mark.extended
async def test_columns_are_chosen_after_a_run_stopped(tmp_path: Path) -> None:
    """A failed run offers a menu for each identity with several columns. The answer starts the sync, and is kept."""
    table = b"E-Mail,Email,customer_id,Client ID\na@example.com,b@example.com,c1,NULL\n"
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        mapping = await bot.mapping(connection)
        maya, run_id = bot.slack.marketer, await start_run(bot, mapping, table)
        stopped = await wait_for_end(bot, run_id)
        assert stopped.column_candidates == {"email": ["E-Mail", "Email"], "customer_id": ["customer_id", "Client ID"]}
        assert "Choose columns" in str(result_message(RunView(stopped, connection, None)).payload())
        message = await post_button(bot, RunAction.COLUMNS, run_id)
        await maya.click(message, RunAction.COLUMNS)
        view = await maya.open_view(RunCallback.COLUMNS)
        await maya.fill(view, {RunBlock.CANDIDATES.of("email"): "1", RunBlock.CANDIDATES.of("customer_id"): "0"})
        assert (await maya.submit()).ok
        await read_privately(bot, "Started again: ")
        chosen = await wait_for_end(bot, (await all_runs(bot))[0].id)
        assert chosen.request.columns == {"email": "Email", "customer_id": "customer_id"}
        assert bot.emails() == {"b@example.com"}
        shown = str(result_message(RunView(chosen, connection, None)).payload())
        assert "Columns used: Email as email, customer_id as customer id. Ignored: E-Mail, Client ID." in shown
        later = await wait_for_end(bot, await start_run(bot, mapping, table.replace(b"b@", b"d@")))
        assert (later.status, bot.emails()) == (RunStatus.SUCCEEDED, {"d@example.com"})
        await bot.slack.admin.click(message, RunAction.COLUMNS)
        await read_privately(bot, "Only operators", bot.slack.admin)


async def test_columns_are_asked_for_and_remembered(tmp_path: Path) -> None:
    """Two columns for the email need a choice, and later runs of the mapping use it."""
    table = b"E-Mail,Email,customer_id\na@example.com,b@example.com,c1\n"
    async with workspace(tmp_path) as bot:
        await bot.mapping(await bot.connection())
        maya = bot.slack.marketer
        view = await form(bot)
        await maya.fill(view, {RunBlock.FILE: maya.file("a.csv", table)})
        await open_options(maya, view)  # the file stays
        await maya.fill(view, {RunBlock.COLUMNS: "mail: E-Mail"})
        assert "Choose columns with email=NAME" in (await maya.submit()).errors[RunBlock.COLUMNS]
        await maya.fill(view, {RunBlock.COLUMNS: ""})
        assert (await maya.submit()).ok
        ambiguous = await wait_for_end(bot, (await all_runs(bot))[0].id)
        assert (ambiguous.status, ambiguous.error_code) == (RunStatus.FAILED, "ambiguous_columns")
        view = await form(bot, options=True)
        await maya.fill(view, {RunBlock.FILE: maya.file("a.csv", table), RunBlock.COLUMNS: "email = e-mail"})
        assert (await maya.submit()).ok
        chosen = await wait_for_end(bot, (await all_runs(bot))[0].id)
        assert chosen.request.columns == {"email": "e-mail"}
        assert bot.emails() == {"a@example.com"}
        view = await form(bot)
        await maya.fill(view, {RunBlock.FILE: maya.file("b.csv", table.replace(b"a@", b"d@"))})
        assert (await maya.submit()).ok
        later = await wait_for_end(bot, (await all_runs(bot))[0].id)
        assert (later.status, bot.emails()) == (RunStatus.SUCCEEDED, {"d@example.com"})


@pytest.mark.extended
async def test_path_in_an_allowed_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is accepted from an allowed place, and refused from elsewhere."""
    folder = tmp_path / "drop"
    folder.mkdir()
    (folder / "a.csv").write_bytes(audience(people(range(2))))
    monkeypatch.setenv("ITERABLE_SYNC_AUDIENCE_PATHS", str(folder))
    async with workspace(tmp_path) as bot:
        await bot.mapping(await bot.connection())
        view = await form(bot)
        await bot.slack.marketer.fill(view, {RunBlock.ADDRESS: "/etc/passwd"})
        assert "may not be read from there" in (await bot.slack.marketer.submit()).errors[RunBlock.ADDRESS]
        await bot.slack.marketer.fill(view, {RunBlock.ADDRESS: str(folder / "a.csv")})
        assert (await bot.slack.marketer.submit()).ok
        assert (await wait_for_end(bot, (await all_runs(bot))[0].id)).status is RunStatus.SUCCEEDED


async def test_command_opens_the_next_step(tmp_path: Path) -> None:
    """The command opens Connect for an admin if nothing is connected, and Map for a marketer if nothing is mapped."""
    async with workspace(tmp_path) as bot:
        await bot.slack.admin.command("/iterable-sync")
        await bot.slack.admin.open_view(ConnectCallback.CONNECT)
        await bot.connection()
        await bot.slack.marketer.command("/iterable-sync")
        await bot.slack.marketer.open_view(MappingCallback.MAP)


async def test_run_with_a_name(tmp_path: Path) -> None:
    """`run NAME` opens the form with that mapping; an unknown name, a paused mapping and a missing right get their
    answers."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        assert "SpringShoppers → List 1001" in bot.slack.render(await form(bot, "/iterable-sync run springshoppers"))
        await bot.slack.marketer.close()
        await bot.slack.marketer.command("/iterable-sync run SpringShopers")
        assert "SpringShoppers" in await read_privately(bot, "There is no mapping *SpringShopers*")
        await bot.slack.admin.command("/iterable-sync run springshoppers")
        await read_privately(bot, "Only operators and approvers of Shop", bot.slack.admin)
        view = await form(bot)
        await mapping_lifecycle.pause(bot.engine, mapping.id, by=MAYA, team_id=TEAM)
        file = bot.slack.marketer.file("a.csv", audience(people(range(2))))
        await bot.slack.marketer.fill(view, {RunBlock.FILE: file})
        assert "is paused" in (await bot.slack.marketer.submit()).errors[RunBlock.MAPPING]
        await bot.slack.marketer.command("/iterable-sync run springshoppers")
        await read_privately(bot, "is paused, so nothing is sent")


@pytest.mark.extended
async def test_shortcut_syncs_the_file_of_a_message(tmp_path: Path) -> None:
    """The shortcut syncs the only file of a message, even above 10 MB, or a chosen one; a message without a file gets
    an answer."""
    async with workspace(tmp_path) as bot:
        await bot.mapping(await bot.connection())
        maya = bot.slack.marketer

        async def wait_for_run(path: str) -> None:
            async def is_started() -> bool:
                return (path, "C01ALERTS") in [(run.request.path, run.channel) for run in await all_runs(bot)]

            await until(is_started)

        large = audience(people(range(2))).ljust(11_000_000, b"\n")
        message = await maya.upload_file("sync-alerts", "large.csv", large)
        assert (await maya.shortcut(RunShortcut.SYNC, message)).ok
        view = await maya.open_view(RunCallback.START)
        assert "large.csv (11.0 MB)" in bot.slack.render(view)
        assert (await maya.submit()).ok
        await wait_for_run(address_of(TEAM, message.files[0].id))
        message.files.append(maya.file("other.csv", audience(people(range(3)))))
        await maya.shortcut(RunShortcut.SYNC, message)
        view = await maya.open_view(RunCallback.START)
        await maya.fill(view, {RunBlock.ATTACHED: message.files[1].id})
        assert (await maya.submit()).ok
        await wait_for_run(address_of(TEAM, message.files[1].id))
        await maya.shortcut(RunShortcut.SYNC, await maya.say("no file here", "marketing"))
        await read_privately(bot, "This message has no file")


@pytest.mark.extended
async def test_cancels_the_only_run_or_lists_several(tmp_path: Path) -> None:
    """`cancel` alone cancels the only active run, or lists several; cancelling a finished one gets an answer."""
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        mapping = await bot.mapping(connection, active=False)  # its runs wait for approval
        first = await start_run(bot, mapping, audience(people(range(2))))
        await wait_for_end(bot, first)
        await bot.slack.marketer.command("/iterable-sync cancel")
        await read_privately(bot, f"run `{first}` of")
        assert (await bot.run(first)).status is RunStatus.CANCELLED
        second = await start_run(bot, mapping, audience(people(range(2))))
        other = await start_run(bot, await bot.mapping(connection, "X", list_id=1002, active=False), audience([]))
        await wait_for_end(bot, second)
        await wait_for_end(bot, other)
        await bot.slack.marketer.command("/iterable-sync cancel")
        await read_privately(bot, "2 syncs are in progress")
        answer = await bot.slack.wait_for_message("marketing", "2 syncs are", reader=bot.slack.marketer)
        await bot.slack.marketer.click(answer, RunAction.CANCEL, second)
        await read_privately(bot, f"run `{second}` of")
        await bot.slack.marketer.click(answer, RunAction.CANCEL, second)
        await read_privately(bot, f"Run {second} has ended")
        assert (await bot.run(other)).status is RunStatus.NEEDS_APPROVAL


@pytest.mark.extended
async def test_retries_once(tmp_path: Path) -> None:
    """*Retry* resumes a failed run once; a second click and a person without the right get an answer."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection(), active=False)
        run_id = await start_run(bot, mapping, audience(people(range(2))))
        await wait_for_end(bot, run_id)
        async with bot.engine.database.write() as db:
            await runs.change(db, run_id, plan=None)
            await runs.set_status(db, run_id, RunStatus.FAILED, error="It broke.", code="error")
        message = await post_button(bot, RunAction.RETRY, run_id)
        await bot.slack.admin.click(message, RunAction.RETRY)
        await read_privately(bot, "Only operators", bot.slack.admin)
        await bot.slack.marketer.click(message, RunAction.RETRY)
        await read_privately(bot, "resumes where it left off")
        await wait_for_end(bot, run_id)
        await bot.slack.operator.click(message, RunAction.RETRY)
        await read_privately(bot, "Someone has retried run", bot.slack.operator)
        async with bot.engine.database.read() as db:
            entries = await audit_log.of(db, [f"run:{run_id}"])
        assert [each.action for each in entries].count(audit_log.AuditAction.RUN_RETRIED) == 1


@pytest.mark.extended
async def test_runs_again_once(tmp_path: Path) -> None:
    """*Run again* starts one run like the first, and a second click starts no other."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        run_id = await start_run(bot, mapping, audience(people(range(2))))
        await wait_for_end(bot, run_id)
        message = await post_button(bot, RunAction.AGAIN, run_id)
        await bot.slack.marketer.click(message, RunAction.AGAIN)
        await read_privately(bot, "Started again: ")
        await bot.slack.marketer.click(message, RunAction.AGAIN)
        await read_privately(bot, "Someone has started this already")
        all_started = await all_runs(bot)
        assert len(all_started) == 2
        assert (await wait_for_end(bot, all_started[0].id)).counters.unchanged == 2


@pytest.mark.extended
async def test_rejected_members_are_retried(tmp_path: Path) -> None:
    """*Retry rejected* starts a run of the members that were rejected."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        run_id = await start_run(bot, mapping, audience([person(1), person(2, email="", customer_id="")]))
        assert (await wait_for_end(bot, run_id)).counters.rejected == 1
        message = await post_button(bot, RunAction.RETRY_REJECTED, run_id)
        await bot.slack.marketer.click(message, RunAction.RETRY_REJECTED)
        await read_privately(bot, "retries the rejected people")
        run = await wait_for_end(bot, (await all_runs(bot))[0].id)
        assert (run.request.path, run.counters.members) == (f"rejected:{run_id}", 1)


@pytest.mark.extended
async def test_rejected_members_are_sent_privately(tmp_path: Path) -> None:
    """The person who asks for the rejected members gets the file as a direct message, with an audit entry, and the
    channel gets none of it."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        run_id = await start_run(bot, mapping, audience([person(1), person(2, email="=broken")]))
        await wait_for_end(bot, run_id)
        message = await post_button(bot, RunAction.REJECTED, run_id)
        maya = bot.slack.marketer
        await maya.click(message, RunAction.REJECTED)
        await read_privately(bot, "comes to your direct messages")
        sent = await bot.slack.wait_for_message("dm", f"rejected-{run_id}.csv", reader=maya)
        rows = list(csv.reader(io.StringIO((sent.files[0].content or b"").decode("utf-8-sig"))))
        assert rows[0] == list(CSV_HEADER)
        assert rows[1][:4] == ["2", "'=broken", "c2", "invalid_email"]
        assert not any(each.files or "broken" in bot.slack.render(each) for each in maya.messages("marketing"))
        async with bot.engine.database.read() as db:
            last = (await audit_log.of(db, [f"run:{run_id}"]))[-1]
        assert (last.actor, last.action) == (MAYA, audit_log.AuditAction.REJECTIONS_TAKEN)


async def test_only_operators_get_rejected_members(tmp_path: Path) -> None:
    """A person who is not an operator gets no addresses; a run without rejections or with deleted ones gets an
    answer."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        run_id = await start_run(bot, mapping, audience(people(range(2))))
        await wait_for_end(bot, run_id)
        message = await post_button(bot, RunAction.REJECTED, run_id)
        await bot.slack.admin.click(message, RunAction.REJECTED)
        await read_privately(bot, "Ask one of them.", bot.slack.admin)
        await bot.slack.marketer.click(message, RunAction.REJECTED)
        await read_privately(bot, "rejected no one")
        async with bot.engine.database.write() as db:
            await runs.change(db, run_id, rejected=3)
        await bot.slack.marketer.click(message, RunAction.REJECTED)
        await read_privately(bot, "it is too long ago")
        assert not bot.slack.calls("files.completeUploadExternal")


@pytest.mark.extended
async def test_many_rejected_members_are_sent(tmp_path: Path) -> None:
    """A file of several pages contains every rejected member once."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        run_id = await start_run(bot, mapping, audience(people(range(1))))
        await wait_for_end(bot, run_id)
        rejected = [Rejection(str(number), None, None, "no_email") for number in range(5_001)]
        async with bot.engine.database.write() as db:
            await rejections.add(db, run_id, rejected)
        message = await post_button(bot, RunAction.REJECTED, run_id)
        await bot.slack.marketer.click(message, RunAction.REJECTED)
        sent = await bot.slack.wait_for_message("dm", f"rejected-{run_id}.csv", reader=bot.slack.marketer)
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
def test_file_id_is_read_from_links(typed: str) -> None:
    """The id of a file is read from each kind of Slack's links, and from the id itself."""
    assert file_id_of(typed) == "F0123ABCD"


def test_other_text_is_no_file_id() -> None:
    """Any other text is refused, with what to do."""
    with pytest.raises(InputError, match="Copy link to file"):
        file_id_of("a.csv")
