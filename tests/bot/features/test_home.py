"""The home page: what each person sees and may press, and that it follows what happens while they look."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bot.features.home import publisher
from bot.features.ids import ApprovalAction, HomeAction, MappingAction, RunAction
from core import mapping_lifecycle
from core.models.run import RunRequest
from core.store import mappings
from core.store.mappings import AudienceMapping
from sandbox.iterable import Fault
from sandbox.slack.users.user_driver import Person
from sandbox.slack.workspace.models import View
from tests.bot.slack.harness import AMIR, LIST, MAYA, TEAM, Workspace, audience, workspace
from tests.core.harness import people, queue_run


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are looked after often, so that tests need not wait."""
    monkeypatch.setattr(publisher, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(publisher, "APART_S", 0.1)


def buttons(view: View) -> set[str]:
    """The buttons of a page."""
    found = [each for block in view.blocks for each in block.get("elements", ())]
    found += [block["accessory"] for block in view.blocks if "accessory" in block]
    return {each["action_id"] for each in found if each["type"] == "button"}


async def home_with(here: Workspace, person: Person, text: str) -> View:
    """A person's page once it says something, without anybody pressing anything."""
    page = person.user.home or await person.open_home()
    await here.slack.wait_for(_says(here, page, text), what=f"{text!r} on the home page")
    return page


def _says(here: Workspace, page: View, text: str) -> Callable[[], bool]:
    return lambda: text in here.slack.render(page)


async def start(here: Workspace, mapping: AudienceMapping, directory: Path, count: int = 3) -> str:
    """Start a run as Maya would."""
    path = directory / "audience.csv"
    path.write_bytes(audience(people(range(1, count + 1))))
    connection = (await here.services.connections_of(TEAM))[0]
    return await queue_run(here.engine, connection, mapping, RunRequest(path=str(path)), started_by=MAYA)


async def test_welcome(tmp_path: Path) -> None:
    """Where nothing is connected, an admin can begin, and others are told whom to ask."""
    async with workspace(tmp_path) as here:
        page = await here.slack.admin.open_home()
        assert "[Connect a project]" in here.slack.render(page)

        page = await here.slack.marketer.open_home()
        assert "Ask an admin or owner" in here.slack.render(page)
        assert buttons(page) == {HomeAction.REFRESH}


async def test_approvals_that_wait(tmp_path: Path) -> None:
    """An approval that waits appears while people look, with *Review* only for who may decide it."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection(), active=False)
        page = await home_with(here, here.slack.approver, "Proposed by @Maya Lindqvist")
        assert MappingAction.REVIEW in buttons(page)

        await start(here, mapping, tmp_path)
        await home_with(here, here.slack.approver, "3 to add, 0 to update, 0 to remove, 0 rejected")
        assert "Asked for by @Maya Lindqvist" in here.slack.render(page)
        assert ApprovalAction.REVIEW in buttons(page)

        page = await home_with(here, here.slack.marketer, "Approvers: @Amir Haddad")
        assert ApprovalAction.REVIEW not in buttons(page)


async def test_runs_in_progress(tmp_path: Path) -> None:
    """A run in progress is shown with how far it is, and with *Cancel* for those who may."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection())
        here.iterable.faults.add(Fault("slow", path="/api/lists/subscribe", after=1, delay=2.0))
        run_id = await start(here, mapping, tmp_path, count=2500)
        page = await home_with(here, here.slack.marketer, "1,000 of 2,500 (40 %)")
        assert "# 1 run in progress" in here.slack.render(page)
        assert RunAction.CANCEL in buttons(page)

        page = await home_with(here, here.slack.admin, "of 2,500")
        assert RunAction.CANCEL not in buttons(page)
        await here.slack.wait_for(_says(here, page, "succeeded, 2,500 added"), timeout=10)
        assert (await here.run(run_id)).counters.added == 2500


async def test_mappings_and_last_run(tmp_path: Path) -> None:
    """A mapping is shown with its last run, and with the buttons of those who may start runs."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection())
        await start(here, mapping, tmp_path)
        page = await home_with(here, here.slack.marketer, "succeeded, 3 added, 0 updated, 0 removed, 0 rejected")
        assert "*SpringShoppers* → List 1001 (Shop): active" in here.slack.render(page)
        assert {RunAction.START, MappingAction.PAUSE, MappingAction.OPEN} <= buttons(page)

        assert await mapping_lifecycle.pause(here.engine, mapping.id, by=MAYA, team_id=TEAM)
        await home_with(here, here.slack.marketer, "paused")
        assert MappingAction.RESUME in buttons(page)
        assert MappingAction.PAUSE not in buttons(page)

        page = await here.slack.admin.open_home()
        assert not {RunAction.START, MappingAction.RESUME} & buttons(page)
        assert "key …0000" in here.slack.render(page)


async def test_published_only_when_different(tmp_path: Path) -> None:
    """Each page is published once for each change; *Refresh* publishes in any case."""
    async with workspace(tmp_path) as here:
        connection = await here.connection()
        for person in (here.slack.marketer, here.slack.admin):
            await person.open_home()
        for audience_name in ("Spring", "Summer", "Autumn"):
            await here.mapping(connection, audience_name)
            for person in (here.slack.marketer, here.slack.admin):
                await home_with(here, person, f"*{audience_name}*")
        assert len(here.slack.calls("views.publish")) == 2 + 3 * 2

        page = await home_with(here, here.slack.admin, "Autumn")
        seen = page.hash
        await here.slack.admin.click(page, HomeAction.REFRESH)
        await here.slack.wait_for(lambda: page.hash != seen)


async def test_soon_after_a_click(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes of a click on the page is seen there at once, not only when the page's turn comes."""
    monkeypatch.setattr(publisher, "APART_S", 600.0)
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection())
        page = await here.slack.marketer.open_home()
        await here.slack.marketer.click(page, HomeAction.REFRESH)
        assert await mapping_lifecycle.pause(here.engine, mapping.id, by=MAYA, team_id=TEAM)
        await home_with(here, here.slack.marketer, "paused")


async def test_long_page(tmp_path: Path) -> None:
    """A page that would be too long for Slack is cut, and says how many mappings are not shown."""
    async with workspace(tmp_path) as here:
        connection = await here.connection()
        async with here.engine.database.write() as db:
            for number in range(70):
                await mappings.add(
                    db, connection_id=connection.id, list_id=LIST, audience_id=None, audience_name=f"Audience {number}"
                )
        page = await here.slack.marketer.open_home()
        assert len(page.blocks) <= 100
        shown = here.slack.render(page).count("Not synced yet")
        assert shown > 30
        assert f"{70 - shown} more not shown." in here.slack.render(page)


async def test_slack_refuses_a_page(tmp_path: Path) -> None:
    """A page that Slack does not take is published a little later."""
    async with workspace(tmp_path) as here:
        await here.connection(approvers=(AMIR, MAYA))
        fault = here.slack.faults.add("server_error", "views.publish", count=2)
        page = await here.slack.marketer.open_home()
        assert fault.struck == 2
        assert "Shop" in here.slack.render(page)
