"""Reports: made once at their time in the team's time zone, with the right numbers, for Slack, e-mail and webhooks."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from core.automation import reports
from core.errors import ValidationError
from core.models.reports import Changes, ReportKind
from core.notifications import routes
from core.notifications.route_address import RouteOptions
from core.store import audit_log, live_mappings
from core.store import reports as stored_reports
from core.store.audit_log import COMMAND_LINE, AuditAction
from core.store.reports import MadeReport, ReportSettings
from core.store.routes import RouteKind
from core.store.schedules import Trigger
from sandbox.iterable import Fault
from tests.core.automation.harness import DAY_S, HOUR_S, MINUTE_S, World, automated
from tests.core.harness import QUICK
from tests.core.notifications.harness import notified
from tests.core.notifications.mail_server import PASSWORD, mail_server


async def turn_on(world: World, **values: object) -> ReportSettings:
    """Turn the weekly report of the connection on: Tuesdays at 9 in Berlin, which is 8:00 UTC in winter."""
    chosen = ReportSettings(world.mapping.connection_id, time_zone="Europe/Berlin", weekly=True, weekday=1)
    chosen = replace(chosen, **values)  # type: ignore[arg-type]
    return await reports.set_reports(world.sync.engine, chosen, by="U1", team_id="T1")


async def made(world: World) -> list[MadeReport]:
    """The reports that were made."""
    async with world.sync.engine.database.read() as db:
        return await stored_reports.made_since(db, 0.0)


async def synced_twice(world: World) -> None:
    """Sync three people on Monday, and three others with one without an email on Tuesday, after a failure."""
    await world.source()
    await world.schedule(Trigger.NEW_FILE, name="New files")
    world.write("1.csv", range(3))
    await world.steps(5 * MINUTE_S)
    await world.steps(DAY_S - 5 * MINUTE_S, every=6 * HOUR_S)
    path = world.write("2.csv", range(1, 5))
    path.write_text(path.read_text() + "77,,\n")
    await world.steps(5 * MINUTE_S)


async def test_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report has the changes of each day by the team's midnight, the sizes of lists, reasons, and what waits."""
    async with automated(tmp_path, None, monkeypatch, retry_policy=QUICK) as world:
        await turn_on(world)
        await synced_twice(world)
        report = await reports.preview(world.sync.engine, world.mapping.connection_id, ReportKind.WEEKLY)
        assert (report.syncs, report.failed, report.mapping_count) == (2, 0, 1)
        assert report.changes == Changes(added=5, removed=1, rejected=1)
        assert report.changes_by_day[-2:] == [Changes(added=3), Changes(added=2, removed=1, rejected=1)]
        assert report.mappings[0].sizes == [0] * 12 + [3, 4]
        assert [(each.reason, each.count, each.people) for each in report.reasons] == [
            ("no_email", 1, "without an email address")
        ]
        assert report.tasks() == []
        assert report.days[-1] == "2026-12-08"

        world.sync.iterable.faults.set([Fault("error", path="/api/lists/subscribe")])
        world.write("3.csv", range(50))
        await world.steps(5 * MINUTE_S)
        today = await reports.preview(world.sync.engine, world.mapping.connection_id, ReportKind.DAILY)
        assert (today.syncs, today.failed) == (1, 1)
        assert [task.split(":")[0] for task in today.tasks()] == ["Shoppers"]
        # By the clock of Auckland it is Tuesday since 11:00 UTC on Monday, so both syncs are of that day.
        await turn_on(world, time_zone="Pacific/Auckland")
        assert (await reports.preview(world.sync.engine, world.mapping.connection_id, ReportKind.WEEKLY)).days[
            -1
        ] == "2026-12-08"


