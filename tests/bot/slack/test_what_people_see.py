"""The text that a marketer reads after a fault: what happened, the progress so far, and what to do."""

from pathlib import Path

import pytest

from bot.features.ids import RunAction, RunBlock, RunCallback
from core import alerting
from core.models.run import SyncMode
from core.store import alerts
from sandbox import sample_audiences
from sandbox.iterable.faults import Fault
from sandbox.slack.workspace.models import Message
from tests.bot.slack.following import LONG, SUBSCRIBE, ended, start
from tests.bot.slack.harness import LIST, MARKETING, Workspace, audience, workspace
from tests.core.harness import people, person

_SYNC = "SpringShoppers → List 1001"
_RESUMES = "it resumes where it left off."


async def upload(bot: Workspace, name: str, content: bytes) -> str:
    """Maya uploads a file in *Start a sync*. Returns the run's id."""
    maya = bot.slack.marketer
    await maya.command("/iterable-sync run SpringShoppers")
    view = await maya.open_view(RunCallback.START)
    await maya.fill(view, {RunBlock.FILE: maya.file(name, content)})
    assert (await maya.submit(view)).ok
    return (await bot.latest_run()).id


async def read(bot: Workspace, text: str, channel: str = "marketing") -> str:
    """Wait for a message that contains a text, and return the text of the latest one."""
    return bot.slack.render(await bot.slack.wait_for_message(channel, text, timeout=LONG))


async def alert_of(bot: Workspace, directory: Path, fault: Fault, number: int = 3) -> str:
    """Let a run fail, and return the text of its alert. The run's own message must show the failure."""
    bot.iterable.faults.set([fault])
    mapping = await bot.mapping(await bot.connection())
    await ended(bot, await start(bot, directory, mapping, people(range(number))))
    await read(bot, "failed")
    return await read(bot, "Sync failing: ", "sync-alerts")


def download(directory: Path, members: list[sample_audiences.Member]) -> bytes:
    """Return an audience download as a file."""
    return sample_audiences.write(directory / "spring.zip", members, 1_740_819_600).read_bytes()


# -- members that can't be synced -------------------------------------------------------------------


async def test_every_row_failed(tmp_path: Path) -> None:
    """The summary of a run that synced no one says so first, with the reason and what to do."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        await start(bot, tmp_path, mapping, [person(number, email=None) for number in range(3)])
        shown = await read(bot, "No one could be synced")
        assert f"*No one could be synced: {_SYNC}*\n3 people" in shown
        assert "3 people couldn't be synced: 3 without an email address." in shown
        assert "_People without an email address: collect the address in mParticle" in shown
        assert "[See why]" in shown
        assert "Synced " not in shown


@pytest.mark.extended
async def test_users_without_an_email(tmp_path: Path) -> None:
    """Members without an email are counted, with the reason and a remedy, and the others are synced."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        await start(bot, tmp_path, mapping, [*people(range(3)), person(3, email=None)])
        shown = await read(bot, "Synced")
        assert f"Synced {_SYNC}" in shown
        assert "1 person couldn't be synced: 1 without an email address." in shown
        assert "or choose the User ID setting mpid, which gives such a profile a placeholder address." in shown


@pytest.mark.extended
async def test_failed_members_in_a_200(tmp_path: Path) -> None:
    """Members that Iterable rejects in a successful answer are counted by reason, never by address."""
    domains = ("forgotten.test", "conflict.test", "invalid.test", "unattributed.test")
    refused = [person(10 + number, email=f"secret{number}@{domain}") for number, domain in enumerate(domains)]
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        await start(bot, tmp_path, mapping, [person(1), *refused])
        shown = await read(bot, "Synced")
        assert "1 added" in shown
        assert "4 people couldn't be synced - 4 more than predicted: " in shown
        assert "1 for other reasons" in shown
        assert "[See why] [Retry rejected] [Run again] [Undo]" in shown
        maya = bot.slack.marketer
        await maya.click(await bot.slack.wait_for_message("marketing", "Synced"), RunAction.SEE_WHY)
        reasons = bot.slack.render(await maya.open_view())
        for meaning in (
            "Deleted under GDPR in Iterable: can't be added again.",
            "In Iterable the email and the user id belong to two different people.",
            "Iterable refused the email address.",
            "Iterable counted a failure and did not say which person failed.",
        ):
            assert f"• *1*: {meaning}\n_" in reasons
        assert "secret" not in shown + reasons


