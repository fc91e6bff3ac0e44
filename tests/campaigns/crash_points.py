"""Kills a run (SIGKILL) at every event there is, on both databases, and writes docs/reports/crash-points.md.

    python -m tests.campaigns.crash_points [--commits] [--every N] [--at-once N]

The events are before and after each write to the database and each request to Iterable; with --commits also each commit,
those of the workflow engine included. They are found by instrumenting (tests/core/crashing.py), and listed by running to
the end once. After each crash, once the next sync of another audience follows, and once the killed run is resumed. Several
crashes are played at once, each with a database and a local Iterable of its own, copied from ones in which the first sync
was made. With --every some of the events are left out, and no page is written.
"""

import argparse
import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.identity import UserIdField
from core.models.run import Run, RunStatus
from core.store import mappings, runs
from core.store.mappings import RemovalPolicy
from tests.core.crashing import Job, crash, job
from tests.core.databases import copied_postgresql, memory, new_postgresql, postgresql, without
from tests.core.harness import Decision, Kept, Sync, decide, keep, people, syncing
from tests.core.test_crash import FIRST, SECOND, THIRD, UNDISTURBED, expected

DOCS = Path(__file__).parents[2] / "docs" / "reports" / "crash-points.md"
MPID = UserIdField.MPID
# What processes that are killed would otherwise import each anew.
multiprocessing.get_context("forkserver").set_forkserver_preload(["tests.core.crashing", "tests.core.test_crash"])
# More than there are events.
NEVER = 1_000_000
# Events may be a few more in one run than in another: the last of them are tried, too.
MARGIN = 4


@dataclass(frozen=True)
class Prepared:
    """A database and a local Iterable in which the first sync was made: `url` is PostgreSQL's, on `server`."""

    name: str
    kept: Kept
    server: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class Crash:
    """A crash to be played: at which event, in what, and what follows."""

    prepared: Prepared
    scenario: str
    at: int
    commits: bool


@dataclass(frozen=True)
class Played:
    """How a crash went: the event's name (None: it was past the end), and what was wrong ("" for nothing)."""

    crash: Crash
    event: str | None
    wrong: str


def play(this: Crash) -> Played:
    """Play a crash, in a process that is there for it."""
    prepared = this.prepared
    url = copied_postgresql(prepared.server, prepared.url) if prepared.server and prepared.url else None
    try:
        with tempfile.TemporaryDirectory(dir=memory()) as directory:
            report = Path(directory) / "event"
            wrong = asyncio.run(SCENARIOS[this.scenario][1](Path(directory), url, this, report))
            return Played(this, None if wrong is None else report.read_text(encoding="utf-8"), wrong or "")
    finally:
        if prepared.server and url:
            without(prepared.server, url)


async def second_sync(sync: Sync, *, commits: bool, report: Path) -> Job:
    """The second of three syncs, approved in advance."""
    return job(sync, sync.mirror_file(SECOND), MPID, commits=commits, report=report)


async def waiting_sync(sync: Sync, *, commits: bool, report: Path) -> Job:
    """The second sync, which waits for approval because it removes people: it is approved, and executed."""
    run = await _waiting(sync)
    return job(
        sync, Path(run.request.path), MPID, commits=commits, report=report, run_id=run.id, plan_digest=run.plan_digest
    )


async def overtaken_sync(sync: Sync, *, commits: bool, report: Path) -> Job:
    """The second sync, approved; then its plan was discarded, as an earlier run does, and its file was replaced."""
    run = await _waiting(sync)
    assert await decide(sync.engine, run.id) is Decision.RECORDED
    async with sync.engine.database.write() as db:
        await runs.change(db, run.id, ledger_revision=None)
    path = Path(run.request.path)
    await asyncio.to_thread(os.replace, sync.mirror_file([*FIRST, *people(range(900, 930))]), path)
    return job(sync, path, MPID, commits=commits, report=report, run_id=run.id)


async def _waiting(sync: Sync) -> Run:
    """The second sync, once it waits for approval."""
    mapping_id = (await sync.latest()).mapping_id
    async with sync.engine.database.write() as db:
        await mappings.change(db, mapping_id, removal_policy=RemovalPolicy.ASK)
    run = (await sync.mirror(SECOND, user_id=MPID)).run
    assert run.status is RunStatus.NEEDS_APPROVAL
    return run


