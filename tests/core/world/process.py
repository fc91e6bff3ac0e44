"""The engine with a local Iterable. It dies, and restarts with what it left on disk."""

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
from core.identity import ProjectType, UserIdField
from core.iterable import DataCenter, IterableClient, NoRateLimit
from core.models.run import Run
from core.runs import rejected_members
from core.settings import FirehoseApproval, Settings
from core.store import connections, mappings, runs
from core.store.connections import Connection
from core.store.mappings import AudienceMapping as Mapped
from sandbox.iterable import Fault, Running, running
from tests.core.harness import LIST, OTHER_LIST
from tests.core.world.faults import HASTY, Crash, Trip, Trouble
from tests.core.world.people import PEOPLE, STRANGER, STRANGER_ID, Person
from tests.core.world.sources import Sources
from tests.core.world.storage import Storage
from tests.core.world.truth import Truth

#: An action during a run. Arguments: the world, the run's id, and a number to choose by.
Meddler = Callable[["World", str, int], Coroutine[Any, Any, Any]]


class World:
    """The truth, and the engine that must match it.

    With `queued`, a worker executes the queued runs; otherwise this process executes each run itself.
    `meddlers` are the actions that may happen during a run, by the name of the event.
    """

    def __init__(
        self,
        directory: Path,
        storage: Storage,
        setting: UserIdField,
        meddlers: Mapping[str, Meddler],
        *,
        queued: bool = False,
        project_type: ProjectType = ProjectType.EMAIL,
    ) -> None:
        """Store the arguments, and open nothing yet."""
        self.truth = Truth(setting, project_type)
        self.queued = queued
        self.sources = Sources(directory)
        #: Messages of mParticle that can be sent again.
        self.sent: list[Message] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        self._directory, self._storage, self._meddlers = directory, storage, meddlers
        self._keys = 0
        self._died = False
        self._outer, self._inner = AsyncExitStack(), AsyncExitStack()

    async def open(self) -> None:
        """Open everything, connect the project, and add a stranger to both lists."""
        self.iterable: Running = await self._outer.enter_async_context(
            running(bulk_per_second=0, project_type=self.truth.project_type.value)
        )
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
                await client.subscribe(list_id, [(STRANGER, STRANGER_ID)])

    async def close(self) -> None:
        """Close everything."""
        self.engine.stopping.set()
        await self._inner.aclose()
        await self._outer.aclose()
        self._storage.close()

    async def _start(self) -> None:
        """Open the engine, as a starting process does."""
        self._inner = AsyncExitStack()
        self.engine = await self._inner.enter_async_context(self.another())
        self.intake = FirehoseIngest(self.engine)

    @asynccontextmanager
    async def another(self) -> AsyncIterator[Engine]:
        """Open a process on the same database, with the bot's fetchers of audiences."""
        settings = Settings(
            iterable_url=self.iterable.url,
            data_dir=self._directory / "data",
            database_url=SecretStr(self._storage.url),
            audience_paths=("/",),
            firehose_token=SecretStr("token"),
            firehose_approval=FirehoseApproval.NONE,
            firehose_gather_s=0.0,
            _env_file=None,  # type: ignore[call-arg]
        )
        async with open_engine(settings, "test", retry_policy=HASTY) as engine:
            engine.fetchers[rejected_members.REJECTED_SCHEME] = lambda address, folder: rejected_members.write_rejected(
                engine, address, folder
            )
            yield engine

    def die(self) -> None:
        """Keep the database as it is on disk at this moment, and stop."""
        if self._died:
            return
        self._died = True
        self._storage.keep()
        self.engine.stopping.set()
        self.iterable.faults.set([Fault("reset")])

    async def _restart(self) -> None:
        """Start on what the dead process left."""
        await self._inner.aclose()
        self._storage.put_back()
        self._died = False
        await self._start()

    # faults

    async def disturbed(self, coroutine: Awaitable[Any], trouble: Trouble, run_id: str) -> None:
        """Run a coroutine while faults occur, and restart if the process died."""
        self._disturb(trouble, run_id)
        at_commit = self._die_at_commit(trouble.nth) if trouble.event == "crash at commit" else None
        engine = self.engine.database.engine.sync_engine
        if at_commit is not None:
            event.listen(engine, "commit", at_commit)
        try:
            await coroutine
        except Exception:
            if not self._died:  # a dead process may fail in any way
                raise
        finally:
            if at_commit is not None:
                event.remove(engine, "commit", at_commit)
            await asyncio.gather(*self.tasks)
            self.iterable.faults.clear()
            self.engine.stopping.clear()
        if self._died:
            await self._restart()

    def _disturb(self, trouble: Trouble, run_id: str) -> None:
        """Inject the faults from now on."""
        faults = trouble.faults
        if trouble.event in ("crash", "crash applied"):
            faults = [Crash(self.die, trouble.nth, trouble.event == "crash applied")]
        elif trouble.event == "stop":
            faults.insert(0, Trip(self.engine.stopping.set, trouble.nth))
        elif trouble.event in self._meddlers:
            meddler = self._meddlers[trouble.event]
            faults.insert(0, Trip(lambda: self._begin(meddler(self, run_id, trouble.seed)), trouble.nth))
        self.iterable.faults.set(faults, seed=trouble.seed)

    def _begin(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _die_at_commit(self, nth: int) -> Callable[[Any], None]:
        """A listener that dies before the nth transaction is on disk."""
        left = nth

        def before_commit(_connection: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self.die()

        return before_commit

    # state

    async def connection(self) -> Connection:
        """The current state of the connection."""
        async with self.engine.database.read() as db:
            connection = await connections.by_id(db, self.connection_id)
        assert connection is not None
        return connection

    async def mapping(self, name: str) -> Mapped | None:
        """The current state of a mapping."""
        async with self.engine.database.read() as db:
            all_mappings = await mappings.of_connection(db, self.connection_id)
        return next((m for m in all_mappings if name in (m.audience_name, m.audience_id)), None)

    async def run(self, run_id: str) -> Run:
        """The current state of a run."""
        async with self.engine.database.read() as db:
            run = await runs.by_id(db, run_id)
        assert run is not None
        return run

    async def runs(self) -> list[Run]:
        """All runs that people see, oldest first: started ones, and one per day of live changes."""
        async with self.engine.database.read() as db:
            return [run for run in await runs.latest(db, 1000) if not run.is_live][::-1]

    async def unfinished(self) -> list[Run]:
        """The runs that have not ended."""
        async with self.engine.database.read() as db:
            return await runs.unfinished(db)

    def keys(self, list_id: int) -> set[str]:
        """What tells the people on a list from others (see `people.key_of`)."""
        if self.truth.project_type is ProjectType.EMAIL:
            return self.emails(list_id)
        return {user_id or email or "" for email, user_id in self.iterable.state.members(list_id)}

    def emails(self, list_id: int) -> set[str]:
        """The addresses (or user ids) on a list."""
        return {email or user_id or "" for email, user_id in self.iterable.state.members(list_id)}

    def new_key(self) -> str:
        """Create another valid key of the project."""
        self._keys += 1
        key, state = f"sandbox-key-{self._keys:020d}", self.iterable.state
        state.add_key(key, state.keys[self.key].project)
        return key

    def revoke(self, key: str) -> None:
        """Make Iterable refuse a key from now on."""
        state = self.iterable.state
        state.add_key(key, state.keys[key].project, "revoked")
