"""The engine: everything that a process needs to execute runs, opened and closed in one place."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from core.delivery.ending_runs import EndingRuns
from core.delivery.shared_rate_limiter import SharedRateLimiters
from core.errors import NoApiKeyError, SecretKeyMissingError, SettingsError
from core.iterable import RequestStats, RetryPolicy
from core.iterable.clock import Clock, SystemClock
from core.lease import LeaseTimes
from core.mparticle.tokens import TokenCache
from core.planning_slots import PlanningSlots
from core.settings import Settings
from core.store import clock, unreadable_secrets
from core.store.connections import DELETED_KEY, Connection
from core.store.database import Database
from core.store.migrate import migrate
from core.vault import KEY_FILE, SETTING, Vault, open_vault
from core.worker_registry import WorkerRegistration

if TYPE_CHECKING:  # slow to import, and most commands send nothing and read no audience
    from aiohttp import BaseConnector

    from core.iterable import IterableClient
    from core.mparticle.models import KnownAudiences
    from core.sources.fetch import Fetcher


# How often a process announces its commits at most, in seconds.
ANNOUNCED_EVERY_S = 1.0

#: Takes a workspace's id and names, and returns their ids (bot/slack/people_finder.py).
PeopleFinder = Callable[[str | None, Sequence[str]], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class KnownFields:
    """The types of the data fields of an Iterable project, by name.

    `at` is when they were fetched (seconds of a monotonic clock), `project` the project's name in the database.
    """

    project: str
    types: dict[str, str]
    at: float


class Engine:
    """The settings, database, vault and worker registration of this process.

    `stopping` is set when the process is asked to end: runs stop at the next batch and can be resumed. `retry_policy`
    says how long runs retry while Iterable fails.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        vault: Vault,
        presence: WorkerRegistration,
        retry_policy: RetryPolicy,
    ) -> None:
        """Take the opened parts. Use `open_engine`."""
        self.settings = settings
        self.database = database
        self.vault = vault
        self.presence = presence
        self.retry_policy = retry_policy
        #: Whether another process resumes the runs that this one leaves when it stops.
        self.hands_over = False
        self.stopping = asyncio.Event()
        #: Set when this process queues a run or has room for one, so that its worker does not wait for the next poll.
        self.queued = asyncio.Event()
        #: Set when this process makes a schedule, a source or a retry due.
        self.due = asyncio.Event()
        #: Set when this process stores live changes, or a decision about them.
        self.live_work = asyncio.Event()
        self.planning_slots = PlanningSlots()
        self.ending_runs = EndingRuns(self.queued)
        #: The lists (connection id, list id) that runs of this process hold or are locking, and those that could not be
        #: released yet.
        self.held: set[tuple[int, int]] = set()
        self.not_given_back: set[tuple[int, int]] = set()
        #: How audiences that are not local files are fetched, by URL scheme.
        self.fetchers: dict[str, Fetcher] = {}
        #: Finds people (email addresses) and user groups (@handles) in Slack; None: it is not configured.
        self.people_finder: PeopleFinder | None = None
        self._rate_limiters = SharedRateLimiters(database)
        #: The connections to Iterable, which all clients of the process share.
        self._connector: BaseConnector | None = None
        #: The clock of all waits for Iterable.
        self.clock: Clock = SystemClock()
        #: The fetches of who is forgotten in Iterable that are in progress, by connection id.
        self.forgotten_fetches: dict[int, asyncio.Task[None]] = {}
        #: The tokens of mParticle's platform API, and the audiences by connection id, as fetched last by this process.
        self.mparticle_tokens = TokenCache()
        self.mparticle_audiences: dict[int, KnownAudiences] = {}
        #: When this process read the campaigns of each connection last (seconds of a monotonic clock), by its id.
        self.campaigns_read: dict[int, float] = {}
        #: The types of data fields, by connection id, as fetched last by this process.
        self.field_types: dict[int, KnownFields] = {}

    async def rest(self, seconds: float, idle_s: float, seen: int, *events: asyncio.Event) -> None:
        """Wait until one of these events is set, or the engine is stopping, for so many seconds at most.

        While no process commits anything, wait for up to `idle_s` seconds. `seen` is how many commits were noted
        (`database.activity.count`) before the caller looked for work.
        """
        wakers = (self.stopping, *events)
        rested = 0.0
        while rested < idle_s:
            await wait_for_any(min(seconds, idle_s - rested), *wakers)
            rested += seconds
            if any(event.is_set() for event in wakers):
                return
            if not self.database.is_quiet or self.database.activity.count != seen:
                return

    async def time(self) -> float:
        """Return the time by the database's clock (UTC seconds), for what is not read together with rows."""
        async with self.database.read() as db:
            return await clock.now(db)

    async def close(self) -> None:
        """Cancel the fetches of who is forgotten, and close the connections to Iterable."""
        fetches = list(self.forgotten_fetches.values())
        for fetch in fetches:
            fetch.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)
        if self._connector is not None:
            await self._connector.close()

    def api_key(self, connection: Connection) -> str:
        """Return the API key of a connection. Raises SettingsError if there is none or it can't be decrypted."""
        if connection.api_key == DELETED_KEY:
            raise NoApiKeyError(
                f"The API key of {connection.label} was deleted when its workspace removed the app. An admin of the "
                "workspace enters one with Replace key on the Home page."
            )
        if connection.api_key is not None:
            return self.vault.decrypt(connection.api_key)
        if self.settings.iterable_api_key is None:
            raise NoApiKeyError(
                "ITERABLE_API_KEY is not set. Set it to a server-side API key of the Iterable project, or save a "
                "connection, which has its own."
            )
        return self.settings.iterable_api_key.get_secret_value()

    def client(
        self, connection: Connection, *, rate: float | None = None, retry_policy: RetryPolicy | None = None
    ) -> "IterableClient":
        """Return a client for a connection. The caller opens it with `async with`.

        `rate` (requests per second) and `retry_policy` replace the connection's rate and the engine's policy. Raises
        SettingsError if there is no API key or it can't be decrypted.
        """
        from core.iterable.client import IterableClient
        from core.iterable.transport import connection_pool

        if self._connector is None:
            self._connector = connection_pool()
        url = self.settings.iterable_url or connection.data_center.url
        shared = self._rate_limiters.of(
            connection.rate_limit_key, connection.requests_per_second if rate is None else rate
        )
        policy = retry_policy or self.retry_policy
        timeout_limit = self.presence.times.request_timeout_s  # a takeover relies on this limit
        return IterableClient(
            self.api_key(connection),
            base_url=url,
            limiter=shared.for_client(),
            connector=self._connector,
            traffic=RequestStats(),
            clock=self.clock,
            retry_policy=replace(policy, request_timeout_s=min(policy.request_timeout_s, timeout_limit)),
            fence=self.presence.lease,
        )


