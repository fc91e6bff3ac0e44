"""Reading the whole ledger of a mapping as lines. That nothing changes on the way is tested with the workspace."""

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from core.models.batch import BatchEntry
from core.store import ledger
from core.store.database import Database
from core.store.database_errors import is_passing
from core.store.ledger_export import lines_of
from tests.core.store.seeds import add_mapping

_END_CONNECTIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.mark.extended
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_connection_that_breaks_is_a_passing_error(database: Database, database_url: str) -> None:
    """If PostgreSQL ends the connection while rows are read, the read is retried, and the next one works."""
    mapping = await add_mapping(database)
    members = [BatchEntry("a", str(number), f"p{number}@example.com", None) for number in range(100)]
    async with database.write() as db:
        await ledger.upsert(db, mapping.id, members, certain=True)

    async def read_all(*, ends_connections: bool) -> int:
        count = 0
        async with database.read_rows() as db:
            async for piece in lines_of(db, mapping.id, 10):
                count += len(piece.splitlines())
                if ends_connections:
                    with psycopg.connect(database_url, autocommit=True) as connection:
                        connection.execute(_END_CONNECTIONS)
        return count

    with pytest.raises(DBAPIError) as raised:
        await read_all(ends_connections=True)
    assert is_passing(raised.value)
    assert await read_all(ends_connections=False) == 100
