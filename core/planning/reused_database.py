"""Databases in memory that are emptied and used again, so that SQLite parses the statements of planning once.

Parsing and preparing them costs several times as much as planning one change. SQLite keeps prepared statements as long
as the schema stays: so a table or view that is made by the same statement as last time is left, and filled again.
"""

import re
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

#: A function for SQL: its name, how many arguments it has, and the function itself.
Function = tuple[str, int, Callable[..., Any]]

#: The emptied databases that a thread keeps, of 0.4 MB each.
MOST_KEPT = 32
# Rows that one statement inserts, which takes less than half of the time of single rows.
ROWS_A_STATEMENT = 32
# The statements that each keeps prepared: more than a planning has.
_PREPARED = 256
# What makes a table or a view: which of both, its name, and the query (none: a list of columns).
_MAKING = re.compile(r"\s*CREATE (TABLE|VIEW) (\w+)\s*(?:AS\s+(.*)|\(.*)", re.DOTALL)
_OTHER_CHANGE = re.compile(r"\s*(?:CREATE|ALTER|DROP)\b")


class _Making(NamedTuple):
    """A statement that makes a table or a view. `filling` does the same if there is an empty one ("": nothing is to be
    done)."""

    statement: str
    kind: str
    name: str
    filling: str


class _Kept(threading.local):
    """The emptied databases of a thread. A connection of SQLite belongs to the thread that has opened it."""

    def __init__(self) -> None:
        self.by_functions: defaultdict[tuple[Function, ...], list[ReusedDatabase]] = defaultdict(list)


_kept = _Kept()


def open_database(functions: tuple[Function, ...]) -> "ReusedDatabase":
    """Return an empty database with these functions."""
    free = _kept.by_functions[functions]
    return free.pop() if free else ReusedDatabase(functions)


class ReusedDatabase:
    """A database in memory. Close it after use; then another use may follow."""

    def __init__(self, functions: tuple[Function, ...]) -> None:
        """Open an empty database with these functions."""
        self._free = _kept.by_functions[functions]
        self._con = sqlite3.connect(":memory:", isolation_level=None, cached_statements=_PREPARED)
        for name, arguments, function in functions:
            self._con.create_function(name, arguments, function, deterministic=True)
        # what was ever made, by name, and the names of what was made in this use
        self._made: dict[str, _Making] = {}
        self._current: set[str] = set()
        self._is_known = True

    def cursor(self) -> sqlite3.Cursor:
        """Return a cursor with no result."""
        return self._con.cursor()

    def execute(self, statement: str, parameters: Mapping[str, Any]) -> sqlite3.Cursor:
        """Execute a statement in SQLite's SQL. Returns its cursor."""
        making = _making_of(statement)
        if making is not None:
            return self._make(making, parameters)
        if _changes_otherwise(statement):
            self._is_known = False
        return self._con.execute(statement, parameters)

    def _make(self, making: _Making, parameters: Mapping[str, Any]) -> sqlite3.Cursor:
        former = None if making.name in self._current else self._made.pop(making.name, None)
        if former is not None and former.statement == making.statement:
            self._made[making.name] = making
            self._current.add(making.name)
            return self._con.execute(making.filling, parameters)
        if former is not None:
            self._con.execute(f"DROP {former.kind} {former.name}")
        cursor = self._con.execute(making.statement, parameters)
        self._made[making.name] = making
        self._current.add(making.name)
        return cursor

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Append rows to a table."""
        insertion = f"INSERT INTO {table} ({','.join(columns)}) VALUES "
        row = f"({','.join('?' * len(columns))})"
        whole = len(rows) - len(rows) % ROWS_A_STATEMENT
        for begin in range(0, whole, ROWS_A_STATEMENT):
            values = [*chain.from_iterable(rows[begin : begin + ROWS_A_STATEMENT])]
            self._con.execute(insertion + ",".join([row] * ROWS_A_STATEMENT), values)
        self._con.executemany(insertion + row, rows[whole:])

    def close(self) -> None:
        """Forget what the database contains. It is no longer used, unless it is opened again."""
        if not self._is_known or len(self._free) >= MOST_KEPT:
            self._con.close()
            return
        for name in self._current:
            if self._made[name].kind == "TABLE":
                self._con.execute(f"DELETE FROM {name}")
        self._current.clear()
        self._free.append(self)


@lru_cache(maxsize=1_000)
def _making_of(statement: str) -> _Making | None:
    match = _MAKING.fullmatch(statement)
    if match is None:
        return None
    kind, name, query = match.groups()
    return _Making(statement, kind, name, f"INSERT INTO {name} {query}" if kind == "TABLE" and query else "")


@lru_cache(maxsize=1_000)
def _changes_otherwise(statement: str) -> bool:
    return _OTHER_CHANGE.match(statement) is not None