# -- Iterable -----------------------------------------------------------------------------------------


@pytest.mark.extended
async def test_passing_500s(tmp_path: Path) -> None:
    """Transient 500s open no alert, and the run succeeds."""
    async with workspace(tmp_path) as bot:
        bot.iterable.faults.set([Fault("error", path=SUBSCRIBE, times=2)])
        mapping = await bot.mapping(await bot.connection())
        await start(bot, tmp_path, mapping, people(range(3)))
        assert "3 added" in await read(bot, "Synced")
        assert not bot.slack.messages("sync-alerts")


@pytest.mark.extended
async def test_lasting_500s(tmp_path: Path) -> None:
    """If Iterable fails halfway, the alert shows how many are added and remaining, and *Retry* completes the run."""
    async with workspace(tmp_path) as bot:
        shown = await alert_of(bot, tmp_path, Fault("error", path=SUBSCRIBE, after=1), 1500)
        assert f"*Sync failing: {_SYNC}*\nIterable is having problems (HTTP 500, GenericError)" in shown
        assert "*Progress so far:* 1,000 added, 500 left to sync." in shown
        assert f"*What you can do:* nothing is wrong with your audience. Retry in a few minutes - {_RESUMES}" in shown
        bot.iterable.faults.clear()
        alert = await bot.slack.wait_for_message("sync-alerts", "Sync failing: ")
        await bot.slack.marketer.click(alert, RunAction.RETRY)
        assert "1,500 added" in await read(bot, "Synced")


@pytest.mark.parametrize(
    ("fault", "happened", "remedy"),
    [
        pytest.param(
            Fault("error", path=SUBSCRIBE, status=401, code="BadApiKey"),
            "Iterable refuses the API key (HTTP 401, BadApiKey).",
            f"an admin presses *Replace key* and enters a new one from Iterable. Then press *Retry now* - {_RESUMES}",
            id="wrong key",
        ),
        pytest.param(
            Fault("reset", path=SUBSCRIBE),
            "Iterable can't be reached at",
            f"nothing is wrong with your audience. Retry in a few minutes - {_RESUMES}",
            id="unreachable",
            marks=pytest.mark.extended,
        ),
        pytest.param(
            Fault("throttle", path=SUBSCRIBE),
            "Iterable has refused every request for a long time because there were too many (HTTP 429, ",
            "wait until other tools use this Iterable project less, or have an admin lower *Requests a second*",
            id="too many requests",
            marks=pytest.mark.extended,
        ),
    ],
)
async def test_iterable_fails(tmp_path: Path, fault: Fault, happened: str, remedy: str) -> None:
    """The alert says what happened, the progress so far and what to do, and contains neither key nor address."""
    async with workspace(tmp_path) as bot:
        shown = await alert_of(bot, tmp_path, fault)
        assert f"*\n{happened}" in shown
        assert "*Progress so far:* none that Iterable has confirmed.\n" in shown
        assert f"*What you can do:* {remedy}" in shown
        assert "[Retry now]" in shown
        assert bot.iterable.key not in shown
        assert "@example.com" not in shown


