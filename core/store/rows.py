"""Rows as Python names their columns: a column's `key` where it differs from the name in the database."""

from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any

from sqlalchemy import RowMapping, Table


@cache
def _keys(table: Table) -> tuple[tuple[str, str], ...]:
    return tuple((column.key, column.name) for column in table.columns)


def by_key(table: Table, row: RowMapping) -> dict[str, Any]:
    """Return a row of `SELECT *` of a table by the keys of its columns; results carry the names in the database."""
    return {key: row[name] for key, name in _keys(table)}


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as they are stored: of an enum's member, its value."""
    return {key: value.value if isinstance(value, Enum) else value for key, value in values.items()}
