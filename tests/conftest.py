"""Fixtures of all tests: the databases, SQLite in a file and a real PostgreSQL."""

import atexit
import gc
import logging
import os
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from sqlalchemy import Connection, event
from sqlalchemy import Engine as SqlEngine

from bot.cli import collector
from tests.core.databases import memory, new_database, postgresql
from tests.examples import QUICK

settings.load_profile(QUICK)


def pytest_configure() -> None:
    """Keep temporary directories in memory if there is enough, also those of processes that tests start.

    Also collect garbage as rarely as the program does, and not at all until the tests begin.
    """
    if (directory := memory()) is not None:
        os.environ.setdefault("TMPDIR", str(directory))
        tempfile.tempdir = None
    gc.set_threshold(collector.THRESHOLD)  # as the program does
    if "PYTEST_XDIST_WORKER" in os.environ:  # nearly all that is made until the tests begin stays
        gc.disable()


def pytest_collection_finish() -> None:
    """Exclude imported modules from garbage collection: they are a million objects that never go away.

    When the process ends, the collector would free the modules: pytest collects ten times before that. A worker of
    xdist ends without it, after everything else that happens at the end.
    """
    gc.freeze()
    gc.enable()
    atexit.register(end_worker if "PYTEST_XDIST_WORKER" in os.environ else gc.unfreeze)


def end_worker() -> None:
    """End the process now: to free a million objects takes a second of CPU."""
    finalize: Any = weakref.finalize
    finalize._exitfunc()  # which was registered earlier, so that it would come later
    logging.shutdown()
    os._exit(0)


class Statements(dict[Any, Any]):
    """Compiled statements of all databases, so that no test compiles what another has compiled before.

    SQLAlchemy looks them up by the dialect, an object of each engine. Engines of a kind have equal ones.
    """

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the compiled statement for a key, or the default."""
        return super().get((type(key[0]), *key[1:]), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__((type(key[0]), *key[1:]), compiled)


statements = Statements()


@event.listens_for(SqlEngine, "engine_connect")
def share_statements(connection: Connection) -> None:
    """Let a database use the compiled statements of all."""
    connection.engine._compiled_cache = statements


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The address of a PostgreSQL server that lives as long as this test process."""
    with postgresql() as address:
        yield address


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.extended)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a new database with all tables, of both kinds; PostgreSQL is extended (see `on_both`)."""
    yield from new_database(request, tmp_path)
