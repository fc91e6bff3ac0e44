"""What `doctor` looks at, one thing after the other."""

import os
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from sqlalchemy import text

from bot.cli.doctor.check_result import Finding
from bot.cli.doctor.slack_checks import slack_findings
from bot.cli.exit_codes import Code
from bot.ui.terminal import Terminal, clean
from core.errors import SettingsError, SyncError
from core.iterable import DataCenter, IterableClient, KeyRefusedError, Unpaced
from core.iterable.probe import Reached, reach
from core.runs.submission import IMPATIENT
from core.settings import Settings, load_settings
from core.store import connections
from core.store.connections import Connection
from core.store.database import Database
from core.store.migrate import migrate
from core.vault import KEY_FILE, Vault, open_vault

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

# A sync of 10 million members takes some 5 GB here.
LOW_ON_SPACE = 1 << 30
# A clock that is this far off, in seconds, confuses logs and secure connections.
CLOCK_OFF_S = 60.0
# The workflow engine uses newer functions of SQLite where Python is newer.
SQLITE_NEEDED = (3, 42) if sys.version_info >= (3, 12) else (3, 38)


@dataclass(slots=True)
class _Known:
    """What one check finds and a later one needs."""

    settings: Settings | None = None
    vault: Vault | None = None
    saved: list[Connection] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)


async def examine(terminal: Terminal) -> Code:
    """Look at everything, and show each finding as it comes."""
    well = True
    async for finding in findings():
        well = well and finding.ok
        mark = ("ok   ", "green") if finding.ok else ("WRONG", "bold red")
        terminal.show(Text.assemble(mark, f"  {finding.what}: ", clean(finding.said)))
    return Code.OK if well else Code.FAILED


async def findings() -> AsyncIterator[Finding]:
    """Yield what is found. What can't be looked at because of something before is left out."""
    known = _Known()
    try:
        known.settings = settings = load_settings()
    except SettingsError as error:
        yield Finding("settings", False, error.message)
        return
    yield Finding("settings", True, "can be read")
    yield _data_dir(settings.data_dir)
    usable = settings.data_dir.is_dir() and os.access(settings.data_dir, os.W_OK | os.X_OK)
    if usable or settings.secret_key:
        yield _secret_key(settings, known)
    if usable or settings.database_url:
        yield await _database(settings, known)
    async for finding in _iterable(settings, known):
        yield finding
    async for finding in slack_findings(settings):
        yield finding


def _data_dir(path: Path) -> Finding:
    what = f"data directory {path}"
    try:
        if path.exists() and not path.is_dir():
            return Finding(what, False, "is a file. Choose a directory with ITERABLE_SYNC_DATA_DIR.")
        path.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path).free
    except OSError as error:
        return Finding(what, False, f"can't be used ({error.strerror}). Choose another with ITERABLE_SYNC_DATA_DIR.")
    if not os.access(path, os.W_OK | os.X_OK):
        return Finding(
            what, False, "can't be written. Make it writable, or choose another with ITERABLE_SYNC_DATA_DIR."
        )
    if free < LOW_ON_SPACE:
        return Finding(what, False, f"only {free / 1e9:.1f} GB are free, and a large audience takes more. Free some.")
    return Finding(what, True, f"can be written, {free / 1e9:.0f} GB are free")


def _secret_key(settings: Settings, known: _Known) -> Finding:
    try:
        known.vault = open_vault(settings.secret_key, settings.data_dir)
    except SettingsError as error:
        return Finding("secret key", False, error.message)
    except (OSError, UnicodeDecodeError):
        return Finding(
            "secret key", False, f"{KEY_FILE} in the data directory can't be read or made. Correct its permissions."
        )
    place = "from ITERABLE_SYNC_SECRET_KEY" if settings.secret_key else f"in {settings.data_dir / KEY_FILE}"
    return Finding("secret key", True, place)


