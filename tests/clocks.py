"""The clocks of a database and of the processes that use it, which tests set apart from each other."""

import time
from types import SimpleNamespace

import pytest

from core.store import clock
from core.store.database import Database

_true_time = time.time
# What takes the place of PostgreSQL's functions, which are found first only if no schema is named before their own.
_FUNCTION = "CREATE OR REPLACE FUNCTION public.{name}() RETURNS timestamptz LANGUAGE sql {kind} AS $$ SELECT {value} $$"
_FUNCTIONS = {"clock_timestamp": "VOLATILE", "statement_timestamp": "STABLE"}


def set_process_clock(monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    """Let the clock of the program be so many seconds from the true time, but not that of its database."""
    if vars(clock)["time"] is time:  # no test has set that of the database
        monkeypatch.setattr(clock, "time", SimpleNamespace(time=_true_time))
    monkeypatch.setattr(time, "time", lambda: _true_time() + by)


async def set_database_clock(
    database: Database, monkeypatch: pytest.MonkeyPatch, *, by: float = 0.0, at: float | None = None
) -> None:
    """Let the clock of a database be so many seconds from the true time, or stop `at` a time (UTC seconds).

    On SQLite that is of all databases.
    """
    monkeypatch.setattr(clock, "time", SimpleNamespace(time=lambda: _true_time() + by if at is None else at))
    if database.is_sqlite:
        return
    async with database.write() as db:
        for name, kind in _FUNCTIONS.items():
            value = f"pg_catalog.{name}() + make_interval(secs => {by})" if at is None else f"to_timestamp({at})"
            await db.exec_driver_sql(_FUNCTION.format(name=name, kind=kind, value=value))
        name = (await db.exec_driver_sql("SELECT current_database()")).scalar_one()
        await db.exec_driver_sql(f'ALTER DATABASE "{name}" SET search_path = public, pg_catalog')
    await database.close()  # new connections have that path
