"""Submitting runs of a known mapping, and of one that is paused or was declined."""

import pytest

from core.connections.environment import environment_connection
from core.errors import ConflictError, InputError
from core.identity import UserIdField
from core.iterable import DataCenter
from core.models.run import RunRequest
from core.runs import commands, worker
from core.store import connections, lists, mappings
from core.store.audit_log import COMMAND_LINE
from core.store.connections import Connection
from core.store.mappings import AudienceMapping, MappingStatus
from tests.core.harness import LIST, RunStatus, Sync, people, person, queue_run

GONE, DYNAMIC = 4711, 1003


async def new_mapping(sync: Sync, list_id: int = LIST) -> tuple[Connection, AudienceMapping]:
    """A mapping without runs, and its connection."""
    connection = await environment_connection(
        sync.engine, user_id=UserIdField.CUSTOMER_ID, data_center=DataCenter.US, rate=0
    )
    async with sync.engine.database.write() as db:
        mapping_id = await mappings.add(
            db, connection_id=connection.id, list_id=list_id, audience_id=None, audience_name="VIPs"
        )
        mapping = await mappings.by_id(db, mapping_id)
    assert mapping is not None
    return connection, mapping


async def test_queued_run_of_a_mapping(sync: Sync) -> None:
    """A queued run records who started it, and any worker can execute it."""
    connection, mapping = await new_mapping(sync)
    request = RunRequest(path=str(sync.mirror_file(people(range(3)))))
    run_id = await queue_run(sync.engine, connection, mapping, request, started_by="U1", channel="C1")
    queued = (await sync.outcome(run_id)).run
    assert (queued.status, queued.worker_id, queued.started_by, queued.channel) == (RunStatus.QUEUED, None, "U1", "C1")
    await worker.start(sync.engine, run_id)
    assert (await sync.outcome(run_id)).counts == {"members": 3, "added": 3}
    assert len(sync.emails()) == 3
    async with sync.engine.database.read() as db:
        state = await lists.get(db, connection.id, LIST)
    assert state is not None
    assert state.name == "Newsletter"


@pytest.mark.extended
async def test_repeated_while_the_file_is_synced(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is not repeated while another run of its file has not ended, however long ago that was started."""
    monkeypatch.setattr(commands, "SECOND_CLICK_S", 0.0)
    done = (await sync.mirror(people(range(3)))).run
    waiting = await commands.repeat(sync.engine, done.id, by=COMMAND_LINE, channel=None, team_id=None)
    with pytest.raises(ConflictError, match="has started this already") as refused:
        await commands.repeat(sync.engine, done.id, by=COMMAND_LINE, channel=None, team_id=None)
    assert refused.value.run_id == waiting
    await sync.mirror(people(range(4)), dry_run=True)  # of another file
    with pytest.raises(ConflictError, match="has started this already"):
        await commands.repeat(sync.engine, done.id, by=COMMAND_LINE, channel=None, team_id=None)
    await worker.start(sync.engine, waiting)
    assert await commands.repeat(sync.engine, done.id, by=COMMAND_LINE, channel=None, team_id=None) != waiting


@pytest.mark.extended
async def test_repeat_reports_where_the_run_did(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repeated run reports into the conversation of the run, unless the person names another."""
    monkeypatch.setattr(commands, "SECOND_CLICK_S", 0.0)
    connection, mapping = await new_mapping(sync)
    request = RunRequest(path=str(sync.mirror_file(people(range(3)))), dry_run=True)
    run_id = await queue_run(sync.engine, connection, mapping, request, channel="C1")
    await worker.start(sync.engine, run_id)
    for channel, expected in ((None, "C1"), ("C2", "C2")):
        repeated = await commands.repeat(sync.engine, run_id, by="U1", channel=channel, team_id=None)
        assert (await sync.outcome(repeated)).run.channel == expected
        await worker.start(sync.engine, repeated)


async def test_second_click(sync: Sync) -> None:
    """A run that was repeated a moment ago is not repeated again, even if that run has ended."""
    done = (await sync.mirror(people(range(3)))).run
    repeated = await commands.repeat(sync.engine, done.id, by=COMMAND_LINE, channel=None, team_id=None)
    await worker.start(sync.engine, repeated)
    with pytest.raises(ConflictError, match="has started this already") as refused:
        await commands.repeat(sync.engine, done.id, by=COMMAND_LINE, channel=None, team_id=None)
    assert refused.value.run_id == repeated


@pytest.mark.parametrize(
    ("list_id", "code"),
    [pytest.param(GONE, "list_gone", id="gone"), pytest.param(DYNAMIC, "list_not_standard", id="dynamic")],
)
async def test_unusable_list(sync: Sync, list_id: int, code: str) -> None:
    """A run to a list that is missing or not Standard fails during planning."""
    connection, mapping = await new_mapping(sync, list_id)
    request = RunRequest(path=str(sync.mirror_file([person(1)])))
    run_id = await queue_run(sync.engine, connection, mapping, request)
    await worker.start(sync.engine, run_id)
    failed = (await sync.outcome(run_id)).run
    assert (failed.status, failed.error_code, failed.requests) == (RunStatus.FAILED, code, 0)


async def test_refused_key_stops_the_connection(sync: Sync) -> None:
    """A key that Iterable refuses during planning fails the run, and is recorded as refused."""
    connection, mapping = await new_mapping(sync)
    sync.iterable.state.add_key(sync.iterable.key, "Sandbox", "revoked")
    request = RunRequest(path=str(sync.mirror_file([person(1)])))
    run_id = await queue_run(sync.engine, connection, mapping, request)
    await worker.start(sync.engine, run_id)
    assert (await sync.outcome(run_id)).run.error_code == "key_refused"
    async with sync.engine.database.read() as db:
        stored = await connections.by_id(db, connection.id)
    assert stored is not None
    assert stored.key_rejected_at is not None


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        pytest.param("paused", "is paused.*Resume the mapping", id="paused"),
        pytest.param("declined", "was declined.*Propose it again", id="declined"),
    ],
)
async def test_stopped_mapping_takes_no_run(sync: Sync, state: str, sentence: str) -> None:
    """A paused or declined mapping refuses runs, whichever way they are started."""
    await sync.mirror([person(1)], audience="VIPs")
    run = await sync.latest()
    async with sync.engine.database.write() as db:
        await mappings.change(db, run.mapping_id, status=MappingStatus(state))
        connection = await connections.by_id(db, run.connection_id)
        mapping = await mappings.by_id(db, run.mapping_id)
    assert connection is not None
    assert mapping is not None
    with pytest.raises(InputError, match=sentence):
        await queue_run(sync.engine, connection, mapping, RunRequest(path="never read"))
    with pytest.raises(InputError, match=sentence):
        await sync.mirror([person(2)], audience="VIPs")


