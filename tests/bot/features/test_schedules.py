"""Schedules in Slack: a form adds one, a list has its buttons, and its syncs appear in the channel."""

import re
from pathlib import Path

import pytest

from bot.features.ids import RunAction, ScheduleAction, ScheduleBlock, ScheduleCallback
from bot.features.schedules.form import ScheduleMetadata
from core.models.run import RunStatus
from core.store import schedules
from core.store.schedules import Schedule, Trigger
from sandbox.slack.workspace.models import View
from tests.bot.features.test_alerts import fail_run
from tests.bot.features.test_runs import read_privately
from tests.bot.slack.following import LONG, open_options
from tests.bot.slack.harness import MAYA, Workspace, audience, workspace
from tests.core.harness import people


async def form(bot: Workspace, name: str = "SpringShoppers") -> View:
    """Open *Schedule syncs* as Maya."""
    assert (await bot.slack.marketer.command(f"/iterable-sync schedule {name}", "marketing")).ok
    return await bot.slack.marketer.open_view(ScheduleCallback.FORM)


async def stored(bot: Workspace) -> list[Schedule]:
    """All schedules."""
    async with bot.engine.database.read() as db:
        return await schedules.everyone(db)


async def test_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The form shows the inputs of the choice, refuses places that are not allowed, and adds the schedule."""
    monkeypatch.setenv("ITERABLE_SYNC_AUDIENCE_PATHS", str(tmp_path / "exports"))
    (tmp_path / "exports").mkdir()
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        await bot.mapping(connection)
        await bot.mapping(connection, "Lapsed", list_id=1002)
        maya = bot.slack.marketer
        view = await form(bot)
        assert "At" not in bot.slack.render(view).splitlines()
        await maya.fill(view, {ScheduleAction.WHEN: "weekly"})
        view = await maya.open_view(ScheduleCallback.FORM)
        await bot.slack.wait_for(lambda: "Monday" in bot.slack.render(view), description="the day of the week")
        await maya.fill(view, {ScheduleBlock.ADDRESS: "/etc", ScheduleBlock.DAY: "friday", ScheduleBlock.AT: "07:30"})
        assert "may not be read from there" in (await maya.submit()).errors[ScheduleBlock.ADDRESS]
        await maya.fill(view, {ScheduleBlock.ADDRESS: str(tmp_path / "exports")})
        assert "[friday]" in bot.slack.render(await open_options(maya, view)).casefold()
        await maya.fill(view, {ScheduleBlock.TIME_ZONE: "Berlin"})
        assert "no time zone" in (await maya.submit()).errors[ScheduleBlock.TIME_ZONE]
        await maya.fill(view, {ScheduleBlock.TIME_ZONE: "Europe/Berlin", ScheduleBlock.NAME: "Fridays"})
        assert (await maya.submit()).ok
        (schedule,) = await stored(bot)
        assert (schedule.name, schedule.trigger, schedule.cron, schedule.created_by) == (
            "Fridays",
            Trigger.CRON,
            "30 7 * * 5",
            MAYA,
        )
        assert schedule.time_zone == "Europe/Berlin"


async def test_error_behind_more_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error at an input behind *More options* shows them, with the error above the input. What was typed stays."""
    monkeypatch.setenv("ITERABLE_SYNC_AUDIENCE_PATHS", str(tmp_path / "exports"))
    (tmp_path / "exports").mkdir()
    async with workspace(tmp_path) as bot:
        await bot.mapping(await bot.connection())
        maya = bot.slack.marketer
        view = await form(bot)
        assert "Time zone" not in bot.slack.render(view)
        await maya.fill(view, {ScheduleBlock.ADDRESS: str(tmp_path / "exports")})
        metadata = ScheduleMetadata.load(view.source).model_copy(update={"time_zone": "Europe/Nowhere"})
        view.source["private_metadata"] = metadata.dump()  # as if the zone was removed since
        await maya.submit()
        shown = bot.slack.render(maya.view).splitlines()
        assert "no time zone" in shown[shown.index("Time zone: [Europe/Nowhere]") - 1]
        await maya.fill(maya.view, {ScheduleBlock.TIME_ZONE: "Europe/Berlin"})
        assert (await maya.submit()).ok
        (schedule,) = await stored(bot)
        assert (schedule.time_zone, schedule.name) == ("Europe/Berlin", "SpringShoppers")


