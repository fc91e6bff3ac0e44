"""The checks of `doctor`, one after the other."""

import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from sqlalchemy import text

from bot.cli.doctor import CheckResult
from bot.cli.doctor.extra_checks import extra_findings
from bot.cli.doctor.key_checks import environment_key, saved_key
from bot.cli.doctor.mparticle_checks import mparticle_findings
from bot.cli.doctor.network_check import network_finding
from bot.cli.doctor.port_check import port_findings
from bot.cli.doctor.removal_checks import removal_findings
from bot.cli.doctor.run_log_check import run_log_findings
from bot.cli.doctor.slack_checks import slack_findings
from bot.cli.exit_codes import ExitCode
from bot.cli.json_output import CheckList
from bot.cli.remediation import remediation
from bot.cli.session import print_json
from bot.slack.mode import SlackMode, mode_of
from bot.ui.terminal import Terminal, clean
from core.engine import check_key_not_lost, check_sqlite
from core.errors import SecretKeyMissingError, SettingsError
from core.iterable import DataCenter
from core.iterable.probe import ProbeResult, probe
from core.settings import Settings, load_settings
from core.store import connections, mappings, mparticle_accounts
from core.store.connections import Connection
from core.store.database import Database
from core.store.mappings import AudienceMapping
from core.store.migrate import migrate
from core.store.mparticle_accounts import MParticleAccount
from core.vault import KEY_FILE, SETTING, Vault, open_vault

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

# A sync of 10 million members needs some 5 GB in the data directory.
LOW_ON_SPACE = 1 << 30
# A clock that is off by this many seconds confuses logs and TLS.
CLOCK_OFF_S = 60.0


@dataclass(slots=True)
class _CheckContext:
    """Results of a check that later ones need."""

    settings: Settings | None = None
    vault: Vault | None = None
    saved: list[Connection] = field(default_factory=list)
    accounts: dict[int, MParticleAccount] = field(default_factory=dict)
    mapped: list[AudienceMapping] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    notes: list[CheckResult] = field(default_factory=list)
    #: Whether the database answers, and what to do about a secret key that is lost.
    has_database: bool = False
    lost_key: str | None = None


async def run_checks(terminal: Terminal, report: CheckList | None) -> ExitCode:
    """Run all checks, and print each result as it comes. With `report` (--json), print all of them at the end."""
    results = []
    async for finding in findings():
        mark = _mark(finding)
        results.append(finding)
        terminal.show(Text.assemble(mark, f"  {finding.what}: ", clean(finding.text)))
    well = all(result.ok for result in results)
    if report is not None:
        report.ok, report.checks = well, [asdict(result) for result in results]
        print_json(report)
    return ExitCode.OK if well else ExitCode.FAILED


def _mark(finding: CheckResult) -> tuple[str, str]:
    if finding.is_note:
        return "note ", "yellow"
    return ("ok   ", "green") if finding.ok else ("WRONG", "bold red")


async def findings() -> AsyncIterator[CheckResult]:
    """Yield the results. A check is left out if one that it depends on failed."""
    context = _CheckContext()
    try:
        context.settings = settings = load_settings()
    except SettingsError as error:
        yield CheckResult("settings", False, error.message)
        return
    yield CheckResult("settings", True, "can be read")
    if settings.firehose_token is not None:
        yield _firehose_token(settings)
    yield _data_dir(settings.data_dir)
    usable = settings.data_dir.is_dir() and os.access(settings.data_dir, os.W_OK | os.X_OK)
    if usable or settings.database_url:
        yield await _database(settings, context)
    if usable or settings.secret_key:
        yield _secret_key(settings, context)
        context.notes += await _run_log(settings, context)
    for finding in context.notes:
        yield finding
    yield network_finding()
    for finding in await port_findings(settings, is_served=_is_served(settings)):
        yield finding
    async for finding in _iterable(settings, context):
        yield finding
    async for finding in mparticle_findings(settings, context.vault, context.saved, context.accounts, context.mapped):
        yield finding
    async for finding in slack_findings(settings):
        yield finding
    async for finding in extra_findings(settings):
        yield finding


def _is_served(settings: Settings) -> bool:
    """Return whether the settings are those of `serve`: then people save connections in Slack, or mParticle sends."""
    try:
        has_slack = mode_of(settings) is not SlackMode.OFFLINE
    except SettingsError:  # reported by the check of Slack
        has_slack = True
    return has_slack or settings.firehose_token is not None


def _firehose_token(settings: Settings) -> CheckResult:
    try:
        settings.check_firehose_token()
    except SettingsError as error:
        return CheckResult("Firehose token", False, error.message)
    return CheckResult("Firehose token", True, "is long enough")


def _data_dir(path: Path) -> CheckResult:
    subject = f"data directory {path}"
    try:
        if path.exists() and not path.is_dir():
            return CheckResult(subject, False, "is a file. Choose a directory with ITERABLE_SYNC_DATA_DIR.")
        path.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path).free
    except OSError as error:
        return CheckResult(
            subject, False, f"can't be used ({error.strerror}). Choose another with ITERABLE_SYNC_DATA_DIR."
        )
    if not os.access(path, os.W_OK | os.X_OK):
        return CheckResult(
            subject, False, "can't be written. Make it writable, or choose another with ITERABLE_SYNC_DATA_DIR."
        )
    if free < LOW_ON_SPACE:
        return CheckResult(
            subject, False, f"only {free / 1e9:.1f} GB are free, and a large audience takes more. Free some."
        )
    return CheckResult(subject, True, f"can be written, {free / 1e9:.0f} GB are free")