async def test_pause_fails_queued_runs(sync: Sync) -> None:
    """A queued run of a paused mapping fails with the reason, and can be resumed with the mapping."""
    await sync.mirror([person(1)])
    run_id = await sync.submit(sync.mirror_file([person(2)]))
    mapping_id = (await sync.latest()).mapping_id
    async with sync.engine.database.write() as db:
        await mappings.change(db, mapping_id, status=MappingStatus.PAUSED)
    await worker.start(sync.engine, run_id)
    failed = (await sync.outcome(run_id)).run
    assert (failed.status, failed.requests) == (RunStatus.FAILED, 0)
    assert "is paused" in (failed.error or "")
    async with sync.engine.database.write() as db:
        await mappings.change(db, mapping_id, status=MappingStatus.ACTIVE)
    assert (await sync.resume(run_id)).run.status is RunStatus.SUCCEEDED
    assert sync.emails() == {"p2@example.com"}


async def test_pause_stops_approved_runs(sync: Sync) -> None:
    """A run that is approved after its mapping was paused sends nothing."""
    await sync.mirror(people(range(150)))
    waiting = await sync.mirror([person(0)])
    async with sync.engine.database.write() as db:
        await mappings.change(db, waiting.run.mapping_id, status=MappingStatus.PAUSED)
    outcome = await sync.approve(waiting.run.id)
    assert outcome.run.status is RunStatus.FAILED
    assert len(sync.emails()) == 150


async def test_file_of_several_audiences(sync: Sync) -> None:
    """From a file with several audiences, a run takes its mapping's audience by default."""
    connection = await environment_connection(sync.engine, user_id=None, data_center=DataCenter.US, rate=0)
    path = sync.directory / "several.csv"
    path.write_text(
        "mpid,email,audience_id,audience_name\n1,p1@example.com,11,One\n2,p2@example.com,22,Two\n3,p3@example.com,22,Two\n"
    )
    async with sync.engine.database.write() as db:
        mapping_id = await mappings.add(
            db, connection_id=connection.id, list_id=LIST, audience_id=None, audience_name="Two"
        )
        mapping = await mappings.by_id(db, mapping_id)
    assert mapping is not None
    request = RunRequest(path=str(path))
    run_id = await queue_run(sync.engine, connection, mapping, request, worker=sync.engine.presence.id)
    await worker.start(sync.engine, run_id)
    assert (await sync.outcome(run_id)).run.status is RunStatus.SUCCEEDED
    assert sync.emails() == {"p2@example.com", "p3@example.com"}
