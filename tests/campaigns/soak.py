"""An hour of mixed work while a fifth of Iterable's answers fail and the process is killed every minute.

    python -m tests.campaigns.soak [--minutes 60]

Files (mirror, delta, add; three mappings, two of them to one list) and live messages are synced by `iterable-sync serve`,
which is killed (SIGKILL) every minute and started again. At the end the faults pass, every audience is synced once more,
and each list must hold exactly whom it should. Memory, open files and the size of the data directory are sampled before
each kill; a day takes a minute, and what is kept for days is kept for two (tests/campaigns/hurried.py), so that they have
to stay what they are from the fourth minute on. The figures go to docs/soak.md; the exit code is 1 where something was wrong, growth included.
"""

import argparse
import asyncio
import os
import random
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from core import control
from core.connecting import connect
from core.engine import Engine, open_engine
from core.errors import SyncError
from core.identity import UserIdField
from core.iterable import DataCenter
from core.propose import propose
from core.runs import Mode, Request, Run, Status
from core.settings import Settings
from core.store import live, mappings, runs
from core.store.mappings import Removals, State
from sandbox.iterable.state import DEFAULT_KEY
from sandbox.mparticle import Audience, MParticle, Profile, RefusedError
from tests.campaigns import hurried

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "soak.md"
TOKEN = "a-token-of-the-soak"
# 1001 and 1002 are Standard lists of the local Iterable from the start; live changes get one of their own.
SHARED, OTHER = 1001, 1002
KILL_EVERY_S = 60.0
SHARE_OF_FAULTS = 0.2
PEOPLE = 6_000
# A run of each audience begins no sooner than this after the one before, in seconds: so that what is kept for two minutes
# is as much at the end as at the start, however busy the machine is with other work.
PACE_S = 4.0
# From this minute on everything is in balance: what is kept for days is kept for two minutes. SQLite's file is as large as
# the most that was ever in it, so where there is time it is given some.
STEADY_AFTER, STEADY_AFTER_LONG, LONG = 4, 10, 30
# By how much the last samples may be above the first steady ones. Each is of so many minutes, and the largest of them.
MOST_GROWTH = 1.25
A_PERIOD = 3
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT", re.M)
# Faults of all kinds, each with an equal part of the share.
KINDS: tuple[Mapping[str, Any], ...] = (
    {"action": "error"},
    {"action": "html"},
    {"action": "error", "status": 503},
    {"action": "reset"},
    {"action": "reset", "applied": True},
    {"action": "truncated"},
    {"action": "not_json"},
    {"action": "throttle", "retry_after": 0.2},
)


@dataclass(frozen=True)
class Sample:
    """What the process uses: MB of memory, open files, and MB on disk by kind; `history_mb` is a part of the database."""

    memory_mb: float
    files: int
    database_mb: float
    log_mb: float
    workflows_mb: float
    others_mb: float
    history_mb: float

    @property
    def disk_mb(self) -> float:
        """The whole data directory."""
        return self.database_mb + self.log_mb + self.workflows_mb + self.others_mb

    @property
    def bounded_mb(self) -> float:
        """The data directory without the history, which is kept for ever."""
        return self.disk_mb - self.history_mb


