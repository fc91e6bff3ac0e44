"""The secret key is replaced: every stored secret needs the new key only."""

from pathlib import Path

import pytest
from sqlalchemy import LargeBinary, insert, select, update

from core.engine import open_engine
from core.errors import ConflictError, SettingsError
from core.lease import LeaseTimes
from core.privacy.key_rotation import rotate_key
from core.runs.addresses import addresses_of
from core.store import reencryption
from core.store.tables import metadata
from core.vault import KEY_FILE, Vault, open_vault
from tests.core.databases import on_both
from tests.core.privacy.stored_secrets import (
    ADDRESS,
    ENCRYPTED,
    as_bytes,
    fill,
    filled,
    new_key,
    requests,
    settings_with,
    value_of,
)
from tests.core.store.seeds import add_mapping


def test_all_columns_are_known() -> None:
    """Bytes in the database are encrypted secrets, so every such column is encrypted again."""
    columns = {column for table in metadata.tables.values() for column in table.columns}
    assert {column for column in columns if isinstance(column.type, LargeBinary)} <= set(ENCRYPTED)


@on_both
async def test_every_secret_needs_the_new_key_only(tmp_path: Path, database_url: str) -> None:
    """After the change, a vault with only the new key reads each encrypted column, and nothing else has changed."""
    old, new = new_key(), new_key()
    async with open_engine(settings_with(tmp_path, database_url, old), "test") as engine:
        await fill(engine.database, engine.vault)
        before = await requests(engine.database)
    async with open_engine(settings_with(tmp_path, database_url, new, old), "test") as engine:
        assert await rotate_key(engine) == len(ENCRYPTED) + 1
        assert await rotate_key(engine) == 0
        for column in ENCRYPTED:
            assert Vault([new]).decrypt(as_bytes(await value_of(engine.database, column))) == f"secret of {column}"
        after = await requests(engine.database)
    addresses = [addresses_of(Vault([new]), request) for request in after]
    assert sorted(addresses) == [("/audience.csv",), (ADDRESS,)]
    hidden = {"sealed_addresses": None}
    assert [each.model_copy(update=hidden) for each in after] == [each.model_copy(update=hidden) for each in before]


async def test_key_in_the_data_directory(tmp_path: Path) -> None:
    """A new key takes the place of the generated one. After an interruption, the same new key is used."""
    settings = settings_with(tmp_path, None)
    path = settings.data_dir / KEY_FILE
    async with open_engine(settings, "test") as engine:
        old = path.read_text()
        await fill(engine.database, engine.vault)
        await rotate_key(engine)
    first = path.read_text()
    assert first != old
    interrupted = new_key()
    path.write_text(f"{interrupted}\n{first}")
    async with open_engine(settings, "test") as engine:
        await rotate_key(engine)
        assert path.read_text() == interrupted
        value = as_bytes(await value_of(engine.database, ENCRYPTED[0]))
    assert open_vault(None, settings.data_dir).decrypt(value) == f"secret of {ENCRYPTED[0]}"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in settings.data_dir.glob(f"{KEY_FILE}*")] == [KEY_FILE]


async def test_another_process_runs(tmp_path: Path) -> None:
    """While another process knows only the former key of the data directory, the key is not replaced."""
    settings = settings_with(tmp_path, None)
    async with open_engine(settings, "test") as engine:
        key = (settings.data_dir / KEY_FILE).read_text()
        async with open_engine(settings, "other"):
            with pytest.raises(ConflictError, match="Another process runs"):
                await rotate_key(engine)
        assert (settings.data_dir / KEY_FILE).read_text() == key
        await rotate_key(engine)


async def test_process_of_a_restored_backup(tmp_path: Path) -> None:
    """A process that a restored backup names, of another machine, does not prevent the change for long."""
    settings = settings_with(tmp_path, None)
    async with open_engine(settings, "test", times=LeaseTimes(0.05, 0.2, 0.1, 0.1)) as engine:
        async with engine.database.write() as db:
            row = dict((await db.execute(select(metadata.tables["workers"]))).mappings().one())
            old = row | {"id": "elsewhere", "host": "another machine", "heartbeat_at": row["heartbeat_at"] - 3600.0}
            await db.execute(insert(metadata.tables["workers"]).values(old))
        assert await rotate_key(engine) == 0


async def test_refusals(tmp_path: Path) -> None:
    """With one key there is nothing to change to; a value of an unknown key is named, and stays."""
    old, new, lost = new_key(), new_key(), new_key()
    async with open_engine(settings_with(tmp_path, None, old), "test") as engine:
        with pytest.raises(SettingsError, match="has one key"):
            await rotate_key(engine)
        await fill(engine.database, Vault([lost]))
    async with open_engine(settings_with(tmp_path, None, new, old), "test") as engine:
        with pytest.raises(SettingsError, match=r"A value of connections\.api_key can't be decrypted"):
            await rotate_key(engine)
        assert Vault([lost]).decrypt(await value_of(engine.database, ENCRYPTED[0])) == f"secret of {ENCRYPTED[0]}"


async def test_more_rows_than_one_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows are changed, however many transactions they need, also in a table with two keys."""
    monkeypatch.setattr(reencryption, "_ROWS", 2)
    old, new = new_key(), new_key()
    async with open_engine(settings_with(tmp_path, None, new, old), "test") as engine:
        mapping = await add_mapping(engine.database)
        inbox = metadata.tables["inbox"]
        async with engine.database.write() as db:
            secret = Vault([old]).encrypt("plan").decode()
            common = filled(inbox, {"mapping_id": mapping.id, "sealed_fields": secret})
            await db.execute(insert(inbox), [common | {"member_key": str(number)} for number in range(7)])
            await db.execute(update(metadata.tables["connections"]).values(api_key=b""))  # deleted
        assert await rotate_key(engine) == 7