async def approved(directory: Path, url: str | None, this: Crash, report: Path) -> str | None:
    """Kill a run while it is approved and executed, and let it go on. Returns what `resumed` does."""
    async with syncing(directory, url, kept=this.prepared.kept) as sync:
        waiting = await waiting_sync(sync, commits=this.commits, report=report)
        if not await crash(waiting, this.at):
            return None
        await sync.engine.presence.reap_dead_workers()
        stopped = await sync.latest()
        if stopped.status is RunStatus.NEEDS_APPROVAL:  # killed before the approval was stored
            if sync.emails() != expected(FIRST):
                return "something was sent before the approval was stored"
            outcome = await sync.approve(stopped.id)
        elif stopped.status is RunStatus.SUCCEEDED:
            outcome = await sync.outcome(stopped.id)
        else:
            outcome = await sync.resume(stopped.id)
        if outcome.run.status is not RunStatus.SUCCEEDED:
            return f"the approved run {outcome.run.status}: {outcome.run.error}"
        if outcome.counts != UNDISTURBED:
            return f"the approved run counts {outcome.counts}"
        return "" if sync.emails() == expected(SECOND) else "the list is not equal after the approved run"


async def overtaken(directory: Path, url: str | None, this: Crash, report: Path) -> str | None:
    """Kill a run whose approved plan is made again, of another file. It must wait, and nothing may have been sent."""
    async with syncing(directory, url, kept=this.prepared.kept) as sync:
        discarded = await overtaken_sync(sync, commits=this.commits, report=report)
        if not await crash(discarded, this.at):
            return None
        await sync.engine.presence.reap_dead_workers()
        stopped = await sync.latest()
        if stopped.status is not RunStatus.NEEDS_APPROVAL:
            stopped = (await sync.resume(stopped.id)).run
        if stopped.status is not RunStatus.NEEDS_APPROVAL:
            return f"the run {stopped.status}: {stopped.error}"
        if stopped.plan is None or stopped.plan.to_add != 30 or stopped.is_approved:
            return "the run waits with another plan than that of the new file"
        return "" if sync.emails() == expected(FIRST) else "something was sent that was not approved"


async def next_sync(directory: Path, url: str | None, this: Crash, report: Path) -> str | None:
    """Kill the second of three syncs. Returns what was wrong after the third, "" for nothing, None past the end."""
    async with syncing(directory, url, kept=this.prepared.kept) as sync:
        if not await crash(await second_sync(sync, commits=this.commits, report=report), this.at):
            return None
        outcome = await sync.mirror(THIRD, user_id=MPID, approved=True)
        if outcome.run.status is not RunStatus.SUCCEEDED:
            return f"the next sync {outcome.run.status}: {outcome.run.error}"
        if sync.emails() != expected(THIRD):
            return "the list is not equal after the next sync"
        again = await sync.mirror(THIRD, user_id=MPID)
        return "" if again.run.requests == 0 else "a repeated sync sends something"


async def resumed(directory: Path, url: str | None, this: Crash, report: Path) -> str | None:
    """Kill the second sync and resume it. Returns what was wrong, "" for nothing, None past the end."""
    async with syncing(directory, url, kept=this.prepared.kept) as sync:
        if not await crash(await second_sync(sync, commits=this.commits, report=report), this.at):
            return None
        await sync.engine.presence.reap_dead_workers()
        async with sync.engine.database.read() as db:
            stopped = (await runs.latest(db, 1))[0]
        if stopped.status is RunStatus.SUCCEEDED:  # killed after its end, or before it was stored
            wanted = SECOND if "ten@example.com" in sync.emails() else FIRST
            return "" if sync.emails() == expected(wanted) else "the list is not equal though the run had succeeded"
        outcome = await sync.resume(stopped.id)
        if outcome.run.status is not RunStatus.SUCCEEDED:
            return f"the resumed run {outcome.run.status}: {outcome.run.error}"
        if outcome.counts != UNDISTURBED:
            return f"the resumed run counts {outcome.counts}"
        return "" if sync.emails() == expected(SECOND) else "the list is not equal after the resumed run"


#: What is killed, and what follows.
SCENARIOS = {
    "next sync": (second_sync, next_sync),
    "resumed": (second_sync, resumed),
    "approved": (waiting_sync, approved),
    "overtaken": (overtaken_sync, overtaken),
}


@contextmanager
def _prepared() -> Iterator[list[Prepared]]:
    """Make the first sync on each of the databases."""
    with postgresql() as server:
        url = new_postgresql(server)
        yield [
            Prepared("SQLite", asyncio.run(keep(FIRST, user_id=MPID))),
            Prepared("PostgreSQL", asyncio.run(keep(FIRST, url, user_id=MPID)), server, url),
        ]


async def _events(prepared: Prepared, scenario: str, *, commits: bool) -> list[str]:
    """Run what is killed in a scenario to its end, and return the names of the events on the way."""
    url = copied_postgresql(prepared.server, prepared.url) if prepared.server and prepared.url else None
    with tempfile.TemporaryDirectory(dir=memory()) as directory:
        report = Path(directory) / "events"
        async with syncing(Path(directory), url, kept=prepared.kept) as sync:
            undisturbed = await SCENARIOS[scenario][0](sync, commits=commits, report=report)
            assert not await crash(undisturbed, NEVER)
        return report.read_text(encoding="utf-8").split("\n")


