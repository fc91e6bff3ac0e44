"""Kills a run (SIGKILL) at every event, on both databases, and writes docs/reports/crash-points.md.

    python -m tests.campaigns.crash_points [--commits] [--every N] [--at-once N]

The events are before and after each write to the database and each request to Iterable; with --commits also each
commit. Instrumentation finds them (tests/core/crashing.py) in one undisturbed
run. After each crash, the next sync of another audience follows in one case, and in another the killed run is resumed.
Several crashes run at once, each with its own database and local Iterable, copied from ones with a completed first
sync. With --every, some events are skipped and no page is written.
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

from core.identity import ProjectType, UserIdField
from core.models.run import Run, RunStatus
from core.store import mappings, runs
from core.store.mappings import RemovalPolicy
from tests.core.crashing import Job, crash, job
from tests.core.databases import copied_postgresql, memory, new_postgresql, postgresql, without
from tests.core.harness import Decision, Kept, Sync, decide, keep, people, syncing
from tests.core.test_crash import FIRST, SECOND, THIRD, expected, undisturbed

DOCS = Path(__file__).parents[2] / "docs" / "reports" / "crash-points.md"
MPID = UserIdField.MPID
# Modules that each killed process would otherwise import again.
multiprocessing.get_context("forkserver").set_forkserver_preload(["tests.core.crashing", "tests.core.test_crash"])
#: The names of the databases that are prepared in SQLite: one for each type of Iterable project.
SQLITE = {
    "SQLite": ProjectType.EMAIL,
    "SQLite, userID-based": ProjectType.USER_ID,
    "SQLite, hybrid": ProjectType.HYBRID,
}
# More than the number of events.
NEVER = 1_000_000
# The number of events may differ from run to run: a few more are tried at the end.
MARGIN = 4


@dataclass(frozen=True)
class Prepared:
    """A database and a local Iterable after the first sync. `url` is PostgreSQL's, on `server`."""

    name: str
    kept: Kept
    project_type: ProjectType = ProjectType.EMAIL
    server: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class Crash:
    """A crash: the event, the setup, and the scenario."""

    prepared: Prepared
    scenario: str
    at: int
    commits: bool


@dataclass(frozen=True)
class CrashResult:
    """The result of a crash: the event's name (None if there was none with this number), and the problem, or ""."""

    crash: Crash
    event: str | None
    problem: str


def run_crash(case: Crash) -> CrashResult:
    """Run a crash, in a process of its own."""
    prepared = case.prepared
    url = copied_postgresql(prepared.server, prepared.url) if prepared.server and prepared.url else None
    try:
        with tempfile.TemporaryDirectory(dir=memory()) as directory:
            report = Path(directory) / "event"
            problem = asyncio.run(SCENARIOS[case.scenario][1](Path(directory), url, case, report))
            return CrashResult(case, None if problem is None else report.read_text(encoding="utf-8"), problem or "")
    finally:
        if prepared.server and url:
            without(prepared.server, url)


async def second_sync(sync: Sync, *, commits: bool, report: Path) -> Job:
    """The second of three syncs, approved in advance."""
    return job(sync, sync.mirror_file(SECOND), MPID, commits=commits, report=report)


async def unapproved_sync(sync: Sync, *, commits: bool, report: Path) -> Job:
    """The second sync, which needs approval because of its removals: it is approved and executed."""
    run = await _plan_unapproved(sync)
    return job(
        sync, Path(run.request.path), MPID, commits=commits, report=report, run_id=run.id, plan_digest=run.plan_digest
    )


async def overtaken_sync(sync: Sync, *, commits: bool, report: Path) -> Job:
    """The second sync, approved; then an earlier run makes its plan stale, and its file is replaced."""
    run = await _plan_unapproved(sync)
    assert await decide(sync.engine, run.id) is Decision.RECORDED
    async with sync.engine.database.write() as db:
        await runs.change(db, run.id, ledger_revision=None)
    path = Path(run.request.path)
    await asyncio.to_thread(os.replace, sync.mirror_file([*FIRST, *people(range(900, 930))]), path)
    return job(sync, path, MPID, commits=commits, report=report, run_id=run.id)


async def _plan_unapproved(sync: Sync) -> Run:
    """Plan the second sync, so that it needs approval."""
    mapping_id = (await sync.latest()).mapping_id
    async with sync.engine.database.write() as db:
        await mappings.change(db, mapping_id, removal_policy=RemovalPolicy.ASK)
    run = (await sync.mirror(SECOND, user_id=MPID)).run
    assert run.status is RunStatus.NEEDS_APPROVAL
    return run


