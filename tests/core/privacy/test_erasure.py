"""Erasure: what is held about a person is deleted, wherever it is, and no file brings the person back."""

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

# Everything that may hold an identity.
TABLES = (
    "inbox",
    "ledger",
    "last_known",
    "rejections",
    "changes",
    "erasures",
    "audit",
    "runs",
    "mappings",
    "messages",
    "erased",
)


async def everything(it: Live) -> str:
    """All that is in the database, as one text."""
    async with it.engine.database.read() as db:
        found = [str(tuple(row)) for table in TABLES for row in await db.execute(text(f"SELECT * FROM {table}"))]
    return "\n".join(found)


async def started(it: Live, *numbers: int) -> None:
    """Have these persons on the list."""
    await it.mparticle.add(VIPS, *map(person, numbers))
    await it.settled()


async def sync_file(it: Live, *numbers: int) -> Run:
    """Sync a download of these persons, made now, as a run."""
    now = int(time.time() * 1000) + 60_000
    kinds = (("email", "p{}@example.com"), ("customer_id", "c{}"))
    rows = [f"{n}, {now}, {value.format(n)}, {kind}\n" for n in numbers for kind, value in kinds]
    file = it.engine.settings.data_dir / "8754_VIPs.csv"
    file.write_text("mpid, scanned_timestamp_ms, identity_value, identity_type\n" + "".join(rows))
    async with it.engine.database.read() as db:
        connection = await connections.by_id(db, (await it.mapping()).connection_id)
    assert connection is not None
    request = RunRequest(path=str(file), mode=SyncMode.MIRROR, approved=True)
    run_id = (await submit(it.engine, connection, LIST, request)).run_id
    assert await execute(it.engine, run_id) is RunStatus.SUCCEEDED
    async with it.engine.database.read() as db:
        run = await runs.by_id(db, run_id)
    assert run is not None
    return run


async def test_nothing_is_left(tmp_path: Path, database_url: str) -> None:
    """Ledger, changes, rejections and inbox no longer contain the person; other people stay."""
    async with firehosing(tmp_path, database_url, firehose_approval="none") as it:
        await started(it, 41, 42, 43)
        await it.mparticle.add(VIPS, person(42, email="not an address", customer_id="c42"))
        await it.settled()
        await it.mparticle.erase(email=" P42@Example.com ")
        held = await everything(it)
        for trace in ("p42@", "'c42'", '"c42"', "'42'", '"42"', "not an address"):
            assert trace not in held
        for trace in ("p41@example.com", "c43"):
            assert trace in held
        async with it.engine.database.read() as db:
            run_id = (await it.status()).run_id
            assert run_id is not None
            run = await runs.by_id(db, run_id)
            assert run is not None
            assert run.counters.missing == 0
            assert [r.member_key async for r in rejections.of_run(db, run_id)] == [None]


async def test_stays_in_its_account(tmp_path: Path, database_url: str) -> None:
    """An erasure of one account leaves what others hold about the same customer id, and their files bring it in."""
    async with firehosing(tmp_path, database_url, firehose_approval="none") as it:
        await started(it, 1, 2)
        it.mparticle.account["account_id"] = 999  # another account, with the same token and no connection
        it.mparticle.account["account_settings"] = {}
        await it.mparticle.erase(customer_id="c1", email="p2@example.com")

        held = await everything(it)
        assert all(trace in held for trace in ("p1@example.com", "'c1'", "p2@example.com"))
        run = await sync_file(it, 1)
        assert (run.counters.rejected, it.emails()) == (0, {"p1@example.com"})


async def test_person_who_had_left(tmp_path: Path, database_url: str) -> None:
    """The address under which a person was on a list is erased, too, if the request has the address or the mpid."""
    async with firehosing(tmp_path, database_url, firehose_approval="none") as it:
        await started(it, 1, 2, 3)
        await it.mparticle.delete(VIPS, *map(person, (1, 2, 3)))
        await it.settled()
        held = await everything(it)
        assert all(f"p{number}@example.com" in held for number in (1, 2, 3))
        await it.mparticle.erase(email="p1@example.com")
        await it.mparticle.erase(mpid="2")
        held = await everything(it)
        assert [number for number in (1, 2, 3) if f"p{number}@example.com" in held] == [3]


async def test_record_of_it(tmp_path: Path, database_url: str) -> None:
    """That it was done is on record, with the numbers and without the person."""
    async with firehosing(tmp_path, database_url, firehose_approval="none") as it:
        await started(it, 1, 2)
        request = messages.erasure(it.mparticle.account, {"customer_id": "c1"})
        await it.mparticle.send(request)
        await it.mparticle.send(request)
        async with it.engine.database.read() as db:
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
    """Later downloads leave the person out, whatever identity was named, until mParticle sends the person again."""
    async with firehosing(tmp_path, database_url, firehose_approval="none") as it:
        await started(it, 1, 2)
        await it.mparticle.erase(email="p1@example.com")
        await it.mparticle.erase(mpid="7")
        run = await sync_file(it, 1, 2, 3, 7)
        assert it.emails() == {f"p{n}@example.com" for n in (1, 2, 3)}  # 1 is where Iterable has it, and not ours
        assert (run.counters.members, run.counters.added, run.counters.rejected) == (4, 1, 2)
        async with it.engine.database.read() as db:
            assert await rejections.by_reason(db, run.id) == {"erased": 2}
        assert "p7@example.com" not in await everything(it)
        await it.mparticle.add(VIPS, person(7))
        await it.settled()
        assert "p7@example.com" in it.emails()
        run = await sync_file(it, 2, 3, 7)
        assert (run.counters.rejected, run.counters.missing) == (0, 0)


