"""Kills a run (SIGKILL) at every event there is, on both databases, and writes docs/crash-points.md.

    python -m tests.campaigns.crash_points [--commits]

The events are before and after each write to the database and each request to Iterable; with --commits also each commit,
those of the workflow engine included, which takes hours. They are found by instrumenting (tests/core/crashing.py), and
counted by running to the end.
After each crash, once the next sync of another audience follows, and once the killed run is resumed.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.identity import UserIdField
from core.runs import Status
from core.store import runs
from tests.core.crashing import crash, job
from tests.core.databases import new_postgresql, postgresql, without
from tests.core.harness import syncing
from tests.core.test_crash import FIRST, SECOND, THIRD, UNDISTURBED, expected

DOCS = Path(__file__).parents[2] / "docs" / "crash-points.md"
MPID = UserIdField.MPID


async def next_sync(directory: Path, database_url: str | None, at: int, *, commits: bool) -> str | None:
    """Kill the second of three syncs. Returns what was wrong after the third, "" for nothing, None past the end."""
    async with syncing(directory, database_url) as sync:
        await sync.mirror(FIRST, user_id=MPID)
        if not await crash(job(sync, sync.mirror_file(SECOND), MPID, commits=commits), at):
            return None
        outcome = await sync.mirror(THIRD, user_id=MPID, approved=True)
        if outcome.run.status is not Status.SUCCEEDED:
            return f"the next sync {outcome.run.status}: {outcome.run.error}"
        if sync.emails() != expected(THIRD):
            return "the list is not equal after the next sync"
        again = await sync.mirror(THIRD, user_id=MPID)
        return "" if again.run.requests == 0 else "a repeated sync sends something"


async def resumed(directory: Path, database_url: str | None, at: int, *, commits: bool) -> str | None:
    """Kill the second sync and resume it. Returns what was wrong, "" for nothing, None past the end."""
    async with syncing(directory, database_url) as sync:
        await sync.mirror(FIRST, user_id=MPID)
        if not await crash(job(sync, sync.mirror_file(SECOND), MPID, commits=commits), at):
            return None
        await sync.engine.presence.bury_dead()
        async with sync.engine.database.read() as db:
            stopped = (await runs.latest(db, 1))[0]
        if stopped.status is Status.SUCCEEDED:  # killed after its end, or before it was stored
            wanted = SECOND if await _is_second(sync.emails()) else FIRST
            return "" if sync.emails() == expected(wanted) else "the list is not equal though the run had succeeded"
        outcome = await sync.resume(stopped.id)
        if outcome.run.status is not Status.SUCCEEDED:
            return f"the resumed run {outcome.run.status}: {outcome.run.error}"
        if outcome.counts != UNDISTURBED:
            return f"the resumed run counts {outcome.counts}"
        return "" if sync.emails() == expected(SECOND) else "the list is not equal after the resumed run"


async def _is_second(emails: set[str]) -> bool:
    return "ten@example.com" in emails


@contextmanager
def _servers() -> Iterator[dict[str, str | None]]:
    with postgresql() as address:
        yield {"SQLite": None, "PostgreSQL": address}


async def main(*, commits: bool) -> None:
    """Kill at every event, print what is wrong, and write the figures."""
    lines, wrong = [], 0
    began = time.time()
    with _servers() as servers:
        for name, server in servers.items():
            for scenario in (next_sync, resumed):
                at = 0
                while True:
                    at += 1
                    url = new_postgresql(server) if server else None
                    with tempfile.TemporaryDirectory() as directory:
                        found = await scenario(Path(directory), url, at, commits=commits)
                    if server and url:
                        without(server, url)
                    if found is None:
                        break
                    if found:
                        wrong += 1
                        print(f"{name}, {scenario.__name__}, event {at}: {found}", flush=True)
                print(f"{name}, {scenario.__name__}: {at - 1} events", flush=True)
                lines.append(f"| {name} | {scenario.__name__.replace('_', ' ')} | {at - 1} |")
    minutes = (time.time() - began) / 60
    DOCS.write_text(_page(lines, wrong, minutes, commits=commits), encoding="utf-8")


def _page(lines: list[str], wrong: int, minutes: float, *, commits: bool) -> str:
    each = ", and at each commit, those of the workflow engine included" if commits else ""
    table = "\n".join(lines)
    return f"""\
# Crash points

A sync that renames placeholders, updates, removes and adds was killed (SIGKILL) at every event there is: before and after
each write to the database and each request to Iterable{each}. After each crash either the next sync followed ("next sync":
of an audience that some have left meanwhile) or the killed run was resumed ("resumed"). The list must then equal the audience, the numbers be those of an undisturbed run, and a repeated sync
send nothing.

| database | afterwards | events |
|---|---|---|
{table}

Ended otherwise than an undisturbed run: {wrong}. The campaign took {minutes:.0f} minutes
(`python -m tests.campaigns.crash_points`); the suite kills at some of the events (`tests/core/test_crash.py`).

Power loss: SQLite runs in WAL mode with `synchronous=FULL`, on purpose (`core/store/database.py`): with `NORMAL` the last
commits may be lost when the power fails, and with them the intents of requests that have left. PostgreSQL's default
(`synchronous_commit = on`) is as strict; do not turn it off for this database.
"""


if __name__ == "__main__":
    asyncio.run(main(commits="--commits" in sys.argv[1:]))
