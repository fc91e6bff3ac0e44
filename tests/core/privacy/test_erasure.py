"""Erasure: the data of a person is deleted everywhere, and no file brings the person back."""

import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.live import micro_batch
from core.live.maintenance import run_maintenance
from core.models.run import Run, RunRequest, RunStatus, SyncMode
from core.privacy import erasure
from core.runs.executor import execute
from core.runs.submission import submit
from core.store import audit_log, connections, personal_data, rejections, runs
from core.store.audit_log import AuditAction
from sandbox.iterable import Fault
from sandbox.mparticle import messages
from tests.firehosing import LIST, VIPS, Live, firehosing, person, until

# All tables that may contain an identity.
TABLES = (
    "inbox",
    "ledger",
    "last_known",
    "rejections",
    "changes",
    "change_fields",
    "erasures",
    "audit",
    "runs",
    "mappings",
    "messages",
    "erased",
)


async def everything(service: Live) -> str:
    """All data in the database, as one text."""
    async with service.engine.database.read() as db:
        rows = [str(tuple(row)) for table in TABLES for row in await db.execute(text(f"SELECT * FROM {table}"))]
    return "\n".join(rows)


async def add_people(service: Live, *numbers: int) -> None:
    """Add these people to the list."""
    await service.mparticle.add(VIPS, *map(person, numbers))
    await service.settled()


async def sync_file(service: Live, *numbers: int) -> Run:
    """Sync a current download with these people."""
    now = int(time.time() * 1000) + 60_000
    kinds = (("email", "p{}@example.com"), ("customer_id", "c{}"))
    rows = [f"{n}, {now}, {value.format(n)}, {kind}\n" for n in numbers for kind, value in kinds]
    file = service.engine.settings.data_dir / "8754_VIPs.csv"
    file.write_text("mpid, scanned_timestamp_ms, identity_value, identity_type\n" + "".join(rows))
    async with service.engine.database.read() as db:
        connection = await connections.by_id(db, (await service.mapping()).connection_id)
    assert connection is not None
    request = RunRequest(path=str(file), mode=SyncMode.MIRROR, approved=True)
    run_id = (await submit(service.engine, connection, LIST, request)).run_id
    assert await execute(service.engine, run_id) is RunStatus.SUCCEEDED
    async with service.engine.database.read() as db:
        run = await runs.by_id(db, run_id)
    assert run is not None
    return run


async def test_no_table_contains_the_person(tmp_path: Path, database_url: str) -> None:
    """Ledger, batches, rejections and inbox lose the person's data, and keep that of others."""
    async with firehosing(tmp_path, database_url, firehose_approval="none") as service:
        await add_people(service, 41, 42, 43)
        await service.mparticle.add(VIPS, person(42, email="not an address", customer_id="c42"))
        await service.settled()
        await service.mparticle.erase(email=" P42@Example.com ")
        data = await everything(service)
        for trace in ("p42@", "'c42'", '"c42"', "'42'", '"42"', "not an address"):
            assert trace not in data
        for trace in ("p41@example.com", "c43"):
            assert trace in data
        async with service.engine.database.read_rows() as db:
            run_id = (await service.status()).run_id
            assert run_id is not None
            run = await runs.by_id(db, run_id)
            assert run is not None
            assert run.counters.missing == 0
            assert [r.member_key async for r in rejections.of_run(db, run_id)] == [None]


async def test_stays_in_its_account(tmp_path: Path, database_url: str) -> None:
    """An erasure in one account leaves the same customer id in others, whose files can add it."""
    async with firehosing(tmp_path, database_url, firehose_approval="none") as service:
        await add_people(service, 1, 2)
        service.mparticle.account["account_id"] = 999  # another account, with the same token and no connection
        service.mparticle.account["account_settings"] = {}
        await service.mparticle.erase(customer_id="c1", email="p2@example.com")

        data = await everything(service)
        assert all(trace in data for trace in ("p1@example.com", "'c1'", "p2@example.com"))
        run = await sync_file(service, 1)
        assert (run.counters.rejected, service.emails()) == (0, {"p1@example.com"})


async def test_leaver_is_erased(tmp_path: Path, database_url: str) -> None:
    """The last known address of a leaver is deleted, whether the request has the address or the mpid."""
    async with firehosing(tmp_path, database_url, firehose_approval="none") as service:
        await add_people(service, 1, 2, 3)
        await service.mparticle.delete(VIPS, *map(person, (1, 2, 3)))
        await service.settled()
        data = await everything(service)
        assert all(f"p{number}@example.com" in data for number in (1, 2, 3))
        await service.mparticle.erase(email="p1@example.com")
        await service.mparticle.erase(mpid="2")
        data = await everything(service)
        assert [number for number in (1, 2, 3) if f"p{number}@example.com" in data] == [3]


async def test_erasure_has_an_audit_entry(tmp_path: Path, database_url: str) -> None:
    """An erasure has an audit entry with the numbers of rows and without the person."""
    async with firehosing(tmp_path, database_url, firehose_approval="none") as service:
        await add_people(service, 1, 2)
        request = messages.erasure(service.mparticle.account, {"customer_id": "c1"})
        await service.mparticle.send(request)
        await service.mparticle.send(request)
        async with service.engine.database.read() as db:
            (entry,) = await audit_log.of(db, [f"erasure:{request['id']}"])
        assert (entry.actor, entry.action) == ("mparticle", AuditAction.ERASED)
        assert entry.after == {
            "subject_request_id": request["subject_request_id"],
            "changes": 1,
            "inbox": 1,
            "last_known": 0,
            "ledger": 1,
            "rejections": 0,
        }


