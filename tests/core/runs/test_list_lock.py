"""A run waits for the lock of its list."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import RunStoppedError
from core.runs.list_lock import hold_list_lock
from core.store.tables import lists
from tests.core.databases import noted_statements
from tests.core.harness import people, syncing


async def test_run_whose_list_is_not_on_record_waits_and_can_be_stopped(tmp_path: Path) -> None:
    """It looks a few times a second, and ends when the process stops."""

    async def begin(_db: AsyncConnection) -> None:
        raise AssertionError

    async with syncing(tmp_path) as sync:
        run_id = await sync.submit(sync.mirror_file(people(range(3))), approved=True)
        run = (await sync.outcome(run_id)).run
        async with sync.engine.database.write() as db:
            await db.execute(delete(lists))

        async def wait_for_list() -> None:
            async with hold_list_lock(sync.engine, run, begin):
                pass

        with noted_statements(sync.engine.database) as statements:
            waiting = asyncio.create_task(wait_for_list())
            await asyncio.wait([waiting], timeout=1.0)
        assert 0 < len(statements) < 100
        sync.engine.stopping.set()
        with pytest.raises(RunStoppedError):
            await asyncio.wait_for(waiting, 30)
