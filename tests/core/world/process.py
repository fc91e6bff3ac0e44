"""The engine with a local Iterable behind it. It dies, and starts again with what it left on disk."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import event

from core.connections import manage
from core.engine import Engine, open_engine
from core.firehose.ingest import FirehoseIngest
from core.firehose.schema import Request as Message
from core.identity import UserIdField
from core.iterable import DataCenter, IterableClient, NoRateLimit
from core.models.run import Run
from core.runs import rejected_members, workflows
from core.settings import FirehoseApproval, Settings
from core.store import connections, mappings, runs
from core.store.connections import Connection
from core.store.mappings import AudienceMapping as Mapped
from sandbox.iterable import Fault, Running, running
from tests.core.harness import LIST, OTHER_LIST
from tests.core.world.faults import HASTY, Crash, Trip, Trouble
from tests.core.world.people import PEOPLE, STRANGER, Person
from tests.core.world.sources import Sources
from tests.core.world.storage import Storage
from tests.core.world.truth import Truth

#: What somebody does while a run is at work: told the world, the run, and a number by which to choose.
Meddler = Callable[["World", str, int], Coroutine[Any, Any, Any]]


class World:
    """The truth, and the engine that has to keep to it.

    `queued`: runs are begun by whoever works on the queue, as workflows; otherwise by this process itself. `meddlers`:
    what somebody may do while a run is at work, by the name of the trouble.
    """

    def __init__(
        self,
        directory: Path,
        storage: Storage,
        setting: UserIdField,
        meddlers: Mapping[str, Meddler],
        *,
        queued: bool = False,
    ) -> None:
        """Take what it stands on. Nothing is opened yet."""
        self.truth = Truth(setting)
        self.queued = queued
        self.sources = Sources(directory)
        #: Messages of mParticle, to be sent again.
        self.sent: list[Message] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        self._directory, self._storage, self._meddlers = directory, storage, meddlers
        self._keys = 0
        self._died = False
        self._outer, self._inner = AsyncExitStack(), AsyncExitStack()

    async def open(self) -> None:
        """Open everything, connect the project, and put a stranger on both lists."""
        self.iterable: Running = await self._outer.enter_async_context(running(bulk_per_second=0))
        self.key = self.iterable.key
        await self._start()
        options: dict[str, Any] = {
            "data_center": DataCenter.US,
            "user_id_field": self.truth.setting,
            "requests_per_second": 0,
        }
        connected = await manage.connect(self.engine, name="shop", api_key=self.key, **options)
        self.connection_id = connected.connection.id
        for number in PEOPLE:
            customer_id = f"c{number}" if number % 4 else None
            self.truth.people[number] = Person(number, f"own0-{number}@example.com", customer_id)
        async with IterableClient(self.key, base_url=self.iterable.url, limiter=NoRateLimit()) as client:
            for list_id in (LIST, OTHER_LIST):
                await client.subscribe(list_id, [(STRANGER, None)])

    async def close(self) -> None:
        """Close everything."""
        self.engine.stopping.set()
        await self._inner.aclose()
        await self._outer.aclose()
        self._storage.close()

    async def _start(self) -> None:
        """Open the engine, as a process does when it starts."""
        self._inner = AsyncExitStack()
        self.engine = await self._inner.enter_async_context(self.another())
        if self.queued:
            await self._inner.enter_async_context(workflows.durable(self.engine))
        self.intake = FirehoseIngest(self.engine)

    @asynccontextmanager
    async def another(self) -> AsyncIterator[Engine]:
        """A process on the same database, with what the bot has to fetch audiences."""
        made = Settings(
            iterable_url=self.iterable.url,
            data_dir=self._directory / "data",
            database_url=SecretStr(self._storage.url),
            audience_paths=("/",),
            firehose_token=SecretStr("token"),
            firehose_approval=FirehoseApproval.NONE,
            _env_file=None,  # type: ignore[call-arg]
        )
        async with open_engine(made, "test", retry_policy=HASTY) as engine:
            engine.fetchers[rejected_members.REJECTED_SCHEME] = lambda address, folder: rejected_members.write_rejected(
                engine, address, folder
            )
            yield engine

    def die(self) -> None:
        """Leave the database as it is on disk at this moment."""
        if self._died:
            return
        self._died = True
        self._storage.keep()
        self.engine.stopping.set()
        self.iterable.faults.set([Fault("reset")])

    async def _start_again(self) -> None:
        """Go on with what a process left that died."""
        await self._inner.aclose()
        self._storage.put_back()
        self._died = False
        await self._start()

    # what goes wrong

    async def disturbed(self, work: Awaitable[Any], trouble: Trouble, run_id: str) -> None:
        """Do work on a run while things go wrong; where the process dies of it, another one starts."""
        self._disturb(trouble, run_id)
        at_commit = self._commits(trouble.nth) if trouble.what == "crash at commit" else None
        engine = self.engine.database.engine.sync_engine
        if at_commit is not None:
            event.listen(engine, "commit", at_commit)
        try:
            await work
        except Exception:
            if not self._died:  # whatever happens to the dead
                raise
        finally:
            if at_commit is not None:
                event.remove(engine, "commit", at_commit)
            await asyncio.gather(*self.tasks)
            self.iterable.faults.clear()
            self.engine.stopping.clear()
        if self._died:
            await self._start_again()

    def _disturb(self, trouble: Trouble, run_id: str) -> None:
        """Let things go wrong from now on."""
        faults = trouble.faults
        if trouble.what in ("crash", "crash applied"):
            faults = [Crash(self.die, trouble.nth, trouble.what == "crash applied")]
        elif trouble.what == "stop":
            faults.insert(0, Trip(self.engine.stopping.set, trouble.nth))
        elif trouble.what in self._meddlers:
            meddler = self._meddlers[trouble.what]
            faults.insert(0, Trip(lambda: self._begin(meddler(self, run_id, trouble.seed)), trouble.nth))
        self.iterable.faults.set(faults, seed=trouble.seed)

    def _begin(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _commits(self, nth: int) -> Callable[[Any], None]:
        """What dies before the nth transaction is on disk."""
        left = nth

        def about_to(_connection: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self.die()

        return about_to

    # what is there

    async def connection(self) -> Connection:
        """The connection as it is now."""
        async with self.engine.database.read() as db:
            found = await connections.by_id(db, self.connection_id)
        assert found is not None
        return found

    async def mapping(self, name: str) -> Mapped | None:
        """A mapping as it is now."""
        async with self.engine.database.read() as db:
            found = await mappings.of_connection(db, self.connection_id)
        return next((m for m in found if name in (m.audience_name, m.audience_id)), None)

    async def run(self, run_id: str) -> Run:
        """A run as it is now."""
        async with self.engine.database.read() as db:
            found = await runs.by_id(db, run_id)
        assert found is not None
        return found

    async def runs(self) -> list[Run]:
        """All runs that people see, oldest first: those that were started, and the sums of live days."""
        async with self.engine.database.read() as db:
            return [run for run in await runs.latest(db, 1000) if not run.is_live][::-1]

    async def unfinished(self) -> list[Run]:
        """The runs that have not ended."""
        async with self.engine.database.read() as db:
            return await runs.unfinished(db)

    def emails(self, list_id: int) -> set[str]:
        """Who is on a list."""
        return {email or user_id or "" for email, user_id in self.iterable.state.members(list_id)}

    def new_key(self) -> str:
        """Another key of the project, which works."""
        self._keys += 1
        key, state = f"sandbox-key-{self._keys:020d}", self.iterable.state
        state.add_key(key, state.keys[self.key].project)
        return key

    def revoke(self, key: str) -> None:
        """Let a key be refused from now on."""
        state = self.iterable.state
        state.add_key(key, state.keys[key].project, "revoked")