def _secret_key(settings: Settings, context: _CheckContext) -> CheckResult:
    if context.lost_key is not None:
        return CheckResult("secret key", False, context.lost_key)
    place = settings.variable_of(SETTING)
    if settings.secret_key is None and not context.has_database and not (settings.data_dir / KEY_FILE).exists():
        return CheckResult("secret key", True, f"{KEY_FILE} will be made at the first start")
    try:
        context.vault = open_vault(settings.secret_key, settings.data_dir, place)
    except SettingsError as error:
        return CheckResult("secret key", False, error.message)
    except (OSError, UnicodeDecodeError):
        return CheckResult(
            "secret key", False, f"{KEY_FILE} in the data directory can't be read or created. Correct its permissions."
        )
    text = f"from {place}" if settings.secret_key else f"in {settings.data_dir / KEY_FILE}"
    return CheckResult("secret key", True, text)


async def _database(settings: Settings, context: _CheckContext) -> CheckResult:
    try:
        check_sqlite(settings)
        database = Database(settings.resolved_database_url)
    except SettingsError as error:
        return CheckResult("database", False, error.message)
    try:
        await migrate(database)
        async with database.read() as db:
            context.saved = await connections.everyone(db)
            context.accounts = await mparticle_accounts.of_connections(db, [each.id for each in context.saved])
            of_all = [await mappings.of_connection(db, each.id) for each in context.saved]
            context.mapped = [mapping for of_one in of_all for mapping in of_one]
            context.notes = await removal_findings(db)
            form = (await db.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()
            server, mode = await _sqlite(db) if database.is_sqlite else await _postgresql(db)
        context.has_database = True
        if settings.secret_key is None and not (settings.data_dir / KEY_FILE).exists():
            await _check_key(database, context)
    except SettingsError as error:
        return CheckResult("database", False, error.message)
    finally:
        await database.close()
    if database.is_sqlite and mode != "wal":
        return CheckResult(
            "database", False, f"its journal mode is {mode} and not wal. Is the data directory on a network drive?"
        )
    return CheckResult("database", True, f"{server}, form {form}" + (f", journal mode {mode}" if mode else ""))


async def _check_key(database: Database, context: _CheckContext) -> None:
    try:
        await check_key_not_lost(database)
    except SecretKeyMissingError as error:
        context.lost_key = f"{error.message}{remediation(error.code)}"


async def _run_log(settings: Settings, context: _CheckContext) -> list[CheckResult]:
    """Return the result of the run log's check, which needs the database and the secret key."""
    if not context.has_database or context.vault is None:
        return []
    database = Database(settings.resolved_database_url)
    try:
        async with database.read() as db:
            return await run_log_findings(db, context.vault)
    finally:
        await database.close()


async def _sqlite(db: "AsyncConnection") -> tuple[str, str]:
    version = (await db.execute(text("SELECT sqlite_version()"))).scalar_one()
    return f"SQLite {version}", str((await db.execute(text("PRAGMA journal_mode"))).scalar_one())


async def _postgresql(db: "AsyncConnection") -> tuple[str, str]:
    return f"PostgreSQL {(await db.execute(text('SHOW server_version'))).scalar_one()}", ""


async def _iterable(settings: Settings, context: _CheckContext) -> AsyncIterator[CheckResult]:
    """Check for each host in use whether it answers and agrees on the time, and whether it accepts each key."""
    saved = [connection for connection in context.saved if connection.api_key is not None]
    centers = sorted({connection.data_center for connection in saved}) or [DataCenter.US]
    for url in [settings.iterable_url] if settings.iterable_url else [center.url for center in centers]:
        reached = await probe(url)
        if not isinstance(reached, ProbeResult):
            yield CheckResult(
                f"Iterable at {url}", False, f"can't be reached: {reached}. Check the network and the proxy."
            )
            continue
        context.urls.append(url)
        yield CheckResult(f"Iterable at {url}", True, "answers")
        yield _clock(reached)
    if settings.iterable_api_key is not None:
        of_environment = {each.data_center: each for each in context.saved if each.api_key is None}
        yield await environment_key(settings, settings.iterable_api_key.get_secret_value(), of_environment)
    for connection in saved:
        yield await saved_key(settings, context.vault, connection)
    if settings.iterable_api_key is None and not saved and _is_served(settings):
        yield CheckResult("API key", True, "none is saved yet; people save one in Slack, or mParticle sends it")
    elif settings.iterable_api_key is None and not saved:
        yield CheckResult(
            "API key",
            False,
            "is not set. Set ITERABLE_API_KEY, or save a connection with `iterable-sync connections add NAME`.",
        )


def _clock(reached: ProbeResult) -> CheckResult:
    off = reached.clock_off
    if off is None:
        return CheckResult("clock", True, f"{reached.host} doesn't tell the time; nothing to compare with")
    if abs(off) > CLOCK_OFF_S:
        way = "ahead of" if off > 0 else "behind"
        return CheckResult("clock", False, f"it is {abs(off):,.0f} s {way} Iterable's. Set it, for example with NTP.")
    return CheckResult("clock", True, "agrees with Iterable's")
