"""Kills processes (SIGKILL) at every event, on both databases, and writes docs/reports/crash-points.md.

    python -m tests.campaigns.crash_points [--commits] [--every N] [--at-once N] [PART ...]

The events are before and after each write to the database and each request to Iterable; with --commits also each
commit. Instrumentation finds them (tests/core/crashing.py) in one undisturbed process. The parts are one run, a live
round, and runs that make room for others. Several crashes run at once, each with its own database and local Iterable,
copied from ones whose lists have members. Only the sections of the given parts are replaced.
"""

import argparse
import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from core.identity import ProjectType, UserIdField
from core.models.run import Run, RunStatus
from core.store import doubts, mappings, runs
from core.store.mappings import RemovalPolicy
from tests.campaigns.sections import replace_sections
from tests.core.crashing import Job, crash, job
from tests.core.databases import copied_postgresql, memory, new_postgresql, postgresql, without
from tests.core.harness import Decision, Kept, Outcome, Sync, decide, keep, people, syncing
from tests.core.live import round_of_three
from tests.core.runs import crowd
from tests.core.test_crash import FIRST, SECOND, THIRD, expected, undisturbed
from tests.firehosing import Live

DOCS = Path(__file__).parents[2] / "docs" / "reports" / "crash-points.md"
MPID = UserIdField.MPID
# What a killed process has sent has arrived: its batches are in doubt for the next sync only.
doubts.ENDED_S = 0.0
# Modules that each killed process would otherwise import again.
multiprocessing.get_context("forkserver").set_forkserver_preload(["tests.core.crashing"])
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
    """A database and a local Iterable with lists that have members. `url` is PostgreSQL's, on `server`."""

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


@dataclass(frozen=True)
class Scenario:
    """What is done by the process that is killed, and what follows.

    `opened` opens the engine with its local Iterable, and `job` prepares the work of the process. `check` does what
    follows, and returns the problem then, or "" for none.
    """

    opened: Callable[[Path, str | None, Kept], AbstractAsyncContextManager[Any]]
    job: Callable[..., Awaitable[Job]]
    check: Callable[[Any, Prepared], Awaitable[str]]


def run_crash(case: Crash) -> CrashResult:
    """Run a crash, in a process of its own."""
    with _copied(case.prepared) as url, tempfile.TemporaryDirectory(dir=memory()) as directory:
        report = Path(directory) / "event"
        problem = asyncio.run(problem_after(Path(directory), url, case, report))
        return CrashResult(case, None if problem is None else report.read_text(encoding="utf-8"), problem or "")


async def problem_after(directory: Path, url: str | None, case: Crash, report: Path) -> str | None:
    """Run a crash, and what follows. Returns the problem, "" for none, or None past the last event."""
    scenario = SCENARIOS[case.scenario]
    async with scenario.opened(directory, url, case.prepared.kept) as service:
        if not await crash(await scenario.job(service, commits=case.commits, report=report), case.at):
            return None
        return await scenario.check(service, case.prepared)


@contextmanager
def _copied(prepared: Prepared) -> Iterator[str | None]:
    """Copy the PostgreSQL database for the length of the block, if it is one. Yields the copy's address."""
    if prepared.server is None or prepared.url is None:
        yield None
        return
    url = copied_postgresql(prepared.server, prepared.url)
    try:
        yield url
    finally:
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


async def approved(sync: Sync, prepared: Prepared) -> str:
    """Resume the killed run, which is approved if its process had not stored that."""
    kind = prepared.project_type
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
    return _difference(sync, outcome, kind)


async def overtaken(sync: Sync, prepared: Prepared) -> str:
    """Resume the killed run, whose approved plan is made again: it must wait for approval and send nothing."""
    kind = prepared.project_type
    await sync.engine.presence.reap_dead_workers()
    stopped = await sync.latest()
    if stopped.status is not RunStatus.NEEDS_APPROVAL:
        stopped = (await sync.resume(stopped.id)).run
    if stopped.status is not RunStatus.NEEDS_APPROVAL:
        return f"the run {stopped.status}: {stopped.error}"
    if stopped.plan is None or stopped.plan.to_add != 30 or stopped.is_approved:
        return "the run waits with another plan than that of the new file"
    return "" if sync.emails() == expected(FIRST, kind) else "a request was sent without approval"


async def next_sync(sync: Sync, prepared: Prepared) -> str:
    """Sync a third audience, whose mapping the killed run belongs to."""
    kind = prepared.project_type
    outcome = await sync.mirror(THIRD, user_id=MPID, approved=True)
    if outcome.run.status is not RunStatus.SUCCEEDED:
        return f"the next sync {outcome.run.status}: {outcome.run.error}"
    if sync.emails() != expected(THIRD, kind):
        return "the list is not equal after the next sync"
    repeated = await sync.mirror(THIRD, user_id=MPID)
    return "" if repeated.run.requests == 0 else "a repeated sync sends a request"


