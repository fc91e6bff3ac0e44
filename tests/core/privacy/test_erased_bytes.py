"""Erasure in files: no byte of the data directory contains an erased address, even while the program runs."""

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from core.live.maintenance import run_maintenance
from core.privacy import retention
from core.store import database
from tests.core.harness import people, syncing
from tests.firehosing import VIPS, Live, firehosing, person


class _KeepingConnection(sqlite3.Connection):
    """A connection of a SQLite without SQLITE_SECURE_DELETE: deleted rows stay in the file."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.execute("PRAGMA secure_delete=OFF")


@pytest.fixture
def keeping_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a SQLite as many systems build it."""
    connect = sqlite3.connect

    def keeping(*args: Any, factory: type[sqlite3.Connection] = sqlite3.Connection, **options: Any) -> Any:
        kind = type("Connection", (factory, _KeepingConnection), {}) if factory is not sqlite3.Connection else None
        return connect(*args, factory=kind or _KeepingConnection, **options)

    monkeypatch.setattr(sqlite3, "connect", keeping)
    monkeypatch.setattr(sqlite3.dbapi2, "connect", keeping)


def files_with(folder: Path, address: str) -> list[str]:
    """The files of a directory that contain an address, in any case, as UTF-8 or UTF-16."""
    needles = [address.lower().encode(encoding) for encoding in ("utf-8", "utf-16-le")]
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(path.name for path in paths if any(needle in path.read_bytes().lower() for needle in needles))


async def change_people(service: Live) -> None:
    """Add people, remove one and send rejected ones, so that every table has contained addresses."""
    await service.mparticle.add(VIPS, *map(person, range(300)))
    await service.settled()
    await service.mparticle.delete(VIPS, person(41))
    await service.mparticle.add(VIPS, person(42, email="P42@Example.com "), person(43, email="not@an@address"))
    await service.settled()


@pytest.mark.usefixtures("keeping_sqlite")
async def test_erased_address_is_in_no_file(tmp_path: Path) -> None:
    """After an erasure, while the program still runs, no file of the data directory contains the address."""
    async with firehosing(tmp_path, firehose_approval="none") as service:
        await change_people(service)
        folder = service.engine.settings.data_dir
        assert files_with(folder, "p42@example.com")
        for number in (41, 42):
            await service.mparticle.erase(email=f"p{number}@example.com")
        await run_maintenance(service.engine)
        assert files_with(folder, "p41@example.com") == []
        assert files_with(folder, "p42@example.com") == []
        assert files_with(folder, "p44@example.com") != []


@pytest.mark.usefixtures("keeping_sqlite")
async def test_erasure_waits_for_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An erasure during a long read waits, and ends once the write-ahead log can be emptied."""
    monkeypatch.setattr(database, "CLEAR_LOG_WITHIN_MS", 20)
    async with firehosing(tmp_path, worker=False, firehose_approval="none") as service:
        await service.mparticle.add(VIPS, person(1), person(2))
        async with service.engine.database.read() as db:
            await db.execute(text("SELECT count(*) FROM inbox"))
            await service.mparticle.erase(email="p1@example.com")
            assert files_with(service.engine.settings.data_dir, "p1@example.com")
        await run_maintenance(service.engine)
        assert files_with(service.engine.settings.data_dir, "p1@example.com") == []
        async with service.engine.database.read() as db:
            assert (await db.execute(text("SELECT count(*) FROM erasures"))).scalar_one() == 0


@pytest.mark.usefixtures("keeping_sqlite")
async def test_retention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expired data is in no file after it was deleted."""
    async with syncing(tmp_path) as sync:
        await sync.mirror(people(range(50)))
        await sync.mirror(people(range(1, 50)), approved=True)
        folder = sync.engine.settings.data_dir
        assert files_with(folder, "p0@example.com")
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + sync.engine.settings.changes_retention_s + 1)
        await retention.purge_expired(sync.engine)
        await sync.engine.database.clear_log()
        assert files_with(folder, "p0@example.com") == []
        assert files_with(folder, "p1@example.com") != []
