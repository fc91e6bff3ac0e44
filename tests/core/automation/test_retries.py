"""Runs that an outage stopped are retried by themselves; those that a person has to correct are not."""

from pathlib import Path

import pytest

from core.automation.source_watcher import FAILED_S
from core.connections.manage import change, connect, replace_key
from core.errors import ConflictError, SettingsError, SyncError
from core.identity import UserIdField
from core.iterable import DataCenter, ListNotFoundError, UnavailableError
from core.models.run import RunStatus
from core.runs import automatic_retry
from core.runs.automatic_retry import JITTER, WAITS_S, wait_before_retry
from core.runs.run_end import PAUSED_AFTER
from core.sources.fetch import FetchError
from core.store import alerts, audit_log, mappings
from core.store.alert_kinds import AlertKind
from core.store.alerts import Alert
from core.store.audit_log import PROGRAM, AuditAction
from core.store.mappings import MappingStatus
from core.store.schedules import Trigger
from sandbox.iterable import Fault
from tests.core.automation.harness import DAY_S, HOUR_S, MINUTE_S, World, automated
from tests.core.harness import LIST, QUICK, addresses

SUBSCRIBE = "/api/lists/subscribe"


async def open_alert(world: World, kind: AlertKind = AlertKind.FAILURE) -> Alert | None:
    """The open alert of a kind of the mapping."""
    async with world.sync.engine.database.read() as db:
        return await alerts.open_of(db, world.mapping.connection_id, world.mapping.id, kind)