@pytest.mark.extended
async def test_list_deleted_in_iterable(tmp_path: Path) -> None:
    """A deleted list opens one alert that names the list and says how to choose another one."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        del bot.iterable.state.lists[LIST]
        for _ in range(2):
            await ended(bot, await start(bot, tmp_path, mapping, people(range(3))))
        shown = await read(bot, ", 2 times", "sync-alerts")
        assert "List 1001 does not exist in the Iterable project of this API key" in shown
        assert "*Progress so far:* none" in shown
        assert "map the audience to another list with `/iterable-sync map`, and *Pause* this mapping." in shown
        assert len(bot.slack.messages("sync-alerts")) == 1


# -- audiences ----------------------------------------------------------------------------------------


@pytest.mark.extended
async def test_truncated_download(tmp_path: Path) -> None:
    """A truncated download is refused before anything is sent, and *Upload a different file* syncs the next one."""
    content = download(
        tmp_path, [sample_audiences.Member(number, f"p{number}@example.com", None) for number in range(100)]
    )
    async with workspace(tmp_path) as bot:
        await bot.mapping(await bot.connection())
        await upload(bot, "spring.zip", content[: len(content) // 2])
        shown = await read(bot, "Sync failing: ", "sync-alerts")
        assert "spring.zip: is not a complete ZIP file: it was cut off or damaged. Download it again." in shown
        assert "*Progress so far:* none; the list is unchanged." in shown
        assert "*What you can do:* correct the file as described above, then press *Upload a different file*." in shown
        message = await bot.slack.wait_for_message("sync-alerts", "Sync failing: ")
        maya = bot.slack.marketer
        await maya.click(message, RunAction.START)
        view = await maya.open_view(RunCallback.START)
        await maya.fill(view, {RunBlock.FILE: maya.file("spring.zip", content)})
        assert (await maya.submit(view)).ok
        assert "100 added" in await read(bot, "Synced")
        await read(bot, "Recovered: ", "sync-alerts")


@pytest.mark.extended
async def test_download_without_emails(tmp_path: Path) -> None:
    """The summary of a download without emails says that no one could be synced."""
    async with workspace(tmp_path) as bot:
        await bot.mapping(await bot.connection())
        await upload(
            bot, "spring.zip", download(tmp_path, [sample_audiences.Member(n, None, f"c{n}") for n in range(5)])
        )
        shown = await read(bot, "No one could be synced")
        assert "5 people couldn't be synced: 5 without an email address." in shown


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("budget.csv", b"month,amount\n1,2\n", "budget.csv: has no column with an identity, only month, amount."),
        ("spring.csv", b'mpid,email\n1,a@b.example\n2,"b\n', "spring.csv, line 3: a quotation mark is not closed"),
        *(
            pytest.param(*refused, marks=pytest.mark.extended)
            for refused in (
                ("photo.csv", b"\x89PNG\r\n\x1a\n" + bytes(50), "photo.csv: is a picture. Export the audience"),
                ("empty.csv", b"", "empty.csv: is empty. Export it again."),
                ("events.json", b'{"a":1}', "events.json: has no column with an identity, only a."),
            )
        ),
    ],
)
async def test_file_without_an_audience(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    """A file that is not an audience is refused with the place of the fault, and nothing is sent."""
    async with workspace(tmp_path) as bot:
        await bot.mapping(await bot.connection())
        await upload(bot, name, content)
        shown = await read(bot, "failed")
        assert f"*Sync failed: {_SYNC}*\n{sentence}" in shown
        assert "*Progress so far:* none; the list is unchanged." in shown
        assert "[Upload a different file] [Retry now]" in shown


@pytest.mark.extended
async def test_empty_audience(tmp_path: Path) -> None:
    """An empty audience waits for approval, and the card says that everyone would be removed."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        await ended(bot, await start(bot, tmp_path, mapping, people(range(5))))
        await upload(bot, "spring.csv", audience([]))
        shown = await read(bot, "Approval needed")
        assert (
            "Large removal: 100 % of List 1001*\nApproval needed: SpringShoppers → List 1001\n5 → 0 people, −5\n"
            in shown
        )
        assert "The audience is empty: spring.csv has no one in it, and all 5 people synced before would be" in shown
        assert "Approve only if the list should become empty; otherwise decline, and export it again." in shown
        assert len(bot.emails()) == 5


