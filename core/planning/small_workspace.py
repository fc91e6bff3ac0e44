"""The workspace of a small planning: SQLite in memory, which executes the same statements as DuckDB.

Opening DuckDB and planning a handful of changes in it takes 100 ms of CPU, and SQLite takes 3. Most small plannings
need neither (core/planning/small_diff.py). The rules are written in DuckDB's SQL; what SQLite words differently is
translated here. A property test compares both.

The translation knows the SQL of this package, not all of DuckDB's. SQLite refuses most of the rest as an error of
syntax. What it would accept and understand differently is refused here: other functions, other joins, LIKE (which
ignores case), `/` (which rounds), `[` and double quotes (which quote names). Two differences are left to the author:
SQLite sorts NULL first, so say NULLS LAST; and it has no boolean type, so don't turn a boolean into text.
"""

import hashlib
import re
import sqlite3
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from core.planning.reused_database import open_database

#: Up to this many members and rows of the ledger, a planning is small.
SMALL_MEMBERS, SMALL_LEDGER = 1_000, 5_000

# A macro of DuckDB: its name, its parameters and its expression.
Macro = tuple[str, tuple[str, ...], str]

_COMMENT = re.compile(r"--[^\n]*")
_MACRO = re.compile(r"\s*CREATE MACRO (\w+)\(([^)]*)\) AS\s+(.*)", re.DOTALL)
_WORD = re.compile(r"\w+")
# a FULL JOIN b ON (b.key = a.key)
_FULL_JOIN = re.compile(r"(\w+)\s+FULL\s+JOIN\s+(\w+)\s+ON\s+\(\2\.(\w+) = \1\.\3\)")
# For this, SQLite makes an index of each side; for its own full join it makes none.
_KEYS_OF_BOTH = (
    r"(SELECT \3 FROM \1 UNION SELECT \3 FROM \2) AS keys "
    r"LEFT JOIN \1 ON \1.\3 = keys.\3 LEFT JOIN \2 ON \2.\3 = keys.\3"
)
# a SEMI JOIN b USING (key), or ON (condition)
_FILTERING_JOIN = re.compile(r"(\w+)\s+(SEMI|ANTI)\s+JOIN\s+(\w+)\s+(USING|ON)\s+\(")
_WORDS = (
    (re.compile(r"\bIS NOT DISTINCT FROM\b"), "IS"),
    (re.compile(r"\bIS DISTINCT FROM\b"), "IS NOT"),
    (re.compile(r"\bif\("), "iif("),
    (re.compile(r"\bchr\("), "char("),
    (re.compile(r"\bto_json\("), "json_quote("),
    (re.compile(r"\bhash\("), "quote("),  # DuckDB compares hashes to save memory; like them, quote(NULL) is not NULL
    (re.compile(r"\b(NULL|json_quote\(\w+\))::VARCHAR\b"), r"\1"),
)
# What SQLite would take for an alias, or understand differently.
_REFUSED = re.compile(r"\b(?:SEMI|ANTI|ASOF|POSITIONAL|LIKE|ILIKE|GLOB)\b|::|[/\"\[]", re.IGNORECASE)
_CALL = re.compile(r"\b(\w+)\(")
# The functions that both have, under these names, with the same results. (Those of _FUNCTIONS are added.)
_CALLED = {"coalesce", "iif", "char", "json_quote", "quote", "count", "min", "max", "row_number", "first_value"}


def is_supported() -> bool:
    """Return whether this Python's SQLite has all that planning needs.

    `UPDATE ... FROM` came with 3.33, and since 3.38 the functions for JSON are always there.
    """
    return sqlite3.sqlite_version_info >= (3, 38)