async def test_list_and_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list pauses, resumes, runs and removes schedules; a scheduled sync appears in the mapping's channel."""
    monkeypatch.setenv("ITERABLE_SYNC_AUDIENCE_PATHS", str(tmp_path / "exports"))
    monkeypatch.setattr("core.automation.source_watcher.SETTLE_S", 0.0)
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "a.csv").write_bytes(audience(people(range(3))))
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        maya = bot.slack.marketer
        view = await form(bot)
        await maya.fill(view, {ScheduleBlock.ADDRESS: str(tmp_path / "exports")})
        assert (await maya.submit()).ok
        synced = await bot.slack.wait_for_message("marketing", "Synced SpringShoppers", timeout=LONG)
        assert "3 added" in bot.slack.render(synced)
        assert "schedule *SpringShoppers*" in bot.slack.render(synced)
        assert (await maya.command("/iterable-sync schedules", "marketing")).ok
        shown = await read_privately(bot, "When a new file arrives")
        assert re.search(r"\[Sync now\] \[Pause\] \[Remove\]", shown)
        for action, answer in (
            (ScheduleAction.PAUSE, "is paused"),
            (ScheduleAction.RUN_NOW, "looks for new files now"),
            (ScheduleAction.RESUME, "is resumed"),
            (ScheduleAction.REMOVE, "is removed"),
        ):
            message = next(each for each in reversed(maya.messages("marketing")) if each.only_for == MAYA)
            await maya.click(message, action)
            await read_privately(bot, answer)
        assert await stored(bot) == []
        run = await bot.latest_run()
        assert (run.mapping_id, run.started_by, run.asked_by) == (mapping.id, "schedule SpringShoppers", MAYA)


@pytest.mark.extended
async def test_retries_are_stopped(tmp_path: Path) -> None:
    """*Stop retrying* ends the automatic retries of a failed sync; its alert says when the next one would be."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        await fail_run(bot, tmp_path, mapping, status=500)
        message = await bot.slack.wait_for_message("sync-alerts", "Next automatic try", timeout=LONG)
        await bot.slack.marketer.click(message, RunAction.STOP_RETRYING)
        await read_privately(bot, "is not retried automatically", channel="sync-alerts")
        run = await bot.latest_run()
        assert (run.status, run.retry_at) == (RunStatus.FAILED, None)
        await bot.slack.wait_for(lambda: "Next automatic try" not in bot.slack.render(message), LONG)


async def test_many_syncs_at_once(tmp_path: Path) -> None:
    """`sync-all` looks at all sources, or queues the audiences of a place; a file without a mapping is named."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        maya = bot.slack.marketer
        assert (await maya.command("/iterable-sync sync-all")).ok
        await bot.slack.wait_for_message("marketing", "no mapping has a file location", reader=maya)
        folder = tmp_path / "exports"
        folder.mkdir()
        for name in ("SpringShoppers.csv", "Unknown.csv"):
            (folder / name).write_bytes(audience(people(range(2))))
        assert (await maya.command(f"/iterable-sync sync-all {folder}")).ok
        answer = await bot.slack.wait_for_message("marketing", "1 sync of 2 files queued", reader=maya)
        assert "Unknown.csv: not synced, no mapping has this audience" in bot.slack.render(answer)
        assert (await bot.latest_run()).mapping_id == mapping.id
        assert (await maya.command("/iterable-sync sync-all /etc")).ok
        await bot.slack.wait_for_message("marketing", "may not be read", reader=maya)