async def test_outage_is_outlasted(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is retried after 1, 5, 15 and 60 minutes, then each hour; one alert is opened and closed once."""
    async with automated(tmp_path, database_url, monkeypatch, retry_policy=QUICK) as world:
        world.sync.iterable.faults.set([Fault("error", path=SUBSCRIBE)])
        world.write("a.csv", range(5))
        await world.source()
        await world.schedule()
        await world.steps(2 * MINUTE_S)
        waits = []
        for _ in range(6):
            (run,) = await world.runs()
            assert run.status is RunStatus.FAILED
            assert run.retry_at is not None
            waits.append(run.retry_at - world.clock.at)
            await world.step(run.retry_at - world.clock.at + 1.0)
        for wait, usual in zip(waits, WAITS_S, strict=False):
            assert (1 - JITTER) * usual - 1 <= wait <= (1 + JITTER) * usual
        alert = await open_alert(world)
        assert alert is not None
        assert alert.occurrences == 6
        world.sync.iterable.faults.clear()
        await world.steps(2 * HOUR_S, every=10 * MINUTE_S)
        (run,) = await world.runs()
        assert (run.status, run.retry_at) == (RunStatus.SUCCEEDED, None)
        assert world.sync.emails() == addresses(range(5))
        assert await open_alert(world) is None
        async with world.sync.engine.database.read() as db:
            entries = await audit_log.of(db, [f"run:{run.id}"])
        retried = [entry.actor for entry in entries if entry.action is AuditAction.RUN_RETRIED]
        assert set(retried) == {PROGRAM}
        assert len(retried) == run.auto_retries


@pytest.mark.extended
async def test_retries_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries end after a day, and at once if a person stops them; errors that need a person cause none."""
    async with automated(tmp_path, None, monkeypatch, retry_policy=QUICK) as world:
        engine = world.sync.engine
        world.sync.iterable.faults.set([Fault("error", path=SUBSCRIBE)])
        world.write("a.csv", range(5))
        await world.source()
        await world.schedule()
        await world.steps(2 * MINUTE_S)
        (run,) = await world.runs()
        assert DAY_S < sum(WAITS_S) < 1.1 * DAY_S
        over = run.model_copy(update={"auto_retries": len(WAITS_S)})
        transient: list[SyncError] = [UnavailableError(), FetchError("The bucket failed."), SettingsError("No disk.")]
        assert [wait_before_retry(run, error) is not None for error in transient] == [True, True, False]
        assert wait_before_retry(run, ListNotFoundError()) is None
        assert wait_before_retry(over, UnavailableError()) is None
        assert wait_before_retry(run.model_copy(update={"started_by": None}), UnavailableError()) is None
        waits = [wait_before_retry(run, UnavailableError()) or 0.0 for _ in range(200)]
        usual = WAITS_S[run.auto_retries]
        assert (1 - JITTER) * usual <= min(waits) < (1 - JITTER / 2) * usual
        assert (1 + JITTER / 2) * usual < max(waits) <= (1 + JITTER) * usual
        await automatic_retry.stop_retrying(engine, run.id, by="U1", team_id=None)
        with pytest.raises(ConflictError, match="not retried"):
            await automatic_retry.stop_retrying(engine, run.id, by="U1", team_id=None)
        await world.steps(HOUR_S, every=10 * MINUTE_S)
        assert (await world.runs())[0].attempt == run.attempt


@pytest.mark.extended
async def test_mapping_is_paused_after_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapping whose last scheduled runs all failed is paused, and the alert says so."""
    async with automated(tmp_path, None, monkeypatch) as world:
        await world.source()
        await world.schedule()
        for number in range(PAUSED_AFTER + 1):
            path = world.write(f"{number}.csv", range(1))
            path.write_text(f"nothing,known\n{number},2\n")
            await world.steps(2 * MINUTE_S)
        assert len(await world.runs()) == PAUSED_AFTER
        async with world.sync.engine.database.read() as db:
            mapping = await mappings.by_id(db, world.mapping.id)
        assert mapping is not None
        assert mapping.status is MappingStatus.PAUSED
        alert = await open_alert(world)
        assert alert is not None
        assert f"The last {PAUSED_AFTER} scheduled syncs failed, so the mapping was paused." in alert.message


@pytest.mark.extended
async def test_replaced_file_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that could not be read is synced once it is replaced."""
    async with automated(tmp_path, None, monkeypatch) as world:
        await world.source()
        await world.schedule()
        world.write("a.csv", range(3)).write_text("nothing,known\n1,2\n")
        await world.steps(3 * MINUTE_S)
        assert (await world.files())["a.csv"] == "failed"
        world.write("a.csv", range(3))
        await world.steps(3 * MINUTE_S)
        assert (await world.files())["a.csv"] == "synced"
        assert await open_alert(world) is None


async def test_run_is_retried_when_its_list_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose list was deleted in Iterable is retried within minutes after the list was restored."""
    monkeypatch.setattr("core.automation.list_watch.CHECK_EVERY_S", 0.0)  # no such time passes in the test
    async with automated(tmp_path, None, monkeypatch) as world:
        state = world.sync.iterable.state
        deleted = state.lists.pop(LIST)
        await world.source()
        await world.schedule(Trigger.CRON, cron="2 0 * * *")
        world.write("a.csv", range(3))
        await world.steps(15 * MINUTE_S)
        (run,) = await world.runs()
        assert (run.status, run.error_code) == (RunStatus.FAILED, "list_gone")
        state.lists[LIST] = deleted
        await world.steps(2 * MINUTE_S)
        (run,) = await world.runs()
        assert (run.status, await open_alert(world)) == (RunStatus.SUCCEEDED, None)


@pytest.mark.extended
async def test_restored_list_and_new_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is retried when its schedule fires if its list was wrong, and at once with a new key or data center."""
    async with automated(tmp_path, None, monkeypatch) as world:
        world.sync.iterable.faults.set(
            [Fault("error", path=SUBSCRIBE, status=400, code="BadParams", msg="error.lists.invalidListId")]
        )
        await world.source()
        await world.schedule()
        world.write("a.csv", range(3))
        await world.steps(3 * MINUTE_S)
        (run,) = await world.runs()
        assert (run.error_code, run.retry_at) == ("list_gone", None)
        world.sync.iterable.faults.set([Fault("error", path=SUBSCRIBE, status=401, code="BadApiKey")])
        await world.steps(HOUR_S + 10 * MINUTE_S, every=10 * MINUTE_S)
        assert (await world.runs())[0].error_code == "key_refused"
        world.sync.iterable.faults.clear()
        await world.steps(3 * MINUTE_S)
        assert (await world.runs())[0].status is RunStatus.FAILED  # a key is not tried again without a person
        saved = await connect(
            world.sync.engine,
            name="Shop",
            api_key=world.sync.iterable.key,
            data_center=DataCenter.US,
            user_id_field=UserIdField.CUSTOMER_ID,
            requests_per_second=0.0,
            team_id=None,
        )
        async with world.sync.engine.database.write() as db:
            await db.exec_driver_sql(f"UPDATE runs SET connection_id = {saved.connection.id}")
        await replace_key(world.sync.engine, saved.connection, world.sync.iterable.key)
        (run,) = await world.runs()
        assert run.retry_at == world.clock.at
        async with world.sync.engine.database.write() as db:
            await db.exec_driver_sql("UPDATE runs SET retry_at = NULL, error_code = 'list_gone'")
        await change(world.sync.engine, saved.connection, by="U1", team_id=None, data_center=DataCenter.EU)
        (run,) = await world.runs()
        assert run.retry_at == world.clock.at


async def test_unreadable_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that can't be read opens one alert, is looked at less and less often, and closes it when it is back."""
    async with automated(tmp_path, None, monkeypatch) as world:
        await world.source(tmp_path / "away" / "exports")
        schedule = await world.schedule()
        await world.step()
        alert = await open_alert(world)
        assert alert is not None
        assert "There is no such folder" in alert.message
        assert f"in {FAILED_S[0] / 60:.0f} minute." in alert.message
        (tmp_path / "away" / "exports").mkdir(parents=True)
        await world.steps(2 * MINUTE_S)
        assert await open_alert(world) is None
        assert (await world.stored(schedule)).last_fired_at is not None


@pytest.mark.extended
async def test_late_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After four files, each a day after the other, an alert says that none came for longer; the next one closes it."""
    async with automated(tmp_path, None, monkeypatch) as world:
        await world.source()
        await world.schedule()
        for day in range(4):
            world.write(f"{day}.csv", range(day + 1))
            await world.steps(DAY_S, every=3 * HOUR_S)
        assert await open_alert(world, AlertKind.LATE_FILE) is None
        await world.steps(18 * HOUR_S, every=3 * HOUR_S)
        alert = await open_alert(world, AlertKind.LATE_FILE)
        assert alert is not None
        assert alert.code == "late_file"
        assert "No new file of audience Shoppers has come for" in alert.message
        await world.steps(3 * DAY_S, every=12 * HOUR_S)
        assert await open_alert(world, AlertKind.LATE_FILE) == alert
        world.write("late.csv", range(9))
        await world.steps(3 * MINUTE_S)
        assert await open_alert(world, AlertKind.LATE_FILE) is None
