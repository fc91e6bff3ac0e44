"""The home page: what each person sees and may press, and that it is updated while they look at it."""

from collections.abc import Callable
from copy import copy
from itertools import pairwise
from pathlib import Path

import pytest

from bot.features.home import publisher
from bot.features.home.page import PAGE_SIZE
from bot.features.ids import ApprovalAction, HomeAction, MappingAction, RunAction
from core.connections import mapping_lifecycle
from core.models.run import RunRequest
from core.store import mappings, schedules
from core.store.mappings import AudienceMapping
from core.store.schedules import Missed, NewSchedule, Trigger
from sandbox.iterable import Fault
from sandbox.slack.users.user_driver import Person
from sandbox.slack.workspace.models import View
from tests.bot.slack import following
from tests.bot.slack.following import choices_of
from tests.bot.slack.harness import AMIR, LIST, MAYA, TEAM, Workspace, audience, workspace
from tests.core.harness import HELD_S, people, queue_run


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Update the pages often, so that tests need not wait."""
    monkeypatch.setattr(publisher, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(publisher, "APART_S", 0.1)


def buttons(view: View) -> set[str]:
    """Return the action ids of the buttons of a page, and of those that its menus stand for."""
    elements = [each for block in view.blocks for each in block.get("elements", ())]
    elements += [block["accessory"] for block in view.blocks if "accessory" in block]
    return {each["action_id"] for each in elements if each["type"] == "button"} | choices_of(view).keys()


async def wait_for_home(bot: Workspace, person: Person, text: str) -> View:
    """Wait until a person's home page contains a text, and return the page."""
    page = person.user.home or await person.open_home()
    await bot.slack.wait_for(_says(bot, page, text), description=f"{text!r} on the home page")
    return page


def daily(mapping: AudienceMapping) -> NewSchedule:
    """Return a schedule that fires in 2035."""
    return {
        "connection_id": mapping.connection_id,
        "mapping_id": mapping.id,
        "name": "Daily",
        "trigger": Trigger.CRON,
        "cron": "0 6 * * *",
        "time_zone": "UTC",
        "after_mapping_id": None,
        "missed": Missed.ONCE,
        "quiet_from": None,
        "quiet_to": None,
        "next_due_at": 2_051_222_400.0,
        "created_by": MAYA,
    }


def _says(bot: Workspace, page: View, text: str) -> Callable[[], bool]:
    return lambda: text in bot.slack.render(page)


async def start(bot: Workspace, mapping: AudienceMapping, directory: Path, count: int = 3) -> str:
    """Start a run as Maya would."""
    path = directory / "audience.csv"
    path.write_bytes(audience(people(range(1, count + 1))))
    connection = (await bot.services.connections_of(TEAM))[0]
    return await queue_run(bot.engine, connection, mapping, RunRequest(path=str(path)), started_by=MAYA)


async def test_welcome(tmp_path: Path) -> None:
    """If nothing is connected, an admin can connect a project, and other people read that they should ask an admin."""
    async with workspace(tmp_path) as bot:
        page = await bot.slack.admin.open_home()
        assert "[Connect a project]" in bot.slack.render(page)

        page = await bot.slack.marketer.open_home()
        assert "Ask an admin or owner" in bot.slack.render(page)
        assert buttons(page) == {HomeAction.REFRESH}


async def test_approvals_that_wait(tmp_path: Path) -> None:
    """A waiting approval appears on an open page, with *Review* only for its approvers."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection(), active=False)
        page = await wait_for_home(bot, bot.slack.approver, "Proposed by @Maya Lindqvist")
        assert MappingAction.REVIEW in buttons(page)

        await start(bot, mapping, tmp_path)
        await wait_for_home(bot, bot.slack.approver, "3 to add")
        assert "Started by @Maya Lindqvist" in bot.slack.render(page)
        assert ApprovalAction.REVIEW in buttons(page)

        page = await wait_for_home(bot, bot.slack.marketer, "Approvers: @Amir Haddad")
        assert ApprovalAction.REVIEW not in buttons(page)


async def test_runs_in_progress(tmp_path: Path) -> None:
    """A run in progress shows its progress, with *Cancel* for those who may cancel it."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        bot.iterable.faults.add(Fault("slow", path="/api/lists/subscribe", after=1, delay=HELD_S))
        run_id = await start(bot, mapping, tmp_path, count=2500)
        page = await wait_for_home(bot, bot.slack.marketer, "1,000 of 2,500 (40 %)")
        assert "# 1 sync in progress" in bot.slack.render(page)
        assert RunAction.CANCEL in buttons(page)

        page = await wait_for_home(bot, bot.slack.admin, "of 2,500")
        assert RunAction.CANCEL not in buttons(page)
        bot.iterable.faults.clear()
        await bot.slack.wait_for(_says(bot, page, "Done, 2,500 added"))
        assert (await bot.run(run_id)).counters.added == 2500


