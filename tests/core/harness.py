"""The setup for tests of whole runs: the engine, a local Iterable, and short notations for audiences."""

import asyncio
import atexit
import copy
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from core.connections.environment import environment_connection
from core.delivery import call_interval
from core.engine import Engine, open_engine
from core.identity import UserIdField
from core.iterable import DataCenter, IterableClient, NoRateLimit, RetryPolicy
from core.lease import LeaseTimes
from core.models.run import Run, RunRequest, RunStatus, SyncMode
from core.runs import approval, worker
from core.runs.approval import Decision
from core.runs.submission import enqueue, submit
from core.settings import Settings
from core.store import rejections, runs
from core.store.connections import Connection
from core.store.mappings import AudienceMapping
from sandbox.iterable import Running, State, running
from tests.core.databases import furnish

# Whether calls for a person are a minute apart is a matter of tests/core/runs/test_merging.py.
call_interval.APART_S = 0.0

#: Random walks of each kind; campaigns set more.
WALKS = int(os.environ.get("ITERABLE_SYNC_WALKS", "1"))

#: A Standard list of the local Iterable, and another.
LIST, OTHER_LIST = 1001, 1002

#: Gives up a moment after a fault, but waits for an answer as long as the program does.
QUICK = RetryPolicy(
    max_attempts=3,
    backoff_initial_s=0.001,
    backoff_max_s=0.002,
    retry_after=0.01,
    throttle_timeout_s=0.5,
)

#: The mpid of person 0: mParticle has no mpid 0. Only DuckDB reads a file with one, which takes half of a small run.
MPID_OF_0 = 9_000_000_000

#: The delay of requests that the local Iterable holds until a test removes the rule, in seconds.
HELD_S = 600.0


@dataclass(frozen=True)
class Member:
    """A row of an audience: the mpid, and the identities that the profile has."""

    mpid: int
    email: str | None = None
    customer_id: str | None = None


def person(number: int, **changed: Any) -> Member:
    """A member with an email and a customer id that follow from the number."""
    mpid = number or MPID_OF_0
    return Member(**{"mpid": mpid, "email": f"p{number}@example.com", "customer_id": f"c{number}", **changed})


def people(numbers: Iterable[int]) -> list[Member]:
    """Members with these numbers."""
    return [person(number) for number in numbers]


def addresses(numbers: Iterable[int]) -> set[str]:
    """The addresses of people with these numbers."""
    return {f"p{number}@example.com" for number in numbers}


@dataclass
class Outcome:
    """A run in its current state, and its rejections by reason."""

    run: Run
    rejected: dict[str, int]

    @property
    def counts(self) -> dict[str, int]:
        """The run's counters other than zero."""
        return {name: number for name, number in self.run.counters.model_dump().items() if number}


@dataclass
class Sync:
    """An engine with a local Iterable."""

    engine: Engine
    iterable: Running
    directory: Path
    _files: Iterator[int] = field(default_factory=count)

    def mirror_file(self, members: Iterable[Member], audience: str | None = None) -> Path:
        """Write a whole audience with this name as a plain table."""
        rows = [f"{m.mpid},{m.email or ''},{m.customer_id or ''}" for m in members]
        return self._write("mpid,email,customer_id", rows, audience)

    def delta_file(
        self, joined: Iterable[Member] = (), left: Iterable[Member] = (), audience: str | None = None
    ) -> Path:
        """Write additions and removals as a plain table, as BigQuery exports them."""
        rows = [f"{m.mpid},{m.email or ''},{m.customer_id or ''},true" for m in joined]
        rows += [f"{m.mpid},{m.email or ''},{m.customer_id or ''},false" for m in left]
        return self._write("mpid,email,customerid,isadd", rows, audience)

    async def submit(
        self,
        path: Path,
        *,
        list_id: int = LIST,
        audience: str | None = None,
        user_id: UserIdField = UserIdField.CUSTOMER_ID,
        **request: Any,
    ) -> str:
        """Queue a run and return its id."""
        connection = await environment_connection(self.engine, user_id=user_id, data_center=DataCenter.US, rate=0)
        run_request = RunRequest(path=str(path), audience=audience, **request)
        return (await submit(self.engine, connection, list_id, run_request)).run_id

    async def run(self, path: Path, **options: Any) -> Outcome:
        """Sync a file and return the outcome."""
        run_id = await self.submit(path, **options)
        await worker.start(self.engine, run_id)
        return await self.outcome(run_id)

    async def mirror(self, members: Iterable[Member], *, audience: str | None = None, **options: Any) -> Outcome:
        """Make the list equal to these members."""
        return await self.run(self.mirror_file(members, audience), audience=audience, **options)

    async def delta(
        self,
        joined: Iterable[Member] = (),
        left: Iterable[Member] = (),
        *,
        audience: str | None = None,
        **options: Any,
    ) -> Outcome:
        """Add and remove these members."""
        return await self.run(self.delta_file(joined, left, audience), audience=audience, **options)

    async def resume(self, run_id: str) -> Outcome:
        """Resume a run and return the outcome."""
        await worker.resume(self.engine, run_id)
        return await self.outcome(run_id)

    async def approve(self, run_id: str) -> Outcome:
        """Approve the current plan of a run, execute it in this process, and return the outcome."""
        decision = await decide(self.engine, run_id, worker=self.engine.presence.id)
        assert decision is Decision.RECORDED, decision
        await worker.execute_approved(self.engine, run_id)
        return await self.outcome(run_id)

    async def outcome(self, run_id: str) -> Outcome:
        """Read a run in its current state."""
        async with self.engine.database.read() as db:
            run = await runs.by_id(db, run_id)
            assert run is not None
            return Outcome(run, await rejections.by_reason(db, run_id))

    async def latest(self) -> Run:
        """The newest run."""
        async with self.engine.database.read() as db:
            return (await runs.latest(db, 1))[0]

    async def subscribe_by_hand(self, email: str, list_id: int = LIST) -> None:
        """Add a person to a list, as another program might."""
        async with IterableClient(self.iterable.key, base_url=self.iterable.url, limiter=NoRateLimit()) as client:
            await client.subscribe(list_id, [(email, None)])

    def emails(self, list_id: int = LIST) -> set[str]:
        """The addresses (or user ids) on a list in the local Iterable."""
        return {email or user_id or "" for email, user_id in self.iterable.state.members(list_id)}

    def _write(self, header: str, rows: Iterable[str], audience: str | None) -> Path:
        path = self.directory / f"audience{next(self._files)}.csv"
        extra = ("", "") if audience is None else (",audience_name", f",{audience}")
        path.write_text("".join(f"{line}\n" for line in (header + extra[0], *(row + extra[1] for row in rows))))
        return path


