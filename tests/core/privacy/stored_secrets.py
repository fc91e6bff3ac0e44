"""A secret in each encrypted column of the database."""

import json
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import Column, LargeBinary, Table, insert, select, update

from core.models.run import RunRequest
from core.runs.addresses import sealed
from core.settings import Settings
from core.store.database import Database
from core.store.tables import batches, metadata, runs
from core.vault import Vault
from tests.core.store.seeds import add_mapping, add_run

ADDRESS = "https://bucket.example.com/audience.csv?signature=secret"
ENCRYPTED = [column for table in metadata.tables.values() for column in table.columns if column.info.get("encrypted")]


def new_key() -> str:
    """A new encryption key."""
    return Fernet.generate_key().decode()


def settings_with(directory: Path, database_url: str | None, *keys: str) -> Settings:
    """Settings with these secret keys, newest first; with none of them, the key is in the data directory."""
    return Settings(
        data_dir=directory / "data",
        secret_key=SecretStr(",".join(keys)) if keys else None,
        database_url=SecretStr(database_url) if database_url else None,
        _env_file=None,  # type: ignore[call-arg]
    )


async def fill(database: Database, vault: Vault) -> None:
    """Store a secret in each encrypted column, and two runs: of a file, and of an address with a secret."""
    mapping = await add_mapping(database)
    await add_run(database, mapping)
    run_id = await add_run(database, mapping)
    request = sealed(vault, RunRequest(path=ADDRESS, audience="Zoë"))
    async with database.write() as db:
        paths = update(runs).values(request=RunRequest(path="/audience.csv").model_dump_json())
        await db.execute(paths)
        await db.execute(update(runs).where(runs.c.id == run_id).values(request=request.model_dump_json()))
        batch = filled(batches, {"run_id": run_id})
        batch_id = (await db.execute(insert(batches).values(batch).returning(batches.c.id))).scalar_one()
        known = {
            "mapping_id": mapping.id,
            "connection_id": mapping.connection_id,
            "batch_id": batch_id,
        }
        for column in ENCRYPTED:
            secret = vault.encrypt(f"secret of {column}")
            value = secret if isinstance(column.type, LargeBinary) else secret.decode()
            if column.table.name == "connections":
                await db.execute(update(column.table).values({column: value}))
            else:
                await db.execute(insert(column.table).values(filled(column.table, known | {column.key: value})))


def filled(table: Table, values: dict[str, Any]) -> dict[str, Any]:
    """A row with these values, as far as the table has such columns, and some value in each column that needs one."""
    row = {column.key: values[column.key] for column in table.columns if column.key in values}
    for column in table.columns:
        is_given = column.key in row or column.server_default is not None or column.default is not None
        is_number_of_row = column.primary_key and column.type.python_type is int
        if not (is_given or column.nullable or is_number_of_row):
            row[column.key] = {str: "x", int: 1, float: 1.0, bool: True, bytes: b""}[column.type.python_type]
    return row


async def value_of(database: Database, column: Column[Any]) -> Any:
    """The only value of a column."""
    async with database.read() as db:
        return (await db.execute(select(column))).scalar_one()


def as_bytes(value: bytes | str) -> bytes:
    """An encrypted value."""
    return value.encode() if isinstance(value, str) else value


async def requests(database: Database) -> list[RunRequest]:
    """The requests of all runs, as they are stored."""
    async with database.read() as db:
        stored = (await db.execute(select(runs.c.request).order_by(runs.c.id))).scalars().all()
    return [RunRequest(**json.loads(each)) for each in stored]