class SmallWorkspace:
    """A database in memory with the part of DuckDB's interface that planning uses. Nothing in it blocks for long."""

    def __init__(self) -> None:
        """Open an empty workspace."""
        self._database = open_database(_FUNCTIONS)
        self._macros: tuple[Macro, ...] = ()

    def execute(self, query: str, parameters: Mapping[str, Any] | None = None) -> sqlite3.Cursor:
        """Execute statements in DuckDB's SQL. Returns the cursor of the last one.

        Raises ValueError if a statement has something that SQLite would understand differently.
        """
        cursor = self._database.cursor()
        for statement in _statements(query):
            macro = _MACRO.fullmatch(statement)
            if macro is not None:
                names = tuple(name.strip() for name in macro[2].split(",") if name.strip())
                self._macros += ((macro[1], names, macro[3].strip()),)
            else:
                cursor = self._database.execute(_translated(statement, self._macros), parameters or {})
        return cursor

    def cursor(self) -> "SmallWorkspace":
        """Return this workspace: results are cursors of their own."""
        return self

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Append rows to a table. Neither name comes from outside."""
        self._database.insert(table, columns, rows)

    def close(self) -> None:
        """Close the workspace and forget what it contains."""
        self._database.close()


@lru_cache(maxsize=200)
def _statements(query: str) -> tuple[str, ...]:
    return tuple(part for part in _COMMENT.sub("", query).split(";") if part.strip())


@lru_cache(maxsize=1_000)
def _translated(statement: str, macros: tuple[Macro, ...]) -> str:
    for macro in macros:
        statement = _expanded(statement, *macro)
    statement = _with_plain_joins(statement)
    for words, others in _WORDS:
        statement = words.sub(others, statement)
    if refused := [*_REFUSED.findall(statement), *(name for name in _CALL.findall(statement) if name not in _CALLED)]:
        raise ValueError(f"SQLite does not have this, or understands it differently: {refused[0]!r} in {statement}")
    return statement


def _expanded(statement: str, name: str, parameters: tuple[str, ...], expression: str) -> str:
    """Replace the calls of a macro by its expression."""
    call = re.compile(rf"\b{name}\(")
    while (match := call.search(statement)) is not None:
        end = _closing(statement, match.end())
        values = dict(zip(parameters, _split(statement[match.end() : end]), strict=True))
        body = _WORD.sub(lambda word: values.get(word[0], word[0]), expression)  # noqa: B023  # called at once
        statement = f"{statement[: match.start()]}({body}){statement[end + 1 :]}"
    return statement


def _with_plain_joins(statement: str) -> str:
    """Replace full, semi and anti joins of two tables by subqueries."""
    statement = _FULL_JOIN.sub(_KEYS_OF_BOTH, statement)
    while (match := _FILTERING_JOIN.search(statement)) is not None:
        left, kind, right, how = match.groups()
        end = _closing(statement, match.end())
        condition = statement[match.end() : end]
        if how == "ON" and kind == "ANTI":
            raise ValueError(f"An anti join needs USING: {statement}")
        if how == "ON":
            rows = f"SELECT DISTINCT {left}.* FROM {left} JOIN {right} ON ({condition})"
        else:
            keys = f"SELECT {condition} FROM {right} WHERE {condition} IS NOT NULL"
            matches = f"{condition} IN ({keys})"
            rows = f"SELECT * FROM {left} WHERE {f'({matches}) IS NOT TRUE' if kind == 'ANTI' else matches}"
        statement = f"{statement[: match.start()]}({rows}) AS {left}{statement[end + 1 :]}"
    return statement


def _closing(text: str, start: int) -> int:
    """Return the position of the parenthesis that closes the one before `start`."""
    depth = 1
    for position in range(start, len(text)):
        depth += (text[position] == "(") - (text[position] == ")")
        if not depth:
            return position
    raise ValueError(f"no closing parenthesis in {text[start:]!r}")


def _split(arguments: str) -> list[str]:
    """Return the arguments of a call, each in parentheses if it is more than a name."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(arguments):
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            parts.append(arguments[start:position])
            start = position + 1
    parts.append(arguments[start:])
    return [part.strip() if re.fullmatch(r"\s*[\w.]+\s*", part) else f"({part})" for part in parts if part.strip()]


def _sha256(text: str | None) -> str | None:
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()


def _starts_with(text: str | None, start: str) -> bool | None:
    return None if text is None else text.startswith(start)


def _ends_with(text: str | None, end: str) -> bool | None:
    return None if text is None else text.endswith(end)


def lower(text: str | None) -> str | None:
    """As in DuckDB: each character by itself, and one for each (Python has two for the Turkish capital I)."""
    if text is None or text.isascii():
        return None if text is None else text.lower()
    return "".join(character.lower()[0] for character in text)


def trim(text: str | None) -> str | None:
    """As in DuckDB: without spaces of all kinds, but with tabs and line breaks."""
    return None if text is None else text.strip(_SPACES)


# The category Zs of Unicode.
_SPACES = " \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_FUNCTIONS = (
    ("sha256", 1, _sha256),
    ("starts_with", 2, _starts_with),
    ("ends_with", 2, _ends_with),
    ("lower", 1, lower),
    ("trim", 1, trim),
)
_CALLED.update(name for name, _, _ in _FUNCTIONS)