async def test_time(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report is made once at its time although two processes run, once after a time that was missed, and covers the
    days before its day."""
    async with automated(tmp_path, database_url, monkeypatch) as world:
        await turn_on(world)
        world.clock.at += DAY_S + 8 * HOUR_S - 1
        await world.step()
        assert await made(world) == []
        world.clock.at += 1
        await asyncio.gather(*(reports.send_due(world.sync.engine) for _ in range(2)))
        await world.steps(DAY_S, every=HOUR_S)
        (first,) = await made(world)
        assert (first.report.dates[0], first.report.dates[-1]) == ("2026-12-01", "2026-12-07")
        world.clock.at += 19 * DAY_S  # two times are missed
        await world.step()
        await world.step()
        first, second = await made(world)
        assert second.report.dates[-1] == "2026-12-21", "the newest of the times that were missed"
        await turn_on(world, weekly=False)
        await world.steps(14 * DAY_S, every=DAY_S)
        assert len(await made(world)) == 2, "it is off"


@pytest.mark.extended
async def test_daily(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daily report comes after a day with syncs, and not after one without."""
    async with automated(tmp_path, None, monkeypatch) as world:
        await turn_on(world, weekly=False, daily=True)
        await synced_twice(world)
        await world.steps(3 * DAY_S, every=6 * HOUR_S)
        days = [each.report.dates for each in await made(world)]
        assert days == [["2026-12-07"], ["2026-12-08"]]


async def test_days_of_live_audiences(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The changes of a live audience are counted for the day of the team, whose digest comes after its midnight."""
    async with automated(tmp_path, database_url, monkeypatch) as world:
        await turn_on(world, weekly=False, time_zone="Pacific/Auckland")
        world.clock.at += 12 * HOUR_S  # Tuesday, 1:00 in Auckland
        async with world.sync.engine.database.write() as db:
            await live_mappings.count(db, world.clock.at, {world.mapping.id: 3}, {}, await live_mappings.time_zones(db))
            assert await live_mappings.of_days(db, ["2026-12-07", "2026-12-08"]) == [("2026-12-08", world.mapping.id)]
            assert (await live_mappings.status(db, world.mapping.id, world.clock.at)).changes_today == 3


async def test_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong settings are refused, and changes and reports that a person asks for are audited."""
    async with automated(tmp_path, None, monkeypatch) as world:
        for wrong in ({"at": "25:00"}, {"time_zone": "Berlin"}, {"weekday": 7}):
            with pytest.raises(ValidationError):
                await turn_on(world, **wrong)
        await turn_on(world)
        engine, connection_id = world.sync.engine, world.mapping.connection_id
        await reports.send_now(engine, connection_id, ReportKind.DAILY, by="U2", team_id="T1")
        assert [each.report.dates for each in await made(world)] == [["2026-12-07"]], "it is 1:00 in Berlin"
        async with engine.database.read() as db:
            entries = await audit_log.of(db, [f"connection:{connection_id}"])
        last = [(entry.action, entry.actor) for entry in entries][-2:]
        assert last == [(AuditAction.REPORTS_CHANGED, "U1"), (AuditAction.REPORT_SENT, "U2")]


async def test_routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report reaches e-mail as text and as a page with bars, and a webhook as JSON; other routes don't get it."""
    async with notified(tmp_path, None, monkeypatch) as setting, mail_server() as server:
        world = setting.world
        await setting.route("hook", events=("report.*",))
        await setting.route("alerts", path="/alerts")
        options = RouteOptions(
            "team",
            RouteKind.EMAIL,
            server.url,
            secret=PASSWORD,
            recipients=["team@example.com"],
            events=("report.weekly",),
        )
        await routes.add(world.sync.engine, options, by=COMMAND_LINE, team_id=None)
        await synced_twice(world)
        await reports.send_now(
            world.sync.engine, world.mapping.connection_id, ReportKind.WEEKLY, by=COMMAND_LINE, team_id=None
        )
        await setting.send()
        (received,) = setting.receiver.received
        assert received.event["type"] == "report.weekly"
        assert received.event["report"]["changes"]["added"] == 5
        (mail,) = server.received
        assert mail["Subject"] == "Weekly report: ITERABLE_API_KEY (us), Dec 2 to Dec 8"
        text, page = (part.get_content() for part in mail.iter_parts())
        assert "2 syncs succeeded. 5 added, 1 removed, 1 rejected." in text
        assert "Shoppers: 4 people (2 syncs; 5 added, 1 removed, 1 rejected)" in text
        assert "Not synced: 1 person without an email address." in text
        assert "width:220px" in page
        assert "3 added" in page