@dataclass
class Figures:
    """What happened."""

    kills: int = 0
    runs: int = 0
    records: dict[str, tuple[int, int]] = field(default_factory=dict)
    retried: int = 0
    messages: int = 0
    samples: list[Sample] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Serve:
    """`iterable-sync serve` as a process that is killed and started again."""

    def __init__(self, directory: Path, iterable_url: str, port: int) -> None:
        self.directory = directory
        self.url = f"http://127.0.0.1:{port}/mparticle/firehose/{TOKEN}"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SLACK_", "ITERABLE_"))},
            "ITERABLE_SYNC_ITERABLE_URL": iterable_url,
            "ITERABLE_SYNC_DATA_DIR": str(directory / "data"),
            "ITERABLE_SYNC_FIREHOSE_TOKEN": TOKEN,
            "ITERABLE_SYNC_FIREHOSE_APPROVAL": "none",
            "ITERABLE_SYNC_PORT": str(port),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        log = (self.directory / "serve.log").open("ab")
        command = [sys.executable, "-m", "tests.campaigns.hurried", "serve"]
        self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        log.close()

    def kill(self) -> None:
        """End it at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @property
    def has_ended(self) -> bool:
        """Whether it ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def sample(self) -> Sample:
        """What it uses now."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        files = len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))
        sizes = {"database": 0, "log": 0, "workflows": 0, "others": 0}
        for path in (self.directory / "data").rglob("*"):
            with suppress(FileNotFoundError):  # the process goes on meanwhile
                if path.is_file():
                    sizes[_kind(path.name)] += path.stat().st_size
        history = sum(size for _, size in records(self.directory / "data" / "iterable-sync.sqlite").values())
        on_disk = {f"{kind}_mb": size / 1e6 for kind, size in sizes.items()}
        return Sample(memory / 1024, files, **on_disk, history_mb=history / 1e6)


class Feeder:
    """An audience whose members come and go, and the runs that carry them."""

    def __init__(self, engine: Engine, mapping_id: int, number: int, directory: Path, figures: Figures) -> None:
        self._engine = engine
        self._mapping_id = mapping_id
        self._random = random.Random(number)
        self._members = {self._random.randrange(PEOPLE) for _ in range(PEOPLE // 2)}
        # Two audiences of the shared list overlap; each has an order of identity of its own.
        self._path = directory / f"audience-{number}.csv"
        self._figures = figures

    @property
    def emails(self) -> set[str]:
        """Who should be on the list."""
        return {_email(member) for member in self._members}

    async def feed(self, until: float) -> None:
        """Sync again and again, at an even pace."""
        while (began := time.monotonic()) < until:
            joined = {self._random.randrange(PEOPLE) for _ in range(PEOPLE // 20)}
            left = set(self._random.sample(sorted(self._members), len(self._members) // 20)) - joined
            kind = self._random.choice(list(Mode))
            self._members |= joined
            if kind is not Mode.ADD:
                self._members -= left
            if kind is Mode.DELTA:
                self._write(joined, left)
            else:
                self._write(self._members)
            await self.sync(kind)
            await asyncio.sleep(max(0.0, began + PACE_S - time.monotonic()))

    async def sync(self, mode: Mode) -> None:
        """Sync the file as it is, however often that has to be retried."""
        async with self._engine.database.read() as db:
            mapping = await mappings.by_id(db, self._mapping_id)
        assert mapping is not None
        request = Request(path=str(self._path), mode=mode, approved=True)
        run_id = await control.start(self._engine, mapping, request, by="U1", channel=None, team_id=None)
        self._figures.runs += 1
        while (run := await self._run(run_id)).status is not Status.SUCCEEDED:
            if run.status is Status.FAILED:
                with suppress(SyncError):
                    await control.retry(self._engine, run_id, by="U1", team_id=None)
                    self._figures.retried += 1
            elif run.status in (Status.CANCELLED, Status.NEEDS_APPROVAL, Status.PLANNED):
                self._figures.wrong.append(f"run {run_id} is {run.status}: {run.error}")
                return
            await asyncio.sleep(0.5)

    async def mirror(self) -> None:
        """Sync the whole audience."""
        self._write(self._members)
        await self.sync(Mode.MIRROR)

    async def _run(self, run_id: str) -> Run:
        async with self._engine.database.read() as db:
            found = await runs.by_id(db, run_id)
        assert found is not None
        return found

    def _write(self, joined: set[int], left: set[int] | None = None) -> None:
        rows = [f"{member},{_email(member)},c{member},true" for member in joined]
        rows += [f"{member},{_email(member)},c{member},false" for member in left or ()]
        if left is None:
            self._path.write_text("mpid,email,customer_id\n" + "".join(f"{r.removesuffix(',true')}\n" for r in rows))
        else:
            self._path.write_text("mpid,email,customerid,isadd\n" + "".join(f"{row}\n" for row in rows))


class LiveFeeder:
    """An audience that changes live."""

    def __init__(self, url: str, list_id: int, figures: Figures) -> None:
        self._url = url
        self._audience = Audience(77, "Live", {"listId": str(list_id)})
        self._figures = figures
        self._random = random.Random(77)
        self.members: set[int] = set()

    @property
    def emails(self) -> set[str]:
        """Who should be on the list."""
        return {_email(member) for member in self.members}

    async def feed(self, until: float) -> None:
        """Send changes until it is time to stop; each is sent until it is answered."""
        account = {"apiKey": DEFAULT_KEY, "userIdField": "customerId"}
        async with MParticle(self._url, settings=account, attempts=1) as mparticle:
            await self._insist(lambda: mparticle.connect(self._audience))
            while time.monotonic() < until:
                joined = {self._random.randrange(PEOPLE) for _ in range(20)}
                left = set(self._random.sample(sorted(self.members), min(8, len(self.members)))) - joined
                told = [("add", _profile(member)) for member in joined] + [("delete", _profile(m)) for m in left]
                at = time.time_ns() // 1_000_000
                await self._insist(lambda told=told, at=at: mparticle.tell(self._audience, told, at=at))
                self.members = (self.members | joined) - left
                self._figures.messages += 1
                await asyncio.sleep(0.2)

    async def _insist(self, send: Any) -> None:
        while True:
            try:
                await send()
            except RefusedError:
                await asyncio.sleep(0.5)
            else:
                return


def _kind(name: str) -> str:
    if name == "iterable-sync.sqlite":
        return "database"
    if name.startswith("iterable-sync.sqlite-"):
        return "log"
    return "workflows" if name.startswith("iterable-sync-workflows.sqlite") else "others"


def _email(member: int) -> str:
    return f"p{member}@example.com"


def _profile(member: int) -> Profile:
    return Profile(mpid=member, email=_email(member), customer_id=f"c{member}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


async def _kill_every_minute(serve: Serve, until: float, figures: Figures) -> None:
    while time.monotonic() + KILL_EVERY_S < until:
        await asyncio.sleep(KILL_EVERY_S)
        if serve.has_ended:
            figures.wrong.append("the process ended by itself")
        else:
            figures.samples.append(serve.sample())
            serve.kill()
        figures.kills += 1
        serve.start()
        print(f"killed {figures.kills} times; {figures.runs} runs, {figures.messages} messages", flush=True)


async def _control(url: str, method: str, path: str, **json: Any) -> Any:
    async with aiohttp.ClientSession() as session, session.request(method, f"{url}/_sandbox{path}", json=json) as got:
        got.raise_for_status()
        return await got.json()


async def soak(minutes: float, directory: Path) -> Figures:
    """Work for so many minutes, and compare."""
    figures = Figures()
    port = _free_port()
    iterable_url = f"http://127.0.0.1:{port}"
    iterable = subprocess.Popen(
        [sys.executable, "-m", "sandbox.iterable", "--port", str(port), "--bulk-per-second", "0"],
        stdout=subprocess.DEVNULL,
    )
    serve = Serve(directory, iterable_url, _free_port())
    settings = Settings(
        iterable_url=iterable_url,
        data_dir=directory / "data",
        _env_file=None,  # type: ignore[call-arg]
    )
    try:
        await _until_answers(iterable_url)
        own = (await _control(iterable_url, "POST", "/lists", name="Live"))["id"]
        async with open_engine(settings, "soak") as engine:
            feeders = await _feeders(engine, directory, figures)
            each = SHARE_OF_FAULTS / len(KINDS)
            await _control(iterable_url, "PUT", "/faults", faults=[{**kind, "probability": each} for kind in KINDS])
            serve.start()
            until = time.monotonic() + minutes * 60
            streamed = LiveFeeder(serve.url, own, figures)
            async with asyncio.TaskGroup() as group:
                for feeder in feeders:
                    group.create_task(feeder.feed(until))
                group.create_task(streamed.feed(until))
                group.create_task(_kill_every_minute(serve, until, figures))
            await _control(iterable_url, "DELETE", "/faults")
            for feeder in feeders:
                await feeder.mirror()
            await _until_carried(engine)
            figures.samples.append(serve.sample())
            figures.records = records(directory / "data" / "iterable-sync.sqlite")
            _judge_growth(figures)
            if unexpected := _unexpected(directory / "data"):
                figures.wrong.append(f"{unexpected} unexpected errors, in error.log")
            wanted = {SHARED: feeders[0].emails | feeders[1].emails, OTHER: feeders[2].emails, own: streamed.emails}
            for list_id, emails in wanted.items():
                found = {email for email, _ in await _control(iterable_url, "GET", f"/lists/{list_id}/members")}
                if found != emails:
                    figures.wrong.append(
                        f"list {list_id}: {len(emails - found)} missing, {len(found - emails)} too many"
                    )
    finally:
        if not serve.has_ended:
            serve.kill()
        iterable.terminate()
        iterable.wait()
    return figures


def records(database: Path) -> dict[str, tuple[int, int]]:
    """Rows and bytes of what is never cleared away, with its indexes, as SQLite counts them."""
    found = {}
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        for table in ("runs", "audit", "alerts", "posts"):
            (rows,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
            names = "SELECT name FROM sqlite_master WHERE tbl_name = ?"
            (size,) = db.execute(f"SELECT sum(pgsize) FROM dbstat WHERE name IN ({names})", (table,)).fetchone()
            found[table] = (rows, size)
    return found


def _unexpected(data_dir: Path) -> int:
    """How many errors nobody had thought of: each begins with its time in one of the two files of them."""
    logs = [data_dir / "error.log", data_dir / "error.log.1"]
    return sum(len(_TIME.findall(each.read_text(encoding="utf-8"))) for each in logs if each.exists())


def _judge_growth(figures: Figures) -> None:
    """Compare what the process uses at the end with what it used when all had come into balance."""
    early, _, late = periods(figures.samples)
    for what, name in (
        ("memory_mb", "memory"),
        ("files", "open files"),
        ("bounded_mb", "data directory without its history"),
    ):
        before, after = _most(early, what), _most(late, what)
        if after > before * MOST_GROWTH:
            figures.wrong.append(f"{name}: grew from {before:.1f} to {after:.1f}")


def periods(samples: list[Sample]) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """The samples of the beginning (once all is in balance), of the middle and of the end."""
    steady = samples[steady_after(len(samples)) - 1 :] or samples
    middle = max(0, (len(steady) - A_PERIOD) // 2)
    return steady[:A_PERIOD], steady[middle : middle + A_PERIOD], steady[-A_PERIOD:]


def steady_after(minutes: float) -> int:
    """From which minute on all is in balance, in a soak of so many."""
    return STEADY_AFTER_LONG if minutes >= LONG else STEADY_AFTER


def _most(samples: list[Sample], what: str) -> float:
    return max(float(getattr(each, what)) for each in samples)


async def _until_answers(url: str) -> None:
    async with asyncio.timeout(30):
        while True:
            with suppress(aiohttp.ClientError):
                await _control(url, "GET", "")
                return
            await asyncio.sleep(0.1)


async def _until_carried(engine: Engine) -> None:
    async with asyncio.timeout(600):
        while True:
            async with engine.database.read() as db:
                (mapping,) = await live.everyone(db)
                if (await live.status(db, mapping.id, time.time())).backlog == 0 and not await live.unended(
                    db, mapping.id
                ):
                    return
            await asyncio.sleep(0.5)


async def _feeders(engine: Engine, directory: Path, figures: Figures) -> list[Feeder]:
    saved = await connect(
        engine,
        name="Soak",
        api_key=DEFAULT_KEY,
        data_center=DataCenter.US,
        user_id=UserIdField.CUSTOMER_ID,
        rate=0,
        approvers=("U2",),
    )
    made = []
    for number, list_id in enumerate((SHARED, SHARED, OTHER)):
        mapping = await propose(
            engine,
            saved.connection,
            next(each for each in saved.lists if each.id == list_id),
            audience=f"Audience {number}",
            mode="auto",
            removals=Removals.REMOVE,
            channel=None,
            by="U1",
            team_id=None,
        )
        async with engine.database.write() as db:
            await mappings.decide(db, mapping.id, State.ACTIVE, by="U2", comment=None)
        made.append(Feeder(engine, mapping.id, number, directory, figures))
    return made


def page(figures: Figures, minutes: float) -> str:
    """The figures for docs/soak.md."""
    wrong = "\n".join(f"- {each}" for each in figures.wrong) or (
        f"Nothing: every list held exactly whom it should, no error came that nobody had thought of, and memory, open files and the data directory without its history had not grown to more than {MOST_GROWTH:g} times what they were."
    )
    rows = "\n".join(
        f"| {name} | " + " | ".join(f"{_most(some, what):.{digits}f}" for some in periods(figures.samples)) + " |"
        for name, what, digits in (
            ("memory (MB)", "memory_mb", 0),
            ("open files", "files", 0),
            ("data directory (MB)", "disk_mb", 1),
            ("of that: the database", "database_mb", 1),
            ("... and in it the history", "history_mb", 1),
            ("its write-ahead log", "log_mb", 1),
            ("the workflow engine's database", "workflows_mb", 2),
            ("other files", "others_mb", 2),
            ("data directory without the history (MB)", "bounded_mb", 1),
        )
    )
    history = " and ".join(
        f"{rows:,} in `{name}`, {size / rows:,.0f} bytes each" for name, (rows, size) in figures.records.items() if rows
    )
    return f"""\
