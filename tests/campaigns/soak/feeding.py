"""The work of the soak: changing audiences, as files and live."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from core.connections.manage import connect
from core.connections.mapping_lifecycle import propose
from core.engine import Engine
from core.errors import SyncError
from core.identity import UserIdField
from core.iterable import DataCenter
from core.models.run import Run, RunRequest, RunStatus, SyncMode
from core.runs import commands
from core.store import live_mappings, mappings, runs
from core.store.database_errors import is_passing
from core.store.mappings import MappingStatus, RemovalPolicy
from sandbox.iterable.state import DEFAULT_KEY
from sandbox.mparticle import Audience, MParticle, Profile, RefusedError
from tests.campaigns.soak.figures import Figures
from tests.campaigns.soak.serving import Serve

# 1001 and 1002 are Standard lists of the local Iterable; live changes have another list.
SHARED, OTHER = 1001, 1002
PEOPLE = 6_000
# A run of each audience begins no sooner than this many seconds after the one before, so that the data kept for two
# minutes has the same size at the end as at the start, however busy the machine is.
PACE_S = 8.0
# The same for messages of the live audience.
MESSAGES_EVERY_S = 0.5
# How often the database is tried while it is away, in seconds.
TRY_AGAIN_S = 1.0
T = TypeVar("T")


def email_of(member: int) -> str:
    """The address of a member."""
    return f"p{member}@example.com"


async def outlasting(action: Callable[[], Awaitable[T]]) -> T:
    """Repeat an action while PostgreSQL is away, and return its result."""
    while True:
        try:
            return await action()
        except DBAPIError as error:
            if not is_passing(error):
                raise
            await asyncio.sleep(TRY_AGAIN_S)


class Feeder:
    """An audience whose members come and go, and the runs that sync it."""

    def __init__(self, engine: Engine, mapping_id: int, number: int, directory: Path, figures: Figures) -> None:
        """Store the mapping; the number is the random seed."""
        self._engine = engine
        self._mapping_id = mapping_id
        self._random = random.Random(number)
        self._members = {self._random.randrange(PEOPLE) for _ in range(PEOPLE // 2)}
        # Two audiences of the shared list overlap; each has its own random order.
        self._path = directory / f"audience-{number}.csv"
        self._figures = figures

    @property
    def emails(self) -> set[str]:
        """The expected addresses on the list."""
        return {email_of(member) for member in self._members}

    async def feed(self, until: float) -> None:
        """Sync repeatedly, at an even pace."""
        while (began := time.monotonic()) < until:
            joined = {self._random.randrange(PEOPLE) for _ in range(PEOPLE // 20)}
            left = set(self._random.sample(sorted(self._members), len(self._members) // 20)) - joined
            kind = self._random.choice(list(SyncMode))
            self._members |= joined
            if kind is not SyncMode.ADD:
                self._members -= left
            if kind is SyncMode.DELTA:
                self._write(joined, left)
            else:
                self._write(self._members)
            await self.sync(kind)
            await asyncio.sleep(max(0.0, began + PACE_S - time.monotonic()))

    async def sync(self, mode: SyncMode) -> None:
        """Sync the current file, and retry until it succeeds."""
        request = RunRequest(path=str(self._path), mode=mode, approved=True)
        # if the commit succeeded and its answer was lost, the file is synced twice, which changes nothing
        run_id = await outlasting(partial(self._start, request))
        self._figures.runs += 1
        while (run := await outlasting(partial(self._run, run_id))).status is not RunStatus.SUCCEEDED:
            if run.status is RunStatus.FAILED:
                with suppress(SyncError):
                    await outlasting(partial(commands.retry, self._engine, run_id, by="U1", team_id=None))
                    self._figures.retried += 1
            elif run.status in (RunStatus.CANCELLED, RunStatus.NEEDS_APPROVAL, RunStatus.PLANNED):
                self._figures.wrong.append(f"run {run_id} is {run.status}: {run.error}")
                return
            await asyncio.sleep(0.5)

    async def mirror(self) -> None:
        """Sync the whole audience."""
        self._write(self._members)
        await self.sync(SyncMode.MIRROR)

    async def _start(self, request: RunRequest) -> str:
        async with self._engine.database.read() as db:
            mapping = await mappings.by_id(db, self._mapping_id)
        assert mapping is not None
        return await commands.start(self._engine, mapping, request, by="U1", channel=None, team_id=None)

    async def _run(self, run_id: str) -> Run:
        async with self._engine.database.read() as db:
            run = await runs.by_id(db, run_id)
        assert run is not None
        return run

    def _write(self, joined: set[int], left: set[int] | None = None) -> None:
        rows = [f"{member},{email_of(member)},c{member},true" for member in joined]
        rows += [f"{member},{email_of(member)},c{member},false" for member in left or ()]
        if left is None:
            self._path.write_text("mpid,email,customer_id\n" + "".join(f"{r.removesuffix(',true')}\n" for r in rows))
        else:
            self._path.write_text("mpid,email,customerid,isadd\n" + "".join(f"{row}\n" for row in rows))


async def feeders(engine: Engine, directory: Path, figures: Figures) -> list[Feeder]:
    """Three audiences as files, with mappings: two to the shared list, one to the other."""
    connected = await connect(
        engine,
        name="Soak",
        api_key=DEFAULT_KEY,
        data_center=DataCenter.US,
        user_id_field=UserIdField.CUSTOMER_ID,
        requests_per_second=0,
        approvers=("U2",),
    )
    created = []
    for number, list_id in enumerate((SHARED, SHARED, OTHER)):
        mapping = await propose(
            engine,
            connected.connection,
            next(each for each in connected.lists if each.id == list_id),
            audience=f"Audience {number}",
            mode="auto",
            removals=RemovalPolicy.REMOVE,
            channel=None,
            by="U1",
            team_id=None,
        )
        async with engine.database.write() as db:
            await mappings.decide(db, mapping.id, MappingStatus.ACTIVE, by="U2", comment=None)
        created.append(Feeder(engine, mapping.id, number, directory, figures))
    return created


class LiveFeeder:
    """An audience that changes live."""

    def __init__(self, processes: Sequence[Serve], list_id: int, figures: Figures) -> None:
        """Store the processes; each message goes to a random one of those that are not paused."""
        self._processes = processes
        self._audience = Audience(77, "Live", {"listId": str(list_id)})
        self._figures = figures
        self._random = random.Random(77)
        self.members: set[int] = set()

    @property
    def emails(self) -> set[str]:
        """The expected addresses on the list."""
        return {email_of(member) for member in self.members}

    async def feed(self, until: float) -> None:
        """Send changes until it is time to stop; each is repeated until it is answered."""
        account = {"apiKey": DEFAULT_KEY, "userIdField": "customerId"}
        async with MParticle(self._processes[0].url, settings=account, attempts=1) as mparticle:
            await self._send_until_accepted(mparticle, lambda: mparticle.connect(self._audience))
            while time.monotonic() < until:
                factor = 1 if self._figures.messages % 40 else 40  # then a run marks them as done in chunks
                joined = {self._random.randrange(PEOPLE) for _ in range(20 * factor)}
                left = set(self._random.sample(sorted(self.members), min(8 * factor, len(self.members)))) - joined
                changes = [("add", _profile(member)) for member in joined] + [("delete", _profile(m)) for m in left]
                at = time.time_ns() // 1_000_000
                await self._send_until_accepted(mparticle, partial(mparticle.tell, self._audience, changes, at=at))
                self.members = (self.members | joined) - left
                self._figures.messages += 1
                await asyncio.sleep(MESSAGES_EVERY_S)

    async def wait_until_delivered(self, engine: Engine) -> None:
        """Wait until all changes are on the list."""
        async with asyncio.timeout(600):
            while True:
                async with engine.database.read() as db:
                    (mapping,) = await live_mappings.everyone(db)
                    status = await live_mappings.status(db, mapping.id, time.time())
                    if status.backlog == 0 and not await live_mappings.unended(db, mapping.id):
                        return
                await asyncio.sleep(0.5)

    async def _send_until_accepted(self, mparticle: MParticle, send: Callable[[], Awaitable[object]]) -> None:
        while True:
            mparticle.url = self._random.choice([each.url for each in self._processes if not each.is_paused])
            try:
                await send()
            except RefusedError:
                await asyncio.sleep(0.5)
            else:
                return


def _profile(member: int) -> Profile:
    return Profile(mpid=member, email=email_of(member), customer_id=f"c{member}")
