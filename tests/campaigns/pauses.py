"""Pause workers (SIGSTOP) at random moments, let others take over, wake them, and compare lists person by person.

    python -m tests.campaigns.pauses --pauses 50 --seed 1 [PART ...]

The parts are runs and live rounds, both on PostgreSQL. Work waits, and a worker in another process does it, and is
paused after a random time. A second worker waits until it may take over, and finishes the work; then the lists change
once more; then the first process wakes. The campaign counts requests that it sends after waking, and lists that are
wrong, at once and after the next sync. Leases are short, so that a pause takes seconds. Only the sections of the given
parts in docs/reports/pauses.md are replaced; the exit code is 1 if there was a late request or a wrong list.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import update

from core.engine import Engine
from core.lease import LeaseTimes
from core.live import worker as live_worker
from core.planning import batching
from core.runs import worker
from core.store import live_mappings, runs, workers
from core.store.tables import runs as runs_table
from sandbox.iterable import Fault
from tests.campaigns.sections import replace_sections
from tests.core.databases import new_postgresql, postgresql, without
from tests.core.harness import RunStatus, Sync, people, syncing, until
from tests.core.live.round_of_three import PARTS as AUDIENCES
from tests.core.live.round_of_three import fill_lists, receiving
from tests.core.paused import BATCH_SIZE, worker_process
from tests.core.workers import PATIENCE_S, no_work_left, serving_workers
from tests.firehosing import Live, person

TIMES = LeaseTimes(heartbeat_s=0.3, lease_s=3.0, request_timeout_s=3.0, margin_s=0.5)
PEOPLE = 400
RATE = 40.0
# A worker is paused up to this many seconds after its first request: a run takes about one second.
LATEST_S = 1.2
# Live changes of all audiences come so many times, this many seconds apart: each finds the round before at another
# point.
WAVES, WAVE_S = 12, 0.15
# Those who may be in an audience, and how long Iterable takes to answer (seconds): a round is mostly waiting.
IN_AUDIENCE, ANSWER_S = range(101, 141), 0.05
DOCS = Path(__file__).parents[2] / "docs" / "reports" / "pauses.md"
LATE, WRONG, STILL_WRONG = "late requests", "lists wrong when it woke", "lists wrong after the next sync"
ENDED = "processes that ended with the message"


@dataclass(frozen=True)
class Part:
    """A part of the campaign: a section of the page, and one pause, on a new database."""

    title: str
    pause_once: Callable[[str, Path, random.Random], Coroutine[Any, Any, Counter[str]]]
    text: str
    note: str


_PAGE = """\
# Pauses

A process was paused (SIGSTOP) at a random moment while it worked, as a suspended virtual machine is. Another one on the same PostgreSQL
took over and did the rest, and then the lists were changed once more. Then the first process woke (SIGCONT). It must send nothing more,
and end with a message; the lists must contain exactly the people of the last change.

{sections}
`tests/core/test_fencing.py` and `tests/core/live/test_round_fencing.py` are a part of the suite: they pause at chosen requests.
"""


def _section(part: Part, counts: Counter[str], command: str, minutes: float) -> str:
    rows = "\n".join(f"| {name} | {count} |" for name, count in counts.items())
    return f"""\
## {part.title}

{part.text}

`{command}`, with leases of {TIMES.lease_s:g} s instead of 15, so that a pause takes seconds. It
took {minutes:.0f} minutes; the load of the machine with {os.cpu_count()} cores was {os.getloadavg()[2]:.1f} in the last minutes.

| | |
|---|---|
{rows}

