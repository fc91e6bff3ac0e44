"""The sessions of a process that is paused in a transaction are ended, so that its work can be taken over."""

import asyncio

import psycopg
import pytest

from core.store import workers
from core.store.database import Database
from tests.core.databases import new_postgresql, without
from tests.core.harness import until
from tests.core.store.seeds import add_connection

STALLED_S = 0.2
_RENAME = "UPDATE connections SET name = 'other'"


async def is_ended(database: Database, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> bool:
    """End stalled transactions. Returns whether this session was ended."""
    async with database.read() as db:
        await workers.end_stalled_transactions(db, STALLED_S)
    async with database.read() as db:
        pids = (await db.exec_driver_sql("SELECT pid FROM pg_stat_activity")).scalars().all()
    return connection.info.backend_pid not in pids


@pytest.mark.parametrize("in_statement", [False, True])
async def test_stalled_transaction_is_ended(postgresql_server: str, *, in_statement: bool) -> None:
    """It is ended between two statements, and if the client was paused before it had sent all of one."""
    url = new_postgresql(postgresql_server)
    database = Database(url)
    await add_connection(database)
    connection = await psycopg.AsyncConnection.connect(url)
    if in_statement:
        pipeline = connection.pipeline()
        await pipeline.__aenter__()
        await connection.execute(_RENAME)
        connection.pgconn.send_flush_request()
        connection.pgconn.flush()
    else:
        await connection.execute(_RENAME)
    async with asyncio.timeout(30):
        await until(lambda: is_ended(database, connection))
    await connection.close()
    async with database.write() as db:
        await db.exec_driver_sql(_RENAME)
    await database.close()
    without(postgresql_server, url)


async def test_session_that_only_waits_is_kept(postgresql_server: str) -> None:
    """A session without a transaction is not ended, however long it waits."""
    url = new_postgresql(postgresql_server)
    database = Database(url)
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
    await connection.execute("LISTEN something")
    async with database.read() as db:
        await workers.end_stalled_transactions(db, -60.0)
    assert await (await connection.execute("SELECT 1")).fetchone() == (1,)
    await connection.close()
    await database.close()
    without(postgresql_server, url)