# Soak

`python -m tests.campaigns.soak --minutes {minutes:g}`: files (mirror, delta, add; three mappings, two of them to one list)
and live messages, synced by `iterable-sync serve` on SQLite while {SHARE_OF_FAULTS:.0%} of Iterable's answers failed and the
process was killed (SIGKILL) every minute. A day took a minute, and what is kept for days was kept for
{hurried.KEEP_S / 60:g} minutes (`tests/campaigns/hurried.py`), so that what comes and what goes were in balance after {steady_after(minutes)} minutes. A run
of each audience began {PACE_S:g} seconds after the one before, or when that had ended.

| | |
|---|---|
| kills | {figures.kills} |
| runs of files, retried after failing | {figures.runs:,}, {figures.retried:,} |
| live messages | {figures.messages:,} |

The most that was seen in {A_PERIOD} samples, each taken just before a kill:

| | from minute {steady_after(minutes)} | in the middle | at the end |
|---|---|---|---|
{rows}

The history (which runs there were, with their numbers, and who did what) is kept for ever, and grows by the run. At the end
there were {history}. Everything else is bounded: what runs changed, rejections, ids of messages and time stamps of
changes are kept for a time, the workflow engine's records go when their run has ended, and files of killed processes go.
SQLite uses freed pages again and does not give them back, so the file is as large as the most that was ever in it.

What was wrong at the end:

{wrong}
"""


def main() -> None:
    """Read the arguments, work, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=60)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory(prefix="iterable-sync-soak-") as directory:
        figures = asyncio.run(soak(minutes, Path(directory)))
    text = page(figures, minutes)
    print(text)
    DOCS.write_text(text, encoding="utf-8")
    sys.exit(bool(figures.wrong))


if __name__ == "__main__":
    main()