@pytest.mark.extended
async def test_mass_removal(tmp_path: Path) -> None:
    """A mass removal waits for approval, and the card shows how many of how many."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        await ended(bot, await start(bot, tmp_path, mapping, people(range(200))))
        await upload(bot, "spring.csv", audience(people(range(100))))
        shown = await read(bot, "Approval needed")
        assert "100 of 200 people would be removed (50 %), more than 20 %." in shown
        assert "Approve only if you expect this many people to leave." in shown
        assert len(bot.emails()) == 200


@pytest.mark.extended
async def test_file_of_another_audience(tmp_path: Path) -> None:
    """The file of another audience waits for approval, and the card names both audiences."""
    header = "mpid,scanned_timestamp_ms,identity_value,identity_type\n"
    async with workspace(tmp_path) as bot:
        await bot.mapping(await bot.connection())
        await upload(bot, "8754_SpringShoppers_172136Nov292018.csv", f"{header}1,1,p1@example.com,email\n".encode())
        await read(bot, "Synced")
        await upload(bot, "99_Lapsed_172136Nov292018.csv", f"{header}2,1,p2@example.com,email\n".encode())
        shown = await read(bot, "Approval needed")
        assert "List 1001 is kept equal to audience 8754 (SpringShoppers)" in shown
        assert "is of audience 99 (Lapsed), which would take its place." in shown
        assert "Decline if this is the wrong file" in shown
        assert bot.emails() == {"p1@example.com"}


@pytest.mark.extended
async def test_earlier_run_waits(tmp_path: Path) -> None:
    """A run that must not overtake a waiting one fails, and its message says what to do in Slack."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection(), active=False)
        waits = await start(bot, tmp_path, mapping, people(range(3)))
        await read(bot, "Approval needed")
        await ended(bot, await start(bot, tmp_path, mapping, people(range(2)), mode=SyncMode.ADD))
        shown = await read(bot, "Sync failed: ")
        assert f"Run {waits} of the same mapping waits for approval, and what it would do comes first." in shown
        assert "*What you can do:* have an approver decide on that run, in its message or on the Home page" in shown
        assert "Then press *Retry now* - it resumes where it left off." in shown
        assert "iterable-sync runs" not in shown


@pytest.mark.extended
async def test_file_of_several_audiences(tmp_path: Path) -> None:
    """A file with several audiences, none of them the mapping's, is refused with their names."""
    content = b"mpid,email,audience_id,audience_name\n1,p1@example.com,11,One\n2,p2@example.com,22,Two\n"
    async with workspace(tmp_path) as bot:
        await bot.mapping(await bot.connection())
        await upload(bot, "several.csv", content)
        shown = await read(bot, "Sync failed: ")
        assert "One (11), Two (22)" in shown
        assert "--audience" not in shown
        assert "[Upload a different file]" in shown


# -- alerts -------------------------------------------------------------------------------------------


@pytest.mark.extended
async def test_alert_longer_than_slack_takes(tmp_path: Path) -> None:
    """An alert above Slack's limit is cut, and keeps the remedy and its buttons."""
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        mapping = await bot.mapping(connection, audience="A" * 200)
        run_id = await start(bot, tmp_path, mapping, people(range(3)), channel=MARKETING)
        await ended(bot, run_id)
        async with bot.engine.database.write() as db:
            await alerting.open_or_repeat(
                db,
                connection_id=connection.id,
                mapping_id=mapping.id,
                run_id=run_id,
                code="error",
                message="It broke & <broke>. " * 500,
            )
        bot.services.wake()
        message: Message = await bot.slack.wait_for_message("sync-alerts", "Sync failing: ", timeout=LONG)
        shown = bot.slack.render(message)
        assert "It broke & <broke>." in shown
        assert "*What you can do:* press *Retry now*" in shown
        assert "[Retry now]" in shown
        assert len(message.text) <= 3000
        async with bot.engine.database.read() as db:
            assert len((await alerts.current(db))[0].message) > 5000