async def test_older_change_does_not_bring_the_person_back(tmp_path: Path, database_url: str) -> None:
    """A change from before the erasure that comes late is not taken."""
    async with firehosing(tmp_path, database_url, worker=False, firehose_approval="none") as it:
        now = int(time.time() * 1000)
        await it.mparticle.add(VIPS, person(1), at=now - 1000)
        await it.mparticle.erase(email="p1@example.com")
        await it.mparticle.add(VIPS, person(1), person(2), at=now - 500)
        held = await everything(it)
        assert "p1@example.com" not in held
        assert "p2@example.com" in held


async def test_while_a_run_is_under_way(tmp_path: Path, database_url: str) -> None:
    """What a run holds in memory meanwhile is deleted when it has ended."""
    async with firehosing(tmp_path, database_url, firehose_approval="none") as it:
        await started(it, 1)
        it.iterable.faults.add(Fault(action="slow", delay=1.0, path="/api/lists/subscribe", times=1))
        await it.mparticle.add(VIPS, person(2), person(3))

        async def is_on_its_way() -> bool:
            return it.iterable.state.log.in_flight > 0

        await until(is_on_its_way)
        await it.mparticle.erase(mpid="2")
        await it.settled()
        await run_maintenance(it.engine)
        held = await everything(it)
        assert "p2@example.com" not in held
        assert "p3@example.com" in held


async def test_run_that_ends_meanwhile(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run writes down just before it ends, while the person is being deleted, is deleted by the next look."""
    from core.runs.executor import plan

    async with firehosing(tmp_path, database_url, worker=False, firehose_approval="none") as it:
        await it.mparticle.add(VIPS, person(1), person(2))
        run_id = await micro_batch.create_micro_batch(it.engine, await it.mapping())
        assert run_id is not None
        await plan(it.engine, run_id)
        rows_of = personal_data.rows_of

        async def found(db: AsyncConnection, whose: personal_data.DataSubject) -> personal_data.Rows:
            rows = await rows_of(db, whose)
            await micro_batch.execute(it.engine, run_id)
            return rows

        with monkeypatch.context() as patch:
            patch.setattr(erasure, "SOON_S", 60.0)
            patch.setattr(personal_data, "rows_of", found)
            await it.mparticle.erase(email="p1@example.com")
        assert it.emails() == {"p1@example.com", "p2@example.com"}
        await erasure.carry_out_all(it.engine)
        assert "p1@example.com" not in await everything(it)


async def test_planned_change_is_not_made(tmp_path: Path, database_url: str) -> None:
    """A change that is planned and not sent is taken out, and the run's numbers add up all the same."""
    from core.runs.executor import plan

    async with firehosing(tmp_path, database_url, worker=False, firehose_approval="none") as it:
        await it.mparticle.add(VIPS, person(1), person(2))
        run_id = await micro_batch.create_micro_batch(it.engine, await it.mapping())
        assert run_id is not None
        await plan(it.engine, run_id)
        await it.mparticle.erase(email="p1@example.com")
        await micro_batch.execute(it.engine, run_id)
        assert it.emails() == {"p2@example.com"}
        status = await it.status()
        assert (status.added, status.rejected_by_reason) == (1, {"erased": 1})
        await erasure.carry_out_all(it.engine)
        assert "p1@example.com" not in await everything(it)


async def test_nothing_is_looked_for_while_others_can_not_write(tmp_path: Path) -> None:
    """However large the tables are, an erasure holds SQLite's one write lock for rows that it knows by their keys."""
    async with firehosing(tmp_path, firehose_approval="none") as it:
        await started(it, 41, 42)
        await it.mparticle.add(VIPS, person(42, email="not an address"))
        await it.settled()
        written: list[tuple[str, Any]] = []

        def note(db: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
            if db.get_execution_options().get("writing") and statement.startswith(("SELECT", "UPDATE", "DELETE")):
                written.append((statement, parameters))

        event.listen(it.engine.database.engine.sync_engine, "before_cursor_execute", note)
        await it.mparticle.erase(email="p42@example.com")
        await run_maintenance(it.engine)
        event.remove(it.engine.database.engine.sync_engine, "before_cursor_execute", note)
        assert sum("ledger" in statement for statement, _ in written)
        async with it.engine.database.read() as db:
            for statement, parameters in written:
                found = await db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                scanned = {row.detail for row in found if row.detail.startswith("SCAN")}
                assert not {f"SCAN {table}" for table in ("ledger", "inbox", "rejections", "changes")} & scanned
