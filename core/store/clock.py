"""The clock of every stored time: the database's, because the clocks of machines differ.

It is the server's on PostgreSQL. SQLite is a file of this machine, so there it is this machine's. Nothing else in the
program compares a stored time with the clock of its machine.
"""

import time
from typing import Any

from sqlalchemy import ColumnElement, Float, bindparam, extract, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

#: That time as an expression for PostgreSQL.
SERVER_TIME = extract("epoch", func.clock_timestamp())
_SERVER_NOW = select(SERVER_TIME)
# On PostgreSQL not `now()`, which is when the transaction began: what it stores may be older than what another one has
# stored and committed meanwhile.
_AT_START_ON_POSTGRESQL = "CAST(extract(epoch FROM statement_timestamp()) AS double precision)"
#: `AT_START` in statements that are written as text, by dialect. SQLite's has a parameter (`parameters`).
AT_START_TEXT = {"sqlite": "CAST(:now AS double precision)", "postgresql": _AT_START_ON_POSTGRESQL}


def _machine_time() -> float:
    return time.time()


_MACHINE_TIME = bindparam("machine_time", callable_=_machine_time, type_=Float)


class _TimeAtStart(FunctionElement[float]):
    inherit_cache = True  # or SQLAlchemy compiles each statement with it again
    type = Float()


@compiles(_TimeAtStart, "sqlite")
def _compile_for_sqlite(_element: _TimeAtStart, compiler: SQLCompiler, **how: Any) -> str:
    return compiler.process(_MACHINE_TIME, **how)


@compiles(_TimeAtStart, "postgresql")
def _compile_for_postgresql(_element: _TimeAtStart, _compiler: SQLCompiler, **_how: Any) -> str:
    return _AT_START_ON_POSTGRESQL


#: The time at which a statement starts, as an expression. It is the same in all rows, and an index can find what is
#: before it.
AT_START: ColumnElement[float] = _TimeAtStart()


def parameters(db: AsyncConnection) -> dict[str, float]:
    """Return the parameters of a statement with `AT_START_TEXT`."""
    return {"now": time.time()} if db.dialect.name == "sqlite" else {}


def expression(db: AsyncConnection) -> ColumnElement[Any]:
    """Return the time as an expression, for a statement that needs no other for it. Its value may be a Decimal."""
    if db.dialect.name == "sqlite":
        return literal(time.time())
    return extract("epoch", func.clock_timestamp())


async def now(db: AsyncConnection) -> float:
    """Return the time in seconds since 1970."""
    if db.dialect.name == "sqlite":
        return time.time()
    return float((await db.execute(_SERVER_NOW)).scalar_one())
