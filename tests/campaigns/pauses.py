"""Pause workers (SIGSTOP) at random moments, let others take over, wake them, and compare lists person by person.

    python -m tests.campaigns.pauses --pauses 50 --seed 1

Each round queues a mirror of a random audience on PostgreSQL. A worker in another process claims it, and is paused
after a random time. A second worker waits until it may take over, and finishes the run; then another run changes the
list; then the first process wakes. The campaign counts requests that it sends after waking, and lists that differ from
the audience, at once and after the next sync. Leases are short, so that a round takes seconds. The counts go to
docs/reports/pauses.md; the exit code is 1 if there was a late request or a wrong list.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from sqlalchemy import update

from core.lease import LeaseTimes
from core.planning import batching
from core.runs import worker
from core.store import runs, workers
from core.store.tables import runs as runs_table
from tests.core.databases import new_postgresql, postgresql, without
from tests.core.harness import RunStatus, Sync, people, syncing, until
from tests.core.paused import BATCH_SIZE, worker_process

TIMES = LeaseTimes(heartbeat_s=0.3, lease_s=3.0, request_timeout_s=3.0, margin_s=0.5)
# How long one step of a round may take, in seconds: the machine may be busy.
PATIENCE_S = 180.0
PEOPLE = 400
RATE = 40.0
# A worker is paused up to this many seconds after its first request: a run takes about one second.
LATEST_S = 1.2
DOCS = Path(__file__).parents[2] / "docs" / "reports" / "pauses.md"
LATE, WRONG, STILL_WRONG = "late requests", "lists wrong when it woke", "lists wrong after the next sync"
PAGE = """\
# Pauses

A worker was paused (SIGSTOP) at a random moment while it sent a run's requests, as a suspended virtual machine is. Another worker on
the same PostgreSQL took over and finished the run, and a second run changed the list. Then the first worker woke (SIGCONT). It must
send nothing more, and end with a message; the list must contain exactly the people of the second run.

`python -m tests.campaigns.pauses --pauses {pauses} --seed {seed}`, with leases of {lease:g} s instead of 15, so that a round takes seconds. It took
{minutes:.0f} minutes; the load of the machine with {cores} cores was {load:.1f} in the last minutes.

| | |
|---|---|
{rows}

In the rounds in which the run had ended before the pause, nothing was left to send; the worker must notice that it was declared dead all
the same. `tests/core/test_fencing.py` is a part of the suite: it pauses at chosen requests.
"""


def main() -> None:
    """Run the rounds, and print and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pauses", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    setattr(batching, "BATCH_SIZE", BATCH_SIZE)  # noqa: B010  # that module imports it
    worker.RESCUE_INTERVAL_S = worker.POLL_INTERVAL_S = 0.1
    counts: Counter[str] = Counter()
    began = time.monotonic()
    with postgresql() as server:
        for number in range(arguments.pauses):
            counts.update(asyncio.run(_round(server, random.Random(f"{arguments.seed}-{number}"))))
            print(f"{number + 1} of {arguments.pauses}: {dict(counts)}", flush=True)
    page = PAGE.format(
        pauses=arguments.pauses,
        seed=arguments.seed,
        lease=TIMES.lease_s,
        minutes=(time.monotonic() - began) / 60,
        cores=os.cpu_count(),
        load=os.getloadavg()[2],
        rows="\n".join(f"| {name} | {count} |" for name, count in counts.items()),
    )
    DOCS.write_text(page, encoding="utf-8")
    sys.exit(bool(counts[LATE] or counts[WRONG] or counts[STILL_WRONG]))


async def _round(server: str, generator: random.Random) -> Counter[str]:
    url = new_postgresql(server)
    with tempfile.TemporaryDirectory(prefix="iterable-sync-pauses-") as directory:
        async with syncing(Path(directory), url, times=TIMES) as sync:
            counts = await _pause_once(sync, Path(directory), generator)
    without(server, url)
    return counts


async def _pause_once(sync: Sync, directory: Path, generator: random.Random) -> Counter[str]:
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
        await _finish(sync, run_id)
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
            "processes that ended with the message": int("declared it dead" in message),
            LATE: late,
            WRONG: int(wrong_at_once),
            STILL_WRONG: int(sync.emails() != expected),
        }
    )


async def _finish(sync: Sync, run_id: str) -> None:
    """Work until the run of the paused process has succeeded and that process was declared dead."""
    task = asyncio.create_task(worker.run_worker(sync.engine))

    async def is_over() -> bool:
        await sync.engine.presence.reap_dead_workers()
        async with sync.engine.database.read() as db:
            alone = len(await workers.everyone(db)) == 1
        return alone and (await sync.outcome(run_id)).run.status is RunStatus.SUCCEEDED

    await until(is_over, PATIENCE_S)
    sync.engine.stopping.set()
    await task
    sync.engine.stopping.clear()


if __name__ == "__main__":
    main()