{part.note}
"""


def main() -> None:
    """Pause as often as asked for in each part, and print and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pauses", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"all of these, or some: {', '.join(PARTS)}")
    arguments = parser.parse_args()
    setattr(batching, "BATCH_SIZE", BATCH_SIZE)  # noqa: B010  # that module imports it
    worker.RESCUE_INTERVAL_S = worker.POLL_INTERVAL_S = 0.1
    live_worker.POLL_INTERVAL_S = live_worker.MAINTENANCE_INTERVAL_S = 0.1
    sections: dict[str, str] = {}
    has_failed = False
    for name in arguments.parts or PARTS:
        part, began = PARTS[name], time.monotonic()
        counts = _pause(part, arguments.pauses, arguments.seed)
        command = f"python -m tests.campaigns.pauses --pauses {arguments.pauses} --seed {arguments.seed} {name}"
        sections[part.title] = _section(part, counts, command, (time.monotonic() - began) / 60)
        has_failed |= bool(counts[LATE] or counts[WRONG] or counts[STILL_WRONG])
    titles = [part.title for part in PARTS.values()]
    DOCS.write_text(replace_sections(_PAGE, DOCS.read_text(encoding="utf-8"), sections, titles), encoding="utf-8")
    sys.exit(has_failed)


def _pause(part: Part, pauses: int, seed: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    with postgresql() as server:
        for number in range(pauses):
            url = new_postgresql(server)
            with tempfile.TemporaryDirectory(prefix="iterable-sync-pauses-") as directory:
                generator = random.Random(f"{seed}-{number}")
                counts.update(asyncio.run(part.pause_once(url, Path(directory), generator)))
            without(server, url)
            print(f"{part.title}, {number + 1} of {pauses}: {dict(counts)}", flush=True)
    return counts


# -- runs --------------------------------------------------------------------------------------------------------------


async def pause_a_run(url: str, directory: Path, generator: random.Random) -> Counter[str]:
    """Pause a worker while it executes a run. Returns the counts of one pause."""
    async with syncing(directory, url, times=TIMES) as sync:
        return await _pause_a_run(sync, directory, generator)


async def _pause_a_run(sync: Sync, directory: Path, generator: random.Random) -> Counter[str]:
    first = generator.sample(range(PEOPLE), 300)
    second = generator.sample(range(PEOPLE), generator.choice([1, 100, 300]))
    run_id = await sync.submit(sync.mirror_file(people(first)), approved=True)
    async with sync.engine.database.write() as db:
        await runs.change(db, run_id, rate=RATE)
        await db.execute(update(runs_table).where(runs_table.c.id == run_id).values(worker_id=None))
    async with worker_process(sync.engine.settings, TIMES, directory / "elsewhere") as other:

        async def has_begun() -> bool:
            return sync.iterable.state.log.total("/api/lists/subscribe") > 0

        await until(has_begun, PATIENCE_S)
        await asyncio.sleep(generator.uniform(0.0, LATEST_S))  # the random moment is the point of the campaign
        other.pause()
        was_finished = (await sync.outcome(run_id)).run.status is RunStatus.SUCCEEDED
        await _finish_run(sync, run_id)
        await sync.mirror(people(second), approved=True)
        before = sync.iterable.state.log.total("")
        other.wake()
        message = await other.end()
        late = sync.iterable.state.log.total("") - before
    expected = {f"p{number}@example.com" for number in second}
    wrong_at_once = sync.emails() != expected
    await sync.mirror(people(second), approved=True)
    return Counter(
        {
            "pauses": 1,
            "paused after the run had ended": int(was_finished),
            ENDED: int("declared it dead" in message),
            LATE: late,
            WRONG: int(wrong_at_once),
            STILL_WRONG: int(sync.emails() != expected),
        }
    )


async def _finish_run(sync: Sync, run_id: str) -> None:
    """Work until the run of the paused process has succeeded and that process was declared dead."""
    task = asyncio.create_task(worker.run_worker(sync.engine))

    async def is_over() -> bool:
        return await _is_alone(sync.engine) and (await sync.outcome(run_id)).run.status is RunStatus.SUCCEEDED

    await until(is_over, PATIENCE_S)
    sync.engine.stopping.set()
    await task
    sync.engine.stopping.clear()


async def _is_alone(engine: Engine) -> bool:
    """Return whether this process is the only one on record. Declares silent ones dead."""
    await engine.presence.reap_dead_workers()
    async with engine.database.read() as db:
        return len(await workers.everyone(db)) == 1


# -- live rounds -------------------------------------------------------------------------------------------------------


async def pause_a_live_round(url: str, directory: Path, generator: random.Random) -> Counter[str]:
    """Pause a process while it delivers the changes of three audiences in rounds. Returns the counts of one pause."""
    async with receiving(directory, url, times=TIMES) as service:
        await fill_lists(service)
        members = [{int(each.mpid or 0) for each in part.before} for part in AUDIENCES]
        service.iterable.faults.set([Fault("slow", path="/api/lists/", delay=ANSWER_S)])
        filled = service.iterable.state.log.total("")

        async def has_begun() -> bool:
            return service.iterable.state.log.total("") > filled

        async with worker_process(service.engine.settings, TIMES) as other:
            sending = asyncio.create_task(_send_waves(service, generator, members))
            await until(has_begun, PATIENCE_S)
            await asyncio.sleep(generator.uniform(0.0, WAVES * WAVE_S))  # the random moment is the point
            other.pause()
            at_work = await _runs_at_work(service)
            await _deliver_all(service, sending)
            await _change(service, generator, members)
            await _deliver_all(service)
            before = service.iterable.state.log.total("")
            other.wake()
            message = await other.end()
            late = service.iterable.state.log.total("") - before
        wrong_at_once = _wrong_lists(service, members)
        for part, expected in zip(AUDIENCES, members, strict=True):
            await service.mparticle.add(part.audience, *map(person, sorted(expected)))
        await _deliver_all(service)
        return Counter(
            {
                "pauses": 1,
                "paused between two rounds": int(not at_work),
                "audiences whose delivery was interrupted": at_work,
                ENDED: int("declared it dead" in message),
                LATE: late,
                WRONG: wrong_at_once,
                STILL_WRONG: _wrong_lists(service, members),
            }
        )


async def _send_waves(service: Live, generator: random.Random, members: list[set[int]]) -> None:
    for _ in range(WAVES):
        await _change(service, generator, members)
        await asyncio.sleep(WAVE_S)


async def _change(service: Live, generator: random.Random, members: list[set[int]]) -> None:
    """Let a few random people join each audience, and others leave it. `members` are who is in each."""
    for part, present in zip(AUDIENCES, members, strict=True):
        moved = generator.sample(IN_AUDIENCE, 6)
        await service.mparticle.tell(
            part.audience, [("delete" if number in present else "add", person(number)) for number in moved]
        )
        present ^= set(moved)


async def _runs_at_work(service: Live) -> int:
    async with service.engine.database.read() as db:
        return len(await live_mappings.unended(db))


async def _deliver_all(service: Live, sending: asyncio.Task[None] | None = None) -> None:
    """Deliver until nothing is left, and other processes were declared dead.

    Also waits for what sends changes: a paused process may hold a lock that the intake waits for.
    """
    async with serving_workers(service.engine):
        await until(lambda: _is_alone(service.engine), PATIENCE_S)
        if sending is not None:
            await sending
        await no_work_left(service.engine)
    service.engine.stopping.clear()


def _wrong_lists(service: Live, members: list[set[int]]) -> int:
    """Return how many lists differ from their audiences."""
    return sum(
        service.emails(part.list_id) != {person(number).email for number in present}
        for part, present in zip(AUDIENCES, members, strict=True)
    )


PARTS = {
    "runs": Part(
        "Runs",
        pause_a_run,
        "The process sent a run's requests. Another one finished the run, and a second run changed the list.",
        "In the rounds in which the run had ended before the pause, nothing was left to send; the process must notice that it was "
        "declared dead\nall the same.",
    ),
    "live-rounds": Part(
        "Live rounds",
        pause_a_live_round,
        f"""\
The process delivered the changes of three live audiences in rounds: {WAVES} times, {WAVE_S:g} s apart, six people of each joined or left, and
Iterable took {ANSWER_S:g} s to answer. It was paused at any moment of these. The other process delivered the rest, and six more changes of each audience.
For "the next sync", everyone in the audiences was added again.""",
        "A pause may fall between two rounds. In a round, it interrupts the deliveries of up to three audiences.",
    ),
}


if __name__ == "__main__":
    main()
