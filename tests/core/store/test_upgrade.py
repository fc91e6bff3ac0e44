"""A run that version 0.1.0 was executing when it was killed is finished after the upgrade, or planned again.

`version_0_1_0.json` has the rows that version 0.1.0 left in its database (revision 0006) at two moments of a sync, the
list in Iterable at these moments (user ids by address), and the file of the sync. Its workflow engine had a record of
the run, which is not needed.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, text
from sqlalchemy.engine import Connection

from core.iterable import IterableClient, NoRateLimit
from core.lease import LeaseTimes
from core.models.run import RunStatus
from core.runs import worker
from core.store.database import Database
from tests.core.harness import LIST, syncing, until
from tests.core.store.test_migrations import upgrade_to
from tests.core.test_crash import SECOND, UNDISTURBED, expected

RELEASED = "0006"
TIMES = LeaseTimes(heartbeat_s=0.1, lease_s=1.0, request_timeout_s=1.5, margin_s=0.5)
LEFT: dict[str, Any] = json.loads(Path(__file__).with_name("version_0_1_0.json").read_text(encoding="utf-8"))


def insert(db: Connection, tables: dict[str, list[dict[str, Any]]]) -> None:
    """Insert rows, by the names of their tables, and let PostgreSQL's sequences continue after them."""
    metadata = MetaData()
    metadata.reflect(db)
    for table in metadata.sorted_tables:
        if rows := tables.get(table.name):
            db.execute(table.insert(), rows)
            if db.dialect.name == "postgresql" and table.name in {"connections", "mappings", "batches"}:
                sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
                db.execute(text(f"SELECT setval({sequence}, (SELECT max(id) FROM {table.name}))"))


@pytest.mark.parametrize("state", ["uploading", pytest.param("planning", marks=pytest.mark.extended)])
async def test_run_in_flight(
    tmp_path: Path, empty_database_url: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker takes up the run, and it ends with the list and the numbers of an undisturbed one."""
    monkeypatch.setattr(worker, "RESCUE_INTERVAL_S", 0.1)
    left = LEFT["states"][state]
    (tmp_path / "audience1.csv").write_text(LEFT["audience"], encoding="utf-8")
    tables = json.loads(json.dumps(left["tables"]).replace("/audiences/", f"{tmp_path}/"))
    former = Database(empty_database_url)
    await upgrade_to(former, RELEASED)
    async with former.write() as db:
        await db.run_sync(insert, tables)
    await former.close()

    async with syncing(tmp_path, empty_database_url, times=TIMES) as sync:
        async with IterableClient(sync.iterable.key, base_url=sync.iterable.url, limiter=NoRateLimit()) as client:
            await client.subscribe(LIST, list(left["list"].items()))
        run_id = tables["runs"][-1]["id"]

        async def has_succeeded() -> bool:
            return (await sync.outcome(run_id)).run.status is RunStatus.SUCCEEDED

        working = asyncio.create_task(worker.run_worker(sync.engine))
        await until(has_succeeded)
        sync.engine.stopping.set()
        await working
        assert sync.emails() == expected(SECOND)
        assert (await sync.outcome(run_id)).counts == UNDISTURBED