@pytest.mark.extended
async def test_mappings_and_last_run(tmp_path: Path) -> None:
    """A mapping is shown with its last run, with the buttons of those who may start runs."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        await start(bot, mapping, tmp_path)
        page = await wait_for_home(bot, bot.slack.marketer, "Done, 3 added")
        assert "*SpringShoppers* → List 1001 (https://app.iterable.com/lists) (Shop) · Active" in bot.slack.render(page)
        assert {RunAction.START, MappingAction.PAUSE, MappingAction.OPEN} <= buttons(page)

        assert await mapping_lifecycle.pause(bot.engine, mapping.id, by=MAYA, team_id=TEAM)
        await wait_for_home(bot, bot.slack.marketer, "Paused")
        assert MappingAction.RESUME in buttons(page)
        assert MappingAction.PAUSE not in buttons(page)

        page = await bot.slack.admin.open_home()
        assert not {RunAction.START, MappingAction.RESUME} & buttons(page)
        assert "key …0000" in bot.slack.render(page)


async def test_sizes_schedule_and_history(tmp_path: Path) -> None:
    """A mapping has the size of its list with a chart, its next sync, and *History* with the last successful sync."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        first = await following.start(bot, tmp_path, mapping, people(range(3)))
        await wait_for_home(bot, bot.slack.marketer, "*3 people*")
        await following.start(bot, tmp_path, mapping, people(range(4)))
        page = await wait_for_home(bot, bot.slack.marketer, "*4 people*  `▁█`  +33.3 % over 2 syncs")
        async with bot.engine.database.write() as db:
            await schedules.add(db, **daily(mapping))
        await wait_for_home(bot, bot.slack.marketer, "Next sync 2035-")

        bot.iterable.faults.add(Fault("error", path="/api/lists/subscribe", status=500))
        await following.start(bot, tmp_path, mapping, people(range(5)))
        await wait_for_home(bot, bot.slack.marketer, ": Failed\nLast successful sync 20")
        await bot.slack.marketer.click(page, HomeAction.HISTORY)
        shown = bot.slack.render(await bot.slack.marketer.open_view())
        assert shown.index("Last successful sync 20") < shown.index("*Failed*") < shown.index("*Done*")
        assert f"run {first} ({bot.slack.page_url}archives/C01MARKETING/p" in shown


async def test_menus_stand_for_buttons(tmp_path: Path) -> None:
    """A choice in a menu does what its button does, for those who may: others are refused."""
    async with workspace(tmp_path) as bot:
        await bot.mapping(await bot.connection())
        page = await bot.slack.marketer.open_home()
        pause = choices_of(page)[MappingAction.PAUSE]
        bot.slack.admin.user.home = stranger_page = copy(page)  # as if Slack showed them Maya's page
        await bot.slack.admin.click(stranger_page, HomeAction.MORE, pause)
        await bot.slack.wait_for_message("dm", "Only operators and approvers of Shop can pause", reader=bot.slack.admin)
        await bot.slack.marketer.click(page, HomeAction.MORE, pause)
        await wait_for_home(bot, bot.slack.marketer, "Paused")


async def test_published_only_when_different(tmp_path: Path) -> None:
    """A page is published once for each change, and *Refresh* publishes it in any case."""
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        for person in (bot.slack.marketer, bot.slack.admin):
            await person.open_home()
        for audience_name in ("Spring", "Summer", "Autumn"):
            await bot.mapping(connection, audience_name)
            for person in (bot.slack.marketer, bot.slack.admin):
                await wait_for_home(bot, person, f"*{audience_name}*")
        for person in (bot.slack.marketer, bot.slack.admin):
            calls = [call for call in bot.slack.calls("views.publish") if call.args["user_id"] == person.id]
            assert all(earlier.args["view"] != later.args["view"] for earlier, later in pairwise(calls))

        page = await wait_for_home(bot, bot.slack.admin, "Autumn")
        old_hash = page.hash
        await bot.slack.admin.click(page, HomeAction.REFRESH)
        await bot.slack.wait_for(lambda: page.hash != old_hash)


async def test_soon_after_a_click(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a click on the page, changes appear at once, before the page is due."""
    monkeypatch.setattr(publisher, "APART_S", 600.0)
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        page = await bot.slack.marketer.open_home()
        await bot.slack.marketer.click(page, HomeAction.REFRESH)
        assert await mapping_lifecycle.pause(bot.engine, mapping.id, by=MAYA, team_id=TEAM)
        await wait_for_home(bot, bot.slack.marketer, "Paused")


@pytest.mark.extended
async def test_search_and_pages(tmp_path: Path) -> None:
    """Many mappings are on pages that a person turns, and a search finds those of a name."""
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        async with bot.engine.database.write() as db:
            for number in range(70):
                await mappings.add(
                    db, connection_id=connection.id, list_id=LIST, audience_id=None, audience_name=f"Audience {number}"
                )
        maya = bot.slack.marketer
        page = await maya.open_home()
        assert f"1-{PAGE_SIZE} of 70 mappings" in bot.slack.render(page)
        await maya.click(page, HomeAction.NEXT_PAGE)
        await wait_for_home(bot, maya, f"{PAGE_SIZE + 1}-{2 * PAGE_SIZE} of 70 mappings")
        await bot.slack.wait_for(_says(bot, page, "*Audience 23*"))
        bot.services.viewers._looking.clear()  # as if another process had shown the page
        page = await maya.open_home()
        assert "*Audience 23*" in bot.slack.render(page)

        await maya.fill(page, {HomeAction.SEARCH: "audience 6"})
        await wait_for_home(bot, maya, "1-11 of 11 mappings that match “audience 6”")
        await maya.click(page, HomeAction.SHOW_ALL)
        await wait_for_home(bot, maya, f"1-{PAGE_SIZE} of 70 mappings")
        assert "audience 6" not in bot.slack.render(page)
        await maya.fill(page, {HomeAction.SEARCH: "winter"})
        await wait_for_home(bot, maya, "No mapping matches “winter”.")


async def test_slack_refuses_a_page(tmp_path: Path) -> None:
    """A page that Slack refuses is published again a little later."""
    async with workspace(tmp_path) as bot:
        await bot.connection(approvers=(AMIR, MAYA))
        fault = bot.slack.faults.add("server_error", "views.publish", count=2)
        page = await bot.slack.marketer.open_home()
        assert fault.struck == 2
        assert "Shop" in bot.slack.render(page)