async def test_file_does_not_bring_the_person_back(tmp_path: Path, database_url: str) -> None:
    """Later downloads skip the person, under any identity, until mParticle sends the person again."""
    async with firehosing(tmp_path, database_url, firehose_approval="none") as service:
        await add_people(service, 1, 2)
        await service.mparticle.erase(email="p1@example.com")
        await service.mparticle.erase(mpid="7")
        run = await sync_file(service, 1, 2, 3, 7)
        assert service.emails() == {f"p{n}@example.com" for n in (1, 2, 3)}  # 1 stays in Iterable, but not in our data
        assert (run.counters.members, run.counters.added, run.counters.rejected) == (4, 1, 2)
        async with service.engine.database.read() as db:
            assert await rejections.by_reason(db, run.id) == {"erased": 2}
        assert "p7@example.com" not in await everything(service)
        await service.mparticle.add(VIPS, person(7))
        await service.settled()
        assert "p7@example.com" in service.emails()
        run = await sync_file(service, 2, 3, 7)
        assert (run.counters.rejected, run.counters.missing) == (0, 0)


async def test_older_change_does_not_bring_the_person_back(tmp_path: Path, database_url: str) -> None:
    """A late change from before the erasure is ignored."""
    async with firehosing(tmp_path, database_url, worker=False, firehose_approval="none") as service:
        now = int(time.time() * 1000)
        await service.mparticle.add(VIPS, person(1), at=now - 1000)
        await service.mparticle.erase(email="p1@example.com")
        await service.mparticle.add(VIPS, person(1), person(2), at=now - 500)
        data = await everything(service)
        assert "p1@example.com" not in data
        assert "p2@example.com" in data


async def test_erasure_during_a_run(tmp_path: Path, database_url: str) -> None:
    """Data that a run has in memory is deleted after its end."""
    async with firehosing(tmp_path, database_url, firehose_approval="none") as service:
        await add_people(service, 1)
        service.iterable.faults.add(Fault(action="slow", delay=1.0, path="/api/lists/subscribe", times=1))
        await service.mparticle.add(VIPS, person(2), person(3))

        async def is_on_its_way() -> bool:
            return service.iterable.state.log.in_flight > 0

        await until(is_on_its_way)
        await service.mparticle.erase(mpid="2")
        await service.settled()
        await run_maintenance(service.engine)
        data = await everything(service)
        assert "p2@example.com" not in data
        assert "p3@example.com" in data


async def test_run_ends_during_an_erasure(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that a run writes during the erasure are deleted by the next pass."""
    from core.runs.executor import plan

    async with firehosing(tmp_path, database_url, worker=False, firehose_approval="none") as service:
        await service.mparticle.add(VIPS, person(1), person(2))
        run_id = await micro_batch.create_micro_batch(service.engine, await service.mapping())
        assert run_id is not None
        await plan(service.engine, run_id)
        rows_of = personal_data.rows_of

        async def rows_then_execute(db: AsyncConnection, subject: personal_data.DataSubject) -> personal_data.Rows:
            rows = await rows_of(db, subject)
            await micro_batch.execute(service.engine, run_id)
            return rows

        with monkeypatch.context() as patch:
            patch.setattr(erasure, "SOON_S", 60.0)
            patch.setattr(personal_data, "rows_of", rows_then_execute)
            await service.mparticle.erase(email="p1@example.com")
        assert service.emails() == {"p1@example.com", "p2@example.com"}
        await erasure.carry_out_all(service.engine)
        assert "p1@example.com" not in await everything(service)


async def test_planned_change_is_dropped(tmp_path: Path, database_url: str) -> None:
    """A planned change of the person is dropped, and the run's numbers still add up."""
    from core.runs.executor import plan

    async with firehosing(tmp_path, database_url, worker=False, firehose_approval="none") as service:
        await service.mparticle.add(VIPS, person(1), person(2))
        run_id = await micro_batch.create_micro_batch(service.engine, await service.mapping())
        assert run_id is not None
        await plan(service.engine, run_id)
        await service.mparticle.erase(email="p1@example.com")
        await micro_batch.execute(service.engine, run_id)
        assert service.emails() == {"p2@example.com"}
        status = await service.status()
        assert (status.added, status.rejected_by_reason) == (1, {"erased": 1})
        await erasure.carry_out_all(service.engine)
        assert "p1@example.com" not in await everything(service)


async def test_erasure_scans_no_table_under_the_write_lock(tmp_path: Path) -> None:
    """An erasure holds SQLite's write lock only for rows that it knows by their keys."""
    async with firehosing(tmp_path, firehose_approval="none") as service:
        await add_people(service, 41, 42)
        await service.mparticle.add(VIPS, person(42, email="not an address"))
        await service.settled()
        statements: list[tuple[str, Any]] = []

        def record(db: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
            if db.get_execution_options().get("writing") and statement.startswith(("SELECT", "UPDATE", "DELETE")):
                statements.append((statement, parameters))

        event.listen(service.engine.database.engine.sync_engine, "before_cursor_execute", record)
        await service.mparticle.erase(email="p42@example.com")
        await run_maintenance(service.engine)
        event.remove(service.engine.database.engine.sync_engine, "before_cursor_execute", record)
        assert sum("ledger" in statement for statement, _ in statements)
        async with service.engine.database.read() as db:
            for statement, parameters in statements:
                plan = await db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                scanned = {row.detail for row in plan if row.detail.startswith("SCAN")}
                assert not {f"SCAN {table}" for table in ("ledger", "inbox", "rejections", "changes")} & scanned