async def resumed(sync: Sync, prepared: Prepared) -> str:
    """Resume the killed run."""
    kind = prepared.project_type
    await sync.engine.presence.reap_dead_workers()
    stopped = await sync.latest()
    if stopped.status is RunStatus.SUCCEEDED:  # killed after its end, or before it was stored
        members = SECOND if "ten@example.com" in sync.emails() else FIRST
        return "" if sync.emails() == expected(members, kind) else "the list is not equal though the run had succeeded"
    return _difference(sync, await sync.resume(stopped.id), kind)


def _difference(sync: Sync, outcome: Outcome, kind: ProjectType) -> str:
    """How the killed run differs at its end from an undisturbed one, or ""."""
    if outcome.run.status is not RunStatus.SUCCEEDED:
        return f"the run {outcome.run.status}: {outcome.run.error}"
    if outcome.counts != undisturbed(kind):
        return f"the run counts {outcome.counts}"
    return "" if sync.emails() == expected(SECOND, kind) else "the list is not equal after the run"


async def after_a_round(service: Live, _prepared: Prepared) -> str:
    """Deliver the rest of the live changes."""
    return await round_of_three.after_a_crash(service)


async def after_a_crowd(sync: Sync, _prepared: Prepared) -> str:
    """Execute the rest of the runs."""
    return await crowd.after_a_crash(sync)


def _opened(directory: Path, url: str | None, kept: Kept) -> AbstractAsyncContextManager[Sync]:
    return syncing(directory, url, kept=kept)


SCENARIOS = {
    "next sync": Scenario(_opened, second_sync, next_sync),
    "resumed": Scenario(_opened, second_sync, resumed),
    "approved": Scenario(_opened, unapproved_sync, approved),
    "overtaken": Scenario(_opened, overtaken_sync, overtaken),
    "live round": Scenario(round_of_three.receiving, round_of_three.round_job, after_a_round),
    "making room": Scenario(crowd.crowded, crowd.crowd_job, after_a_crowd),
}


def _after_the_first_sync(server: str) -> list[Prepared]:
    """Execute the first sync on each database."""
    url = new_postgresql(server)
    return [
        *(
            Prepared(name, asyncio.run(keep(FIRST, user_id=MPID, project_type=kind.value)), kind)
            for name, kind in SQLITE.items()
        ),
        Prepared("PostgreSQL", asyncio.run(keep(FIRST, url, user_id=MPID)), server=server, url=url),
    ]


def _filled(keep_lists: Callable[[str | None], Coroutine[Any, Any, Kept]], server: str) -> list[Prepared]:
    """Fill lists on each database."""
    url = new_postgresql(server)
    return [
        Prepared("SQLite", asyncio.run(keep_lists(None))),
        Prepared("PostgreSQL", asyncio.run(keep_lists(url)), server=server, url=url),
    ]


@dataclass(frozen=True)
class Part:
    """A part of the campaign: a section of the page, its scenarios, and the databases that they begin with."""

    title: str
    scenarios: tuple[str, ...]
    prepare: Callable[[str], list[Prepared]]
    text: str


PARTS = {
    "one-run": Part(
        "One run",
        ("next sync", "resumed", "approved", "overtaken"),
        _after_the_first_sync,
        """\
A sync that renames placeholders, updates, removes and adds was killed. After each crash, either the next sync followed ("next
sync", of an audience that some people had left) or the killed run was resumed ("resumed"). Then the list must equal the audience,
the numbers must be those of an undisturbed run, and a repeated sync must send nothing.

The same sync was also killed while it was approved and executed ("approved"): nothing may have been sent before the approval was
stored, and it must end like an undisturbed run. And an approved run whose plan had been discarded, and whose file had been replaced,
was killed while it was planned again ("overtaken"): it must wait for approval with the new plan, and nothing may have been sent.""",
    ),
    "live-round": Part(
        "A live round",
        ("live round",),
        partial(_filled, round_of_three.keep_lists),
        """\
A process with the workers of `serve` was killed while it delivered live changes of three audiences in one round: people join, leave and
change, one has no address, and Iterable refuses one. Another process did the rest. Then each list must equal what the changes say,
no one may have joined or left it twice, each change must be counted once, and the same additions again must send nothing.""",
    ),
    "making-room": Part(
        "Runs that make room",
        ("making room",),
        partial(_filled, crowd.keep_lists),
        f"""\
A process with the workers of `serve` was killed while it executed {crowd.RUNS} runs of one Iterable project. Up to {crowd.AT_ONCE} of them sent at
once, because runs with few requests left had made room for others. Another process did the rest. Then each list must equal its file,
no one may have joined or left it twice, each member must be counted once, no job may be left in PostgreSQL's queue, and the same files
again must send nothing.""",
    ),
}
_PAGE = """\
# Crash points

Processes were killed (SIGKILL) at their events: before and after each write to the database, each request to Iterable, and, where the
command has `--commits`, each commit. The tables have the points at which a process was killed, and how often. An event is a write
(named after the function that writes), a request, or a commit, in the order in which each came first. Requests and writes are
concurrent, so an event can have another number each time: if a cell is empty, another event had its number. The suite kills at some of
the events.

{sections}
## Power loss

SQLite runs in WAL mode with `synchronous=FULL` (`core/store/database.py`). With `NORMAL` a power failure can lose the last
commits, and with them the intents of requests that have left. PostgreSQL's default (`synchronous_commit = on`) is as strict; do
not turn it off for this database.
"""


