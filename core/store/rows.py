"""Rows by the Python names of their columns: a column's `key`, which may differ from its name in the database."""

from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any

from sqlalchemy import RowMapping, Table


@cache
def _keys(table: Table) -> tuple[tuple[str, str], ...]:
    return tuple((column.key, column.name) for column in table.columns)


def by_key(table: Table, row: RowMapping) -> dict[str, Any]:
    """Return a row of `SELECT *` from a table by column keys; results use the names in the database."""
    return {key: row[name] for key, name in _keys(table)}


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as they are stored: enum members as their values."""
    return {key: value.value if isinstance(value, Enum) else value for key, value in values.items()}
