"""The clock of every stored time: the database's, because the clocks of machines differ."""

import time
from typing import Any

from sqlalchemy import ColumnElement, Float, cast, extract, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

#: That time as an expression for PostgreSQL.
SERVER_TIME = extract("epoch", func.clock_timestamp())
_SERVER_NOW = select(SERVER_TIME)


def expression(db: AsyncConnection) -> ColumnElement[Any]:
    """Return that time as an expression, for a statement that needs no other for it. Its value may be a Decimal."""
    if db.dialect.name == "sqlite":
        return literal(time.time())
    return extract("epoch", func.clock_timestamp())


def at_start(db: AsyncConnection) -> ColumnElement[Any]:
    """Return the time at which the statement starts, as an expression. An index can find what is before it."""
    if db.dialect.name == "sqlite":
        return literal(time.time())
    return cast(extract("epoch", func.statement_timestamp()), Float)


async def now(db: AsyncConnection) -> float:
    """Return the time in seconds since 1970, by the clock that all processes share.

    It is the server's on PostgreSQL. SQLite is a file of this machine, so there it is this machine's.
    """
    if db.dialect.name == "sqlite":
        return time.time()
    return float((await db.execute(_SERVER_NOW)).scalar_one())