async def wait_for_any(seconds: float, *events: asyncio.Event) -> None:
    """Wait until one of these events is set, for so many seconds at most."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


#: The oldest SQLite that works: JSON operators need 3.38.
SQLITE_MINIMUM = (3, 38)


def check_sqlite(settings: Settings) -> None:
    """Raise SettingsError if the database is SQLite and Python's SQLite is too old."""
    if settings.database_url is None and sqlite3.sqlite_version_info < SQLITE_MINIMUM:
        needed = ".".join(map(str, SQLITE_MINIMUM))
        raise SettingsError(
            f"This Python has SQLite {sqlite3.sqlite_version}; {needed} or newer is needed. Use a Python with a "
            "newer SQLite (or Python 3.11), or set ITERABLE_SYNC_DATABASE_URL to a PostgreSQL database."
        )


@asynccontextmanager
async def open_engine(
    settings: Settings,
    worker_name: str,
    *,
    retry_policy: RetryPolicy | None = None,
    times: LeaseTimes | None = None,
    replaces_lost_key: bool = False,
) -> AsyncIterator[Engine]:
    """Open the engine for the length of the block: migrate the database and register this process.

    A secret key is generated at the first start. If it is gone later, that is an error, except with
    `replaces_lost_key`: then a new one is generated.

    Raises SettingsError if the data directory, the database or the secret key can't be used, and LeaseLostError at
    the end of the block if other processes declared this one dead: then `stopping` was set.
    """
    check_sqlite(settings)
    key_is_missing = settings.secret_key is None and not (settings.data_dir / KEY_FILE).exists()
    database = _database_of(settings)
    try:
        await migrate(database)
        if key_is_missing and not replaces_lost_key:
            await check_key_not_lost(database)
        vault = _vault_of(settings)
        presence = WorkerRegistration(database, settings.data_dir.absolute(), worker_name, times)
        async with presence.register():
            engine = Engine(settings, database, vault, presence, retry_policy or RetryPolicy())
            presence.on_lost = engine.stopping.set
            try:
                async with _announcing(database):
                    yield engine
            finally:
                await engine.close()
    finally:
        await database.close()


@asynccontextmanager
async def _announcing(database: Database) -> AsyncIterator[None]:
    """Tell other processes what this one commits, for the length of the block (core/store/activity.py)."""
    if database.is_sqlite:
        yield
        return
    task = asyncio.create_task(_announce_all(database), name="announcements")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if database.activity.own.is_set():
            await _announce(database)


async def _announce_all(database: Database) -> None:
    while True:
        await database.activity.own.wait()
        await _announce(database)
        await asyncio.sleep(ANNOUNCED_EVERY_S)


async def _announce(database: Database) -> None:
    with contextlib.suppress(SQLAlchemyError, OSError):  # others find it with their next look
        await database.announce()


async def check_key_not_lost(database: Database) -> None:
    """Raise SecretKeyMissingError if a database has secrets. Call this if the generated secret key is missing."""
    async with database.read() as db:
        if await unreadable_secrets.any_stored(db):
            raise SecretKeyMissingError(
                f"{KEY_FILE} is missing in the data directory, and the database has secrets that need it. Put it back, "
                f"for example from a backup. If the key was in {SETTING}, set that again."
            )


def _database_of(settings: Settings) -> Database:
    """Create the data directory and return the database. Raises SettingsError if that is not possible."""
    with _usable_data_dir(settings):
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Database(settings.resolved_database_url)


def _vault_of(settings: Settings) -> Vault:
    with _usable_data_dir(settings):
        return open_vault(settings.secret_key, settings.data_dir, settings.variable_of(SETTING))


@contextmanager
def _usable_data_dir(settings: Settings) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise SettingsError(
            f"{settings.data_dir} is a file. Set ITERABLE_SYNC_DATA_DIR to a directory, or to a name that is free."
        ) from error
    except OSError as error:
        raise SettingsError(
            f"The data directory {settings.data_dir} can't be used ({error.strerror}). Make it writable, or set "
            "ITERABLE_SYNC_DATA_DIR to one that is."
        ) from error