async def approved(directory: Path, url: str | None, case: Crash, report: Path) -> str | None:
    """Kill a run while it is approved and executed, and resume it. Returns the same as `resumed`."""
    kind = case.prepared.project_type
    async with syncing(directory, url, kept=case.prepared.kept) as sync:
        unapproved = await unapproved_sync(sync, commits=case.commits, report=report)
        if not await crash(unapproved, case.at):
            return None
        await sync.engine.presence.reap_dead_workers()
        stopped = await sync.latest()
        if stopped.status is RunStatus.NEEDS_APPROVAL:  # killed before the approval was stored
            if sync.emails() != expected(FIRST, kind):
                return "a request was sent before the approval was stored"
            outcome = await sync.approve(stopped.id)
        elif stopped.status is RunStatus.SUCCEEDED:
            outcome = await sync.outcome(stopped.id)
        else:
            outcome = await sync.resume(stopped.id)
        if outcome.run.status is not RunStatus.SUCCEEDED:
            return f"the approved run {outcome.run.status}: {outcome.run.error}"
        if outcome.counts != undisturbed(kind):
            return f"the approved run counts {outcome.counts}"
        return "" if sync.emails() == expected(SECOND, kind) else "the list is not equal after the approved run"


async def overtaken(directory: Path, url: str | None, case: Crash, report: Path) -> str | None:
    """Kill a run whose approved plan is made again, from another file. It must wait for approval and send nothing."""
    kind = case.prepared.project_type
    async with syncing(directory, url, kept=case.prepared.kept) as sync:
        stale = await overtaken_sync(sync, commits=case.commits, report=report)
        if not await crash(stale, case.at):
            return None
        await sync.engine.presence.reap_dead_workers()
        stopped = await sync.latest()
        if stopped.status is not RunStatus.NEEDS_APPROVAL:
            stopped = (await sync.resume(stopped.id)).run
        if stopped.status is not RunStatus.NEEDS_APPROVAL:
            return f"the run {stopped.status}: {stopped.error}"
        if stopped.plan is None or stopped.plan.to_add != 30 or stopped.is_approved:
            return "the run waits with another plan than that of the new file"
        return "" if sync.emails() == expected(FIRST, kind) else "a request was sent without approval"


async def next_sync(directory: Path, url: str | None, case: Crash, report: Path) -> str | None:
    """Kill the second of three syncs. Returns the problem after the third, "" for none, or None past the last event."""
    kind = case.prepared.project_type
    async with syncing(directory, url, kept=case.prepared.kept) as sync:
        if not await crash(await second_sync(sync, commits=case.commits, report=report), case.at):
            return None
        outcome = await sync.mirror(THIRD, user_id=MPID, approved=True)
        if outcome.run.status is not RunStatus.SUCCEEDED:
            return f"the next sync {outcome.run.status}: {outcome.run.error}"
        if sync.emails() != expected(THIRD, kind):
            return "the list is not equal after the next sync"
        repeated = await sync.mirror(THIRD, user_id=MPID)
        return "" if repeated.run.requests == 0 else "a repeated sync sends a request"


async def resumed(directory: Path, url: str | None, case: Crash, report: Path) -> str | None:
    """Kill the second sync and resume it. Returns the problem, "" for none, or None past the last event."""
    kind = case.prepared.project_type
    async with syncing(directory, url, kept=case.prepared.kept) as sync:
        if not await crash(await second_sync(sync, commits=case.commits, report=report), case.at):
            return None
        await sync.engine.presence.reap_dead_workers()
        async with sync.engine.database.read() as db:
            stopped = (await runs.latest(db, 1))[0]
        if stopped.status is RunStatus.SUCCEEDED:  # killed after its end, or before it was stored
            members = SECOND if "ten@example.com" in sync.emails() else FIRST
            return (
                "" if sync.emails() == expected(members, kind) else "the list is not equal though the run had succeeded"
            )
        outcome = await sync.resume(stopped.id)
        if outcome.run.status is not RunStatus.SUCCEEDED:
            return f"the resumed run {outcome.run.status}: {outcome.run.error}"
        if outcome.counts != undisturbed(kind):
            return f"the resumed run counts {outcome.counts}"
        return "" if sync.emails() == expected(SECOND, kind) else "the list is not equal after the resumed run"


