"""Runs of several Iterable projects for processes that share a database, and the lists that they must lead to."""

import asyncio
import random
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import update

from core.connections.manage import connect
from core.engine import open_engine
from core.identity import UserIdField
from core.iterable import DataCenter
from core.models.run import Run, RunRequest
from core.runs.submission import submit
from core.settings import Settings
from core.store import runs
from core.store.connections import Connection
from core.store.tables import runs as runs_table
from tests.bot.cli.commands import LocalIterable
from tests.core.harness import addresses
from tests.core.workers import PATIENCE_S

#: The path of the requests that add members.
SUBSCRIBE = "/api/lists/subscribe"


@dataclass(frozen=True)
class Load:
    """Runs that are queued at once: one for each list.

    Each has so many `members`, chosen again each time from so many `people`. A project gets `rate` requests per second.
    """

    projects: int
    lists_of_project: int
    members: int
    people: int
    rate: float

    @property
    def runs(self) -> int:
        """The number of runs."""
        return self.projects * self.lists_of_project


class Work:
    """The lists, the runs that fill them, and who must be on each list."""

    def __init__(
        self, directory: Path, url: str, iterable: LocalIterable, load: Load, generator: random.Random
    ) -> None:
        """Take the parts. `directory` gets the audiences."""
        self._directory = directory
        self._iterable = iterable
        self._load = load
        self._generator = generator
        self._settings = Settings(
            iterable_url=iterable.url,
            data_dir=directory / "queueing",
            audience_paths=(str(directory),),
            database_url=SecretStr(url),
            secret_key=SecretStr(Fernet.generate_key().decode()),
            _env_file=None,  # type: ignore[call-arg]
        )
        self._lists: list[tuple[Connection, int]] = []
        self._run_ids: dict[int, str] = {}
        self._expected: dict[int, set[str]] = {}

    @property
    def environment(self) -> dict[str, str]:
        """The settings of processes that do the work."""
        assert self._settings.database_url is not None
        assert self._settings.secret_key is not None
        return {
            "ITERABLE_SYNC_DATABASE_URL": self._settings.database_url.get_secret_value(),
            "ITERABLE_SYNC_SECRET_KEY": self._settings.secret_key.get_secret_value(),
            "ITERABLE_SYNC_AUDIENCE_PATHS": str(self._directory),
        }

    async def add_lists(self) -> None:
        """Create the projects in Iterable, their connections, and their lists."""
        async with open_engine(self._settings, "queueing") as engine:
            for number in range(self._load.projects):
                name, key = f"Project {number}", f"key-of-project-{number}"
                self._iterable.control("POST", "/projects", {"name": name, "key": key})
                new = [{"name": f"List {each}", "project": name} for each in range(self._load.lists_of_project)]
                ids = [int(self._iterable.control("POST", "/lists", each)["id"]) for each in new]
                connected = await connect(
                    engine,
                    name=name,
                    api_key=key,
                    data_center=DataCenter.US,
                    user_id_field=UserIdField.CUSTOMER_ID,
                    requests_per_second=self._load.rate,
                )
                self._lists += [(connected.connection, list_id) for list_id in ids]

    async def offer(self) -> None:
        """Queue a run for each list, whose audience is new, for any process."""
        async with open_engine(self._settings, "queueing") as engine:
            for connection, list_id in self._lists:
                numbers = self._generator.sample(range(self._load.people), self._load.members)
                self._expected[list_id] = addresses(numbers)
                file = self._directory / f"audience-{list_id}.csv"
                file.write_text("email,customer_id\n" + "".join(f"p{n}@example.com,c{n}\n" for n in numbers))
                submission = await submit(engine, connection, list_id, RunRequest(path=str(file), approved=True))
                self._run_ids[list_id] = submission.run_id
            async with engine.database.write() as db:
                ids = list(self._run_ids.values())
                await db.execute(update(runs_table).where(runs_table.c.id.in_(ids)).values(worker_id=None))

    async def ended(self) -> list[Run]:
        """Wait until all runs have ended, and return those that have."""
        run_ids = list(self._run_ids.values())
        async with open_engine(self._settings, "queueing") as engine:
            until = time.monotonic() + PATIENCE_S
            while True:
                async with engine.database.read() as db:
                    stored = (await runs.by_ids(db, run_ids)).values()
                ended = [run for run in stored if not run.status.is_active]
                if len(ended) == len(run_ids) or time.monotonic() > until:
                    return ended
                await asyncio.sleep(0.2)

    def wrong_lists(self) -> int:
        """Return how many lists differ from their audiences."""
        return sum(self._iterable.emails(list_id) != emails for list_id, emails in self._expected.items())