async def _events(prepared: Prepared, scenario: str, *, commits: bool) -> list[str]:
    """Do the work of a scenario to its end, and return the names of its events."""
    with _copied(prepared) as url, tempfile.TemporaryDirectory(dir=memory()) as directory:
        report = Path(directory) / "events"
        undisturbed = Crash(prepared, scenario, NEVER, commits)
        assert await problem_after(Path(directory), url, undisturbed, report) is None
        return report.read_text(encoding="utf-8").split("\n")


def run_all(part: Part, *, commits: bool, every: int, at_once: int) -> tuple[list[CrashResult], float]:
    """Run the crashes of a part. Returns the results, and the minutes that it took."""
    began = time.monotonic()
    processes = multiprocessing.get_context("spawn")
    results: list[CrashResult] = []
    with postgresql() as server, ProcessPoolExecutor(at_once, mp_context=processes) as pool:
        crashes = []
        for prepared in part.prepare(server):
            for scenario in part.scenarios:
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


def _table(results: Sequence[CrashResult]) -> str:
    """How often processes were killed at each event."""
    results = sorted(results, key=lambda each: each.crash.at)
    kinds = list(dict.fromkeys((each.crash.prepared.name, each.crash.scenario) for each in results))
    kinds.sort(key=lambda kind: [*SQLITE, "PostgreSQL"].index(kind[0]))
    counts = Counter((each.event, each.crash.prepared.name, each.crash.scenario) for each in results)
    events = dict.fromkeys(each.event for each in results if each.event is not None)
    rows = [[event, *(str(counts[event, *kind] or "") for kind in kinds)] for event in events]
    rows.append(["all", *(str(sum(counts[event, *kind] for event in events)) for kind in kinds)])
    lines = [
        f"| event | {' | '.join(f'{name}, {scenario}' for name, scenario in kinds)} |",
        f"|---{'|---' * len(kinds)}|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join(lines)


def section(part: Part, results: Sequence[CrashResult], minutes: float, at_once: int, command: str) -> str:
    """The section of a part in docs/reports/crash-points.md."""
    problems = [result for result in results if result.problem]
    problem_list = "".join(
        f"\n- {failed.crash.prepared.name}, {failed.crash.scenario}, {failed.event} (event {failed.crash.at}): {failed.problem}"
        for failed in problems
    )
    crashes = sum(result.event is not None for result in results)
    return f"""\
## {part.title}

{part.text}

Crashes: {crashes:,}. Ended differently from an undisturbed process: {len(problems)}.{problem_list}

It took {minutes:.0f} minutes, {at_once} crashes at once (`{command}`).

{_table(results)}
"""


def page(former: str, sections: Mapping[str, str]) -> str:
    """The page docs/reports/crash-points.md, with new sections of some parts. `former` is the page before."""
    return replace_sections(_PAGE, former, sections, [part.title for part in PARTS.values()])


def main() -> None:
    """Read the arguments, kill at the events, print the problems, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--commits", action="store_true", help="kill at each commit, too")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="kill at each Nth event only")
    parser.add_argument("--at-once", type=int, default=2 * (os.cpu_count() or 1), metavar="N")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"all of these, or some: {', '.join(PARTS)}")
    arguments = parser.parse_args()
    options = (" --commits" if arguments.commits else "") + (
        f" --every {arguments.every}" if arguments.every > 1 else ""
    )
    has_problem = False
    sections: dict[str, str] = {}
    for name in arguments.parts or PARTS:
        part = PARTS[name]
        results, minutes = run_all(part, commits=arguments.commits, every=arguments.every, at_once=arguments.at_once)
        command = f"python -m tests.campaigns.crash_points{options} {name}"
        sections[part.title] = section(part, results, minutes, arguments.at_once, command)
        has_problem |= any(result.problem for result in results)
    text = page(DOCS.read_text(encoding="utf-8"), sections)
    DOCS.write_text(text, encoding="utf-8")
    print(text)
    sys.exit(has_problem)


if __name__ == "__main__":
    main()