def play_all(*, commits: bool, every: int, at_once: int) -> tuple[list[Played], float]:
    """Play all crashes. Returns how they went, and the minutes that took."""
    began = time.monotonic()
    processes = multiprocessing.get_context("spawn")
    played: list[Played] = []
    with _prepared() as databases, ProcessPoolExecutor(at_once, mp_context=processes) as pool:
        todo = []
        for prepared in databases:
            for scenario in SCENARIOS:
                events = asyncio.run(_events(prepared, scenario, commits=commits))
                print(f"{prepared.name}, {scenario}: {len(events)} events", flush=True)
                todo += [Crash(prepared, scenario, at, commits) for at in range(1, len(events) + 1 + MARGIN, every)]
        for number, future in enumerate(as_completed([pool.submit(play, each) for each in todo]), 1):
            played.append(this := future.result())
            if this.wrong:
                crash_ = this.crash
                print(
                    f"{crash_.prepared.name}, {crash_.scenario}, {crash_.at} ({this.event}): {this.wrong}", flush=True
                )
            if number % 50 == 0:
                print(f"{number} of {len(todo)} in {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    return played, (time.monotonic() - began) / 60


def page(played: list[Played], minutes: float, at_once: int, *, commits: bool) -> str:
    """The figures for docs/reports/crash-points.md."""
    kinds = [(name, scenario) for name in ("SQLite", "PostgreSQL") for scenario in SCENARIOS]
    counts: Counter[tuple[str, str, str]] = Counter()
    order: dict[str, int] = {}
    for this in sorted(played, key=lambda each: each.crash.at):
        if this.event is not None:
            order.setdefault(this.event, this.crash.at)
            counts[this.event, this.crash.prepared.name, this.crash.scenario] += 1
    rows = "\n".join(
        f"| {event} | " + " | ".join(str(counts[(event, *kind)] or "") for kind in kinds) + " |"
        for event in sorted(order, key=lambda each: order[each])
    )
    sums = [sum(number for (_, *kind), number in counts.items() if tuple(kind) == each) for each in kinds]
    wrong = [this for this in played if this.wrong]
    listed = "".join(
        f"\n- {w.crash.prepared.name}, {w.crash.scenario}, {w.event} (event {w.crash.at}): {w.wrong}" for w in wrong
    )
    each = ", and each commit, also those of the workflow engine" if commits else ""
    option = " --commits" if commits else ""
    return f"""\
# Crash points

A sync that renames placeholders, updates, removes and adds was killed (SIGKILL) at every event: before and after each write
to the database and each request to Iterable{each}. After each crash, either the next sync followed ("next
sync", of an audience that some people had left) or the killed run was resumed ("resumed"). Then the list must equal the audience,
the numbers must be those of an undisturbed run, and a repeated sync must send nothing.

The same sync was also killed while it was approved and executed ("approved"): nothing may have been sent before the approval was
stored, and it must end like an undisturbed run. And an approved run whose plan had been discarded, and whose file had been replaced,
was killed while it was planned again ("overtaken"): it must wait for approval with the new plan, and nothing may have been sent.

Crashes: {len(played) - sum(this.event is None for this in played):,}. Ended differently from an undisturbed run: {len(wrong)}.{listed}

The campaign took {minutes:.0f} minutes, {at_once} crashes at once (`python -m tests.campaigns.crash_points{option}`). The suite kills at some
of the events.

## The events

The points at which the process was killed, and how often. An event is a write (named after the function that writes), a
request, or a commit, in the order in which each came first. Requests and writes are concurrent, so an event can have another
number each time: if a cell is empty, another event had its number.

| event | {" | ".join(f"{name}, {scenario}" for name, scenario in kinds)} |
|---{"|---" * len(kinds)}|
{rows}
| all | {" | ".join(str(number) for number in sums)} |

## Power loss

SQLite runs in WAL mode with `synchronous=FULL` (`core/store/database.py`). With `NORMAL` a power failure can lose the last
commits, and with them the intents of requests that have left. PostgreSQL's default (`synchronous_commit = on`) is as strict; do
not turn it off for this database.
"""


def main() -> None:
    """Read the arguments, kill at every event, print what is wrong, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--commits", action="store_true", help="kill at each commit, too")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="kill at each Nth event only")
    parser.add_argument("--at-once", type=int, default=2 * (os.cpu_count() or 1), metavar="N")
    given = parser.parse_args()
    played, minutes = play_all(commits=given.commits, every=given.every, at_once=given.at_once)
    text = page(played, minutes, given.at_once, commits=given.commits)
    if given.every == 1:
        DOCS.write_text(text, encoding="utf-8")
    print(text)
    sys.exit(any(this.wrong for this in played))


if __name__ == "__main__":
    main()
