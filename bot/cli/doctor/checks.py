"""The checks of `doctor`, one after the other."""

import os
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from sqlalchemy import text

from bot.cli.doctor import CheckResult
from bot.cli.doctor.mparticle_checks import mparticle_findings
from bot.cli.doctor.network_check import network_finding
from bot.cli.doctor.port_check import port_findings
from bot.cli.doctor.removal_checks import removal_findings
from bot.cli.doctor.run_log_check import run_log_findings
from bot.cli.doctor.slack_checks import slack_findings
from bot.cli.exit_codes import ExitCode
from bot.cli.json_output import CheckList
from bot.cli.remediation import CHOOSE_TYPE
from bot.cli.session import print_json
from bot.slack.mode import SlackMode, mode_of
from bot.ui.terminal import Terminal, clean
from core.connections.project_type import detect, unknown_type
from core.engine import check_sqlite
from core.errors import SettingsError, SyncError
from core.identity import ProjectType
from core.iterable import DataCenter, InvalidApiKeyError, IterableClient, NoRateLimit
from core.iterable.probe import ProbeResult, probe
from core.iterable.retry import INTERACTIVE_RETRY
from core.settings import Settings, load_settings
from core.store import connections, mappings, mparticle_accounts
from core.store.connections import Connection
from core.store.database import Database
from core.store.mappings import AudienceMapping
from core.store.migrate import migrate
from core.store.mparticle_accounts import MParticleAccount
from core.vault import KEY_FILE, Vault, open_vault

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
    if usable or settings.secret_key:
        yield _secret_key(settings, context)
    if usable or settings.database_url:
        yield await _database(settings, context)
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
    try:
        context.vault = open_vault(settings.secret_key, settings.data_dir)
    except SettingsError as error:
        return CheckResult("secret key", False, error.message)
    except (OSError, UnicodeDecodeError):
        return CheckResult(
            "secret key", False, f"{KEY_FILE} in the data directory can't be read or created. Correct its permissions."
        )
    place = "from ITERABLE_SYNC_SECRET_KEY" if settings.secret_key else f"in {settings.data_dir / KEY_FILE}"
    return CheckResult("secret key", True, place)


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
            context.notes = [*await removal_findings(db), *await run_log_findings(db, context.vault)]
            form = (await db.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()
            server, mode = await _sqlite(db) if database.is_sqlite else await _postgresql(db)
    except SettingsError as error:
        return CheckResult("database", False, error.message)
    finally:
        await database.close()
    if database.is_sqlite and mode != "wal":
        return CheckResult(
            "database", False, f"its journal mode is {mode} and not wal. Is the data directory on a network drive?"
        )
    return CheckResult("database", True, f"{server}, form {form}" + (f", journal mode {mode}" if mode else ""))


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
        yield await _environment_key(settings, settings.iterable_api_key.get_secret_value(), of_environment)
    for connection in saved:
        yield await _saved_key(settings, context, connection)
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


async def _environment_key(settings: Settings, key: str, saved: Mapping[DataCenter, Connection]) -> CheckResult:
    """Try the key of ITERABLE_API_KEY in both data centers: the key does not say which one is right."""
    centers = (
        [(DataCenter.US, settings.iterable_url)] if settings.iterable_url else [(each, each.url) for each in DataCenter]
    )
    result = CheckResult("key in ITERABLE_API_KEY", False, "")
    for center, url in centers:
        tried = await _tried(result.what, key, url, saved.get(center))
        if tried.ok and url == DataCenter.EU.url:
            return CheckResult(
                result.what, True, f"{tried.text}. Its data center is the EU: sync with --data-center eu"
            )
        if tried.ok:
            return tried
        result = result if result.text else tried
    return result


async def _saved_key(settings: Settings, context: _CheckContext, connection: Connection) -> CheckResult:
    subject = f"key of connection {connection.label}"
    if context.vault is None or connection.api_key is None:
        return CheckResult(subject, False, "can't be decrypted without the secret key")
    try:
        key = context.vault.decrypt(connection.api_key)
    except SettingsError as error:
        return CheckResult(subject, False, error.message)
    return await _tried(subject, key, settings.iterable_url or connection.data_center.url, connection)


async def _tried(subject: str, key: str, url: str, saved: Connection | None) -> CheckResult:
    """Try a key, and compare the type of its project with that of the connection, if it is saved."""
    center = saved.data_center if saved else DataCenter.EU if url == DataCenter.EU.url else DataCenter.US
    try:
        async with IterableClient(key, base_url=url, limiter=NoRateLimit(), retry_policy=INTERACTIVE_RETRY) as client:
            lists = await client.lists()
            project_type = await detect(client, center)
    except InvalidApiKeyError as error:
        return CheckResult(subject, False, error.message)
    except SyncError as error:
        return CheckResult(subject, False, f"could not be tried. {error.message}")
    static = sum(each.is_standard for each in lists)
    is_right, of_type = _compared(project_type, saved)
    return CheckResult(subject, is_right, f"is accepted; static lists in it: {static:,}; {of_type}")


def _compared(project_type: ProjectType | None, saved: Connection | None) -> tuple[bool, str]:
    """Return whether the type of a project is the one that is saved, as far as known, and what to say about it."""
    if project_type is None and saved is not None and saved.project_type is None:
        return (
            saved.data_center is not DataCenter.EU,
            f"the project's type is not known. {unknown_type(saved)}{CHOOSE_TYPE}",
        )
    if project_type is None:
        known = f", and counts as {saved.project_type.label}" if saved and saved.project_type else ""
        return True, f"the project's type is not known{known}"
    if saved is None or saved.project_type in (None, project_type):
        return True, f"the project is {project_type.label}"
    assert saved.project_type is not None
    return False, (
        f"the project is {project_type.label}, and counts as {saved.project_type.label}. Correct it with "
        f'`iterable-sync connections project-type "{saved.label}" {project_type}`, or *Edit* in Slack. The next sync '
        "of each list then needs approval"
    )
