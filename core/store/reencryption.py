"""Encrypts the stored secrets again with the newest key: the columns with the info ENCRYPTED, and addresses of runs."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Column, Table, inspect, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import SettingsError
from core.store.database import Database
from core.store.tables import metadata, runs
from core.vault import Vault

# Rows of one transaction: on SQLite, other processes wait for it.
_ROWS = 200
# The addresses of a run's audience are in its request, which is JSON (core.runs.addresses).
_ADDRESSES = "sealed_addresses"


async def reencrypt(database: Database, vault: Vault, more: Sequence[Column[Any]] = ()) -> int:
    """Encrypt all stored secrets with the vault's newest key. Returns the number of values that were changed.

    `more` are columns with encrypted text in other tables; tables that don't exist are skipped. A value that another
    process changes meanwhile is left alone, because that process has encrypted it with the newest key. Raises
    SettingsError if a value can't be decrypted: the values before it stay changed.
    """
    async with database.read() as db:
        columns = await encrypted_columns(db, more)
    count = 0
    for column in columns:
        count += await _reencrypt_column(database, column, lambda value: _rotated(vault, value))
    return count + await _reencrypt_column(database, runs.c.request, lambda value: _rotated_request(vault, value))


async def encrypted_columns(db: AsyncConnection, more: Sequence[Column[Any]] = ()) -> list[Column[Any]]:
    """Return the encrypted columns of all tables that exist, and those of `more`."""
    existing = set(await db.run_sync(lambda connection: inspect(connection).get_table_names()))
    columns = [column for table in metadata.tables.values() for column in table.columns if column.info.get("encrypted")]
    return [column for column in (*columns, *more) if column.table.name in existing]


async def _reencrypt_column(database: Database, column: Column[Any], rotated: Callable[[Any], Any]) -> int:
    """Replace the values of a column by what `rotated` returns for them. Returns the number of other values."""
    table = column.table
    assert isinstance(table, Table)
    keys = list(table.primary_key.columns)
    query = select(*keys, column.label("secret")).where(column.is_not(None)).order_by(*keys).limit(_ROWS)
    if column is runs.c.request:
        query = query.where(column.contains(f'"{_ADDRESSES}":"'))
    count = 0
    following = query
    while True:
        async with database.write() as db:
            rows = [tuple(row) for row in await db.execute(following)]
            for *key, secret in rows:
                try:
                    replacement = rotated(secret)
                except SettingsError as error:
                    raise SettingsError(
                        f"A value of {table.name}.{column.name} can't be decrypted with any of the keys. Append the "
                        "key that it was encrypted with, separated by a comma, and repeat the command."
                    ) from error
                if replacement != secret:
                    count += await _replace(db, column, dict(zip(keys, key, strict=True)), secret, replacement)
        if len(rows) < _ROWS:
            return count
        following = query.where(tuple_(*keys) > rows[-1][:-1])


async def _replace(
    db: AsyncConnection, column: Column[Any], key: dict[Column[Any], Any], secret: Any, replacement: Any
) -> int:
    """Replace a value, unless it has changed since it was read. Returns the number of rows."""
    conditions = [key_column == value for key_column, value in key.items()]
    statement = update(column.table).where(*conditions, column == secret).values({column: replacement})
    return int((await db.execute(statement)).rowcount)


def _rotated(vault: Vault, value: bytes | str) -> bytes | str:
    if isinstance(value, str):
        return vault.rotate(value.encode("ascii")).decode("ascii")
    return vault.rotate(value) if value else value  # a deleted key is empty


def _rotated_request(vault: Vault, request: str) -> str:
    values: dict[str, Any] = json.loads(request)
    values[_ADDRESSES] = _rotated(vault, values[_ADDRESSES])
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))
