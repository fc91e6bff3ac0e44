"""A week in a minute: three schedules on a folder, a bucket and another mapping; two outages, a late file, a duplicate
file, a pause, a freeze, and kills."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from core.automation import reports, schedules, sources
from core.automation.schedules import ScheduleOptions
from core.automation.sources import SourceOptions
from core.connections import freeze_commands, mapping_lifecycle
from core.iterable import IterableList
from core.models.run import RunStatus
from core.notifications.dispatcher import Dispatcher
from core.notifications.rule_watch import watch_mappings
from core.store import connections, mappings, runs
from core.store.audit_log import COMMAND_LINE
from core.store.freezes import EVERYTHING
from core.store.mappings import AudienceMapping, MappingStatus
from core.store.reports import ReportSettings
from core.store.schedules import Trigger
from core.store.tables import alerts
from sandbox.iterable import Fault
from sandbox.receivers.webhook import receiving
from tests.core.automation.harness import HOUR_S, MINUTE_S, MONDAY, World, automated
from tests.core.automation.test_day import killed_look
from tests.core.harness import OTHER_LIST, QUICK, addresses
from tests.core.notifications.harness import Notified

CSV = "mpid,email,customer_id\n"


class Bucket:
    """A bucket "exports" on moto's S3 server, which can be away."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        moto = pytest.importorskip("moto.server")
        self._moto = moto
        self._server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.host, self.port = self._server.get_host_and_port()
        for name, value in (
            ("AWS_ENDPOINT_URL", f"http://{self.host}:{self.port}"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ):
            monkeypatch.setenv(name, value)
        import boto3

        self._client: Any = boto3.client("s3")
        self._client.create_bucket(Bucket="exports")

    def put(self, name: str, numbers: Iterable[int]) -> None:
        """Put an audience into the bucket."""
        body = CSV + "".join(f"{n},p{n}@example.com,c{n}\n" for n in numbers)
        self._client.put_object(Bucket="exports", Key=f"lapsed/{name}", Body=body.encode())

    def leave(self) -> None:
        """Go away: connections are refused."""
        self._server.stop()

    def come_back(self) -> None:
        """Answer again, at the same address."""
        self._server = self._moto.ThreadedMotoServer(ip_address=self.host, port=self.port, verbose=False)
        self._server.start()

    def close(self) -> None:
        """Stop the server."""
        self._client.close()
        self._server.stop()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A bucket."""
    server = Bucket(monkeypatch)
    yield server
    server.close()


async def another(world: World, list_id: int, audience: str, address: str, options: ScheduleOptions) -> AudienceMapping:
    """Map another audience to a list, with a source and a schedule."""
    engine = world.sync.engine
    async with engine.database.read() as db:
        connection = await connections.by_id(db, world.mapping.connection_id)
    assert connection is not None
    mapping = await mapping_lifecycle.propose(
        engine,
        connection,
        IterableList(list_id, audience, "Standard"),
        audience=audience,
        mode="auto",
        by=COMMAND_LINE,
        team_id=None,
        status=MappingStatus.ACTIVE,
        limits=mappings.AdditionLimits(10_000),
    )
    chosen = SourceOptions(address)
    await sources.set_source(engine, mapping, chosen, by=COMMAND_LINE, team_id=None, allowed=None)
    await schedules.add(engine, mapping, options, by=COMMAND_LINE, team_id=None)
    return mapping


async def files_of(world: World, mapping: AudienceMapping) -> list[str]:
    """The names of the files that the runs of a mapping synced, in order. All runs have succeeded."""
    async with world.sync.engine.database.read() as db:
        done = list(reversed(await runs.latest_of(db, [mapping.id], 100)))
    assert {run.status for run in done} == {RunStatus.SUCCEEDED}
    return [Path(run.request.path).name for run in done]


async def happen(world: World, bucket: Bucket, hour: int) -> None:
    """What goes wrong in this hour of the week."""
    engine = world.sync.engine
    match hour:
        case 27:  # Iterable is away for six hours, with a file in between
            world.sync.iterable.faults.set([Fault("error", path="/api/lists/subscribe")])
        case 33:
            world.sync.iterable.faults.clear()
        case 75:
            world.write("copy.csv", range(13))  # as the file of hour 72
        case 81:
            await mapping_lifecycle.pause(engine, world.mapping.id, by=COMMAND_LINE, team_id=None)
        case 93:
            await mapping_lifecycle.resume(engine, world.mapping.id, by=COMMAND_LINE, team_id=None)
        case 96:  # the bucket is away over the time of its schedule
            bucket.leave()
        case 105:
            bucket.come_back()
        case 120:
            until = world.clock.at + 10 * HOUR_S
            await freeze_commands.freeze(engine, EVERYTHING, until=until, by="U1", team_id=None)


def stamp(hour: float) -> str:
    """The name of a file that is written at this hour of the week."""
    return f"{datetime.fromtimestamp(MONDAY + hour * HOUR_S, UTC):%Y-%m-%dT%H-%M-%S}.csv"


@pytest.mark.timeout(1800)  # minutes of CPU, and many times as long on a busy machine
@pytest.mark.extended
async def test_week(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is synced once, in order; every alert comes once with its all-clear; a report comes each Monday."""
    async with automated(tmp_path, None, monkeypatch, retry_policy=QUICK) as world, receiving() as receiver:
        engine, numbers = world.sync.engine, random.Random(11)
        notices = Notified(world, receiver, Dispatcher(engine))
        await notices.route(events=["alert.*", "report.weekly"])
        weekly = ReportSettings(world.mapping.connection_id, time_zone="Europe/Berlin", weekly=True, at="08:00")
        await reports.set_reports(engine, weekly, by=COMMAND_LINE, team_id=None)
        vips = world.sync.directory / "vips"
        vips.mkdir()
        await world.source()
        await world.schedule(name="New files")
        daily = ScheduleOptions(Trigger.CRON, cron="30 4 * * *", time_zone="Europe/Berlin", name="Night")
        lapsed = await another(world, OTHER_LIST, "Lapsed", "s3://exports/lapsed/", daily)
        after = ScheduleOptions(Trigger.AFTER, after_mapping_id=world.mapping.id, name="After")
        vip_list = world.sync.iterable.state.add_list("VIPs", created_at=0).id
        third = await another(world, vip_list, "VIPs", str(vips), after)
        await world.steps(10 * MINUTE_S)

        shoppers, expected_lapsed, expected_vips = list[str](), list[str](), list[str]()
        for hour in range(0, 7 * 24, 3):
            day, is_late = divmod(hour, 24)[0], hour == 2 * 24 + 6
            if hour % 6 == 0 and not is_late:
                shoppers.append(stamp(hour))
                world.write(shoppers[-1], range(hour // 6 + 1))
            if hour == 2 * 24 + 21:  # the late file, 15 hours after its time
                shoppers.append("late.csv")
                world.write("late.csv", range(300, 303))
            if hour % 24 == 0:
                expected_lapsed.append(stamp(hour))
                bucket.put(expected_lapsed[-1], range(day + 1))
                expected_vips.append(stamp(hour))
                (vips / expected_vips[-1]).write_text(CSV + f"{day},p{day}@example.com,c{day}\n")
            await happen(world, bucket, hour)
            if numbers.random() < 0.4:
                await killed_look(world)
            for _ in range(9):
                await world.step(20 * MINUTE_S)
                await watch_mappings(engine)
                await notices.send()
        await world.steps(8 * HOUR_S, every=20 * MINUTE_S)
        await notices.send()

        assert await files_of(world, world.mapping) == shoppers
        assert (await world.files())["copy.csv"] == "duplicate"
        assert await files_of(world, lapsed) == expected_lapsed
        assert await files_of(world, third) == expected_vips
        assert world.sync.emails() == addresses(range(28))
        assert world.sync.emails(OTHER_LIST) == addresses(range(7))
        assert world.sync.emails(vip_list) == addresses([6])
        async with engine.database.read() as db:
            stored = (await db.execute(select(alerts).order_by(alerts.c.id))).all()
        assert all(row.closed_at is not None for row in stored), [row.message for row in stored]
        by_mapping = {each.id: each.label for each in (world.mapping, lapsed, third)}
        opened = [(by_mapping.get(row.mapping_id, "all"), row.code) for row in stored]
        assert sorted(opened) == [
            ("Lapsed", "not_fetched"),
            ("Lapsed", "unavailable"),
            ("Shoppers", "late_file"),
            ("Shoppers", "unavailable"),
        ]
        events = [each.event for each in receiver.received]
        of_alerts = Counter((event["type"], event["alert"]["id"]) for event in events if event["alert"])
        assert set(of_alerts.values()) == {1}
        mondays = [event["at"][:13] for event in events if event["type"] == "report.weekly"]
        assert mondays == ["2026-12-07T07", "2026-12-14T07"]