#: The sync that is killed, and the check that follows.
SCENARIOS = {
    "next sync": (second_sync, next_sync),
    "resumed": (second_sync, resumed),
    "approved": (unapproved_sync, approved),
    "overtaken": (overtaken_sync, overtaken),
}


@contextmanager
def _prepare() -> Iterator[list[Prepared]]:
    """Execute the first sync on each database."""
    with postgresql() as server:
        url = new_postgresql(server)
        yield [
            *(
                Prepared(name, asyncio.run(keep(FIRST, user_id=MPID, project_type=kind.value)), kind)
                for name, kind in SQLITE.items()
            ),
            Prepared("PostgreSQL", asyncio.run(keep(FIRST, url, user_id=MPID)), server=server, url=url),
        ]


async def _events(prepared: Prepared, scenario: str, *, commits: bool) -> list[str]:
    """Run the sync of a scenario to its end, and return the names of its events."""
    url = copied_postgresql(prepared.server, prepared.url) if prepared.server and prepared.url else None
    with tempfile.TemporaryDirectory(dir=memory()) as directory:
        report = Path(directory) / "events"
        async with syncing(Path(directory), url, kept=prepared.kept) as sync:
            undisturbed = await SCENARIOS[scenario][0](sync, commits=commits, report=report)
            assert not await crash(undisturbed, NEVER)
        return report.read_text(encoding="utf-8").split("\n")


def run_all(*, commits: bool, every: int, at_once: int) -> tuple[list[CrashResult], float]:
    """Run all crashes. Returns the results, and the minutes that it took."""
    began = time.monotonic()
    processes = multiprocessing.get_context("spawn")
    results: list[CrashResult] = []
    with _prepare() as databases, ProcessPoolExecutor(at_once, mp_context=processes) as pool:
        crashes = []
        for prepared in databases:
            for scenario in SCENARIOS:
                events = asyncio.run(_events(prepared, scenario, commits=commits))
                print(f"{prepared.name}, {scenario}: {len(events)} events", flush=True)
                crashes += [Crash(prepared, scenario, at, commits) for at in range(1, len(events) + 1 + MARGIN, every)]
        for number, future in enumerate(as_completed([pool.submit(run_crash, each) for each in crashes]), 1):
            results.append(result := future.result())
            if result.problem:
                case = result.crash
                print(
                    f"{case.prepared.name}, {case.scenario}, {case.at} ({result.event}): {result.problem}", flush=True
                )
            if number % 50 == 0:
                print(f"{number} of {len(crashes)} in {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    return results, (time.monotonic() - began) / 60


def page(results: list[CrashResult], minutes: float, at_once: int, *, commits: bool) -> str:
    """The page docs/reports/crash-points.md."""
    kinds = [(name, scenario) for name in (*SQLITE, "PostgreSQL") for scenario in SCENARIOS]
    counts: Counter[tuple[str, str, str]] = Counter()
    order: dict[str, int] = {}
    for result in sorted(results, key=lambda each: each.crash.at):
        if result.event is not None:
            order.setdefault(result.event, result.crash.at)
            counts[result.event, result.crash.prepared.name, result.crash.scenario] += 1
    rows = "\n".join(
        f"| {event} | " + " | ".join(str(counts[(event, *kind)] or "") for kind in kinds) + " |"
        for event in sorted(order, key=lambda each: order[each])
    )
    sums = [sum(number for (_, *kind), number in counts.items() if tuple(kind) == each) for each in kinds]
    problems = [result for result in results if result.problem]
    problem_list = "".join(
        f"\n- {failed.crash.prepared.name}, {failed.crash.scenario}, {failed.event} (event {failed.crash.at}): {failed.problem}"
        for failed in problems
    )
    each = ", and each commit" if commits else ""
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

Crashes: {len(results) - sum(result.event is None for result in results):,}. Ended differently from an undisturbed run: {len(problems)}.{problem_list}

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
    """Read the arguments, kill at every event, print the problems, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--commits", action="store_true", help="kill at each commit, too")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="kill at each Nth event only")
    parser.add_argument("--at-once", type=int, default=2 * (os.cpu_count() or 1), metavar="N")
    arguments = parser.parse_args()
    results, minutes = run_all(commits=arguments.commits, every=arguments.every, at_once=arguments.at_once)
    text = page(results, minutes, arguments.at_once, commits=arguments.commits)
    if arguments.every == 1:
        DOCS.write_text(text, encoding="utf-8")
    print(text)
    sys.exit(any(result.problem for result in results))


if __name__ == "__main__":
    main()