async def queue_run(
    engine: Engine,
    connection: Connection,
    mapping: AudienceMapping,
    request: RunRequest,
    *,
    worker: str | None = None,
    **options: Any,
) -> str:
    """Queue a run of a mapping, for one worker or (None) for any, and return its id."""
    async with engine.database.write() as db:
        run_id = await enqueue(db, connection, mapping, request, **options)
        if worker is not None:
            await runs.assign_worker(db, run_id, worker)
    engine.queued.set()
    return run_id


async def decide(engine: Engine, run_id: str, *, approves: bool = True, by: str = "U1", **options: Any) -> Decision:
    """Approve or decline the current plan of a run."""
    async with engine.database.read() as db:
        run = await runs.by_id(db, run_id)
    assert run is not None
    use_case = approval.approve if approves else approval.decline
    arguments: dict[str, Any] = {"by": by, "comment": None, "team_id": None, **options}
    return await use_case(engine, run_id, plan_digest=run.plan_digest, **arguments)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    """Poll until a condition holds that no event signals, because it is in a database or in another process."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Kept:
    """A saved state of SQLite and the local Iterable, from which many tests start."""

    data_dir: Path
    state: State

    def restore(self, directory: Path) -> dict[str, Any]:
        """Copy the data into a directory. Returns the options with which the local Iterable starts as it was."""
        shutil.copytree(self.data_dir, directory / "data")
        return {"state": copy.deepcopy(self.state)}


def kept_directory() -> Path:
    """Create a directory for a saved state. It is removed when the process ends."""
    directory = Path(tempfile.mkdtemp(prefix="iterable-sync-kept-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


async def keep(
    members: Iterable[Member], database_url: str | None = None, *, project_type: str = "email", **options: Any
) -> Kept:
    """Make a list equal to these members, and keep that state until the process ends.

    On PostgreSQL, the database itself is the saved state, and the caller copies it.
    """
    async with syncing(kept_directory(), database_url, project_type=project_type) as sync:
        await sync.mirror(members, **options)
    return Kept(sync.engine.settings.data_dir, sync.iterable.state)


@asynccontextmanager
async def syncing(
    directory: Path,
    database_url: str | None = None,
    retry_policy: RetryPolicy | None = None,
    *,
    times: LeaseTimes | None = None,
    kept: Kept | None = None,
    **iterable: Any,
) -> AsyncIterator[Sync]:
    """Open an engine on a new database, or on a copy of `kept`, with a local Iterable that has no rate limit."""
    if kept is not None:
        iterable |= kept.restore(directory)
    async with running(**{"bulk_per_second": 0, **iterable}) as local:
        settings = Settings(
            ITERABLE_API_KEY=SecretStr(local.key),
            iterable_url=local.url,
            data_dir=directory / "data",
            audience_paths=(str(directory),),
            database_url=SecretStr(database_url) if database_url else None,
            _env_file=None,  # type: ignore[call-arg]
        )
        furnish(settings)
        async with open_engine(settings, "test", retry_policy=retry_policy, times=times) as engine:
            yield Sync(engine, local, directory)


__all__ = [
    "LIST",
    "OTHER_LIST",
    "QUICK",
    "WALKS",
    "Decision",
    "Member",
    "Outcome",
    "RetryPolicy",
    "RunStatus",
    "Sync",
    "SyncMode",
    "addresses",
    "decide",
    "people",
    "person",
    "syncing",
    "until",
]