async def _database(settings: Settings, known: _Known) -> Finding:
    try:
        database = Database(settings.resolved_database_url)
    except SettingsError as error:
        return Finding("database", False, error.message)
    try:
        await migrate(database)
        async with database.read() as db:
            known.saved = await connections.everyone(db)
            form = (await db.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()
            server, mode = await _sqlite(db) if database.is_sqlite else await _postgresql(db)
    except SettingsError as error:
        return Finding("database", False, error.message)
    finally:
        await database.close()
    if database.is_sqlite and sqlite3.sqlite_version_info < SQLITE_NEEDED:
        needed = ".".join(map(str, SQLITE_NEEDED))
        return Finding("database", False, f"{server} is too old for this Python: {needed} is needed. Use another one.")
    if database.is_sqlite and mode != "wal":
        return Finding(
            "database", False, f"its journal mode is {mode} and not wal. Is the data directory on a network drive?"
        )
    return Finding("database", True, f"{server}, form {form}" + (f", journal mode {mode}" if mode else ""))


async def _sqlite(db: "AsyncConnection") -> tuple[str, str]:
    version = (await db.execute(text("SELECT sqlite_version()"))).scalar_one()
    return f"SQLite {version}", str((await db.execute(text("PRAGMA journal_mode"))).scalar_one())


async def _postgresql(db: "AsyncConnection") -> tuple[str, str]:
    return f"PostgreSQL {(await db.execute(text('SHOW server_version'))).scalar_one()}", ""


async def _iterable(settings: Settings, known: _Known) -> AsyncIterator[Finding]:
    """Look whether each host in use answers, whether its clock is ours, and whether it accepts each key."""
    saved = [connection for connection in known.saved if connection.api_key is not None]
    centers = sorted({connection.data_center for connection in saved}) or [DataCenter.US.value]
    for url in [settings.iterable_url] if settings.iterable_url else [DataCenter(c).url for c in centers]:
        reached = await reach(url)
        if not isinstance(reached, Reached):
            yield Finding(f"Iterable at {url}", False, f"can't be reached: {reached}. Check the network and the proxy.")
            continue
        known.urls.append(url)
        yield Finding(f"Iterable at {url}", True, "answers")
        yield _clock(reached)
    if settings.iterable_api_key is not None:
        yield await _environment_key(settings, settings.iterable_api_key.get_secret_value())
    for connection in saved:
        yield await _saved_key(settings, known, connection)
    if settings.iterable_api_key is None and not saved:
        yield Finding(
            "API key",
            False,
            "there is none. Set ITERABLE_API_KEY, or save a connection with `iterable-sync connections add NAME`.",
        )


def _clock(reached: Reached) -> Finding:
    off = reached.clock_off
    if off is None:
        return Finding("clock", True, f"{reached.host} doesn't tell the time; nothing to compare with")
    if abs(off) > CLOCK_OFF_S:
        way = "ahead of" if off > 0 else "behind"
        return Finding("clock", False, f"it is {abs(off):,.0f} s {way} Iterable's. Set it, for example with NTP.")
    return Finding("clock", True, "agrees with Iterable's")


async def _environment_key(settings: Settings, key: str) -> Finding:
    """Look where the key of ITERABLE_API_KEY is known: it does not say of which data center it is."""
    urls = [settings.iterable_url] if settings.iterable_url else [center.url for center in DataCenter]
    found = Finding("key in ITERABLE_API_KEY", False, "")
    for url in urls:
        tried = await _tried(found.what, key, url)
        if tried.ok and url == DataCenter.EU.url:
            return Finding(found.what, True, f"{tried.said}. Its data center is the EU: sync with --data-center eu")
        if tried.ok:
            return tried
        found = found if found.said else tried
    return found


async def _saved_key(settings: Settings, known: _Known, connection: Connection) -> Finding:
    what = f"key of connection {connection.label}"
    if known.vault is None or connection.api_key is None:
        return Finding(what, False, "can't be decrypted without the secret key")
    try:
        key = known.vault.decrypt(connection.api_key)
    except SettingsError as error:
        return Finding(what, False, error.message)
    return await _tried(what, key, settings.iterable_url or DataCenter(connection.data_center).url)


async def _tried(what: str, key: str, url: str) -> Finding:
    try:
        async with IterableClient(key, base_url=url, pacer=Unpaced(), patience=IMPATIENT) as client:
            lists = await client.lists()
    except KeyRefusedError as error:
        return Finding(what, False, error.message)
    except SyncError as error:
        return Finding(what, False, f"could not be tried. {error.message}")
    static = sum(each.is_standard for each in lists)
    return Finding(what, True, f"is accepted; static lists in the project: {static:,}")
