"""Disturb PostgreSQL at random moments under three `serve` processes, and compare lists person by person.
    python -m tests.campaigns.outages --outages 10 --seed 1 [KIND ...]

Twelve runs of three Iterable projects are in flight. The campaign counts runs that fail, lists that are wrong
afterwards, and processes that end by themselves, and measures how soon all processes are ready again. Only the rows of
the given kinds in docs/reports/outages.md are replaced. The exit code is 1 if there was a failed run, a wrong list or a
process that ended.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from core.models.run import RunStatus
from tests.bot.cli.commands import LocalIterable, local_iterable, until
from tests.bot.cli.serving import Server, serving
from tests.bot.cli.work import SUBSCRIBE, Load, Work
from tests.core.databases import new_postgresql, postgresql, start, stop
from tests.core.standby import primary_and_standby
from tests.core.test_storage_postgresql import set_read_only, terminate
from tests.core.workers import PATIENCE_S

PROCESSES = 3
LOAD = Load(projects=3, lists_of_project=4, members=6_000, people=20_000, rate=3.0)
#: The database is disturbed up to this many seconds after the first request: all runs take some 13 seconds.
LATEST_S = 12.0
#: How long the server is away for a restart and for a long outage, and refuses writes (seconds).
RESTART_S, AWAY_S, READ_ONLY_S = 1.8, 45.0, 5.0
#: How often all connections are ended, and the time between (seconds).
TERMINATIONS, TERMINATED_EVERY_S = 5, 0.5
DOCS = Path(__file__).parents[2] / "docs" / "reports" / "outages.md"

#: A database's address, and what disturbs it until it can be used again.
Target = tuple[str, Callable[[], None]]


@dataclass(frozen=True)
class Kind:
    """A kind of outage. `target` opens a new database; with `is_final`, it can be disturbed once."""

    text: str
    target: Callable[[], AbstractContextManager[Target]]
    is_final: bool = False


@dataclass
class Figures:
    """What the outages of one kind did."""

    outages: int = 0
    succeeded: int = 0
    failed: int = 0
    wrong: int = 0
    ended: int = 0
    ready_after_s: list[float] = field(default_factory=list)

    def row(self, text: str, command: str) -> str:
        """The figures of a kind as a row of the table."""
        ready = f"{median(self.ready_after_s):.1f}; {max(self.ready_after_s):.1f} s"
        numbers = (self.outages, self.succeeded, self.failed, self.wrong, self.ended)
        return f"| {text} | {' | '.join(str(number) for number in numbers)} | {ready} | {command} |"


def _stop_for(seconds: float, server: str, _url: str) -> None:
    stop(server)
    time.sleep(seconds)
    start(server)


def _terminate_often(server: str, url: str) -> None:
    for _ in range(TERMINATIONS):
        terminate(server, url)
        time.sleep(TERMINATED_EVERY_S)


def _refuse_writes(server: str, url: str) -> None:
    set_read_only(server, url, "on")
    time.sleep(READ_ONLY_S)
    set_read_only(server, url, "off")


@contextmanager
def _one_server(disturb: Callable[[str, str], None]) -> Iterator[Target]:
    with postgresql() as server:
        url = new_postgresql(server)
        yield url, partial(disturb, server, url)


@contextmanager
def _two_servers() -> Iterator[Target]:
    with primary_and_standby() as pair:
        yield pair.url, pair.fail_over


KINDS = {
    "restart": Kind(
        f"the server is stopped, and started {RESTART_S:g} s later", partial(_one_server, partial(_stop_for, RESTART_S))
    ),
    "terminate": Kind(
        f"all connections are ended, {TERMINATIONS} times, {TERMINATED_EVERY_S:g} s apart",
        partial(_one_server, _terminate_often),
    ),
    "read-only": Kind(f"no write is accepted for {READ_ONLY_S:g} s", partial(_one_server, _refuse_writes)),
    "away": Kind(f"the server is stopped for {AWAY_S:g} s", partial(_one_server, partial(_stop_for, AWAY_S))),
    "fail-over": Kind(
        "the primary dies, and its standby is promoted; the address names both", _two_servers, is_final=True
    ),
}


def disturb(kind: Kind, outages: int, generator: random.Random, figures: Figures) -> None:
    """Disturb one database so many times, each time with new runs in flight, and count."""
    with (
        kind.target() as (url, disturb_once),
        tempfile.TemporaryDirectory(prefix="iterable-sync-outages-") as name,
        local_iterable() as iterable,
    ):
        work = Work(Path(name), url, iterable, LOAD, generator)
        asyncio.run(work.add_lists())
        with serving(Path(name), iterable, work.environment, PROCESSES) as servers:
            for _ in range(outages):
                _disturb_once(work, iterable, servers, disturb_once, generator.uniform(0.0, LATEST_S), figures)
                print(figures, flush=True)
            for server in servers:
                server.command.process.send_signal(signal.SIGTERM)
            for server in servers:
                if code := server.command.process.wait():
                    print(f"a process ended with exit code {code}: {server.command.err.read_text()[-2000:]}")
                    figures.ended += 1


def _disturb_once(
    work: Work,
    iterable: LocalIterable,
    servers: list[Server],
    disturb_once: Callable[[], None],
    after_s: float,
    figures: Figures,
) -> None:
    before = iterable.requests(SUBSCRIBE)
    asyncio.run(work.offer())
    until(lambda: iterable.requests(SUBSCRIBE) > before, PATIENCE_S)
    time.sleep(after_s)  # the random moment is the point of the campaign
    disturb_once()
    began = time.monotonic()
    until(lambda: all(server.is_ready() for server in servers), PATIENCE_S)
    figures.ready_after_s.append(time.monotonic() - began)
    ended = asyncio.run(work.ended())
    succeeded = sum(run.status is RunStatus.SUCCEEDED for run in ended)
    for run in ended:
        if run.status is not RunStatus.SUCCEEDED:
            print(f"run {run.id} {run.status}: {run.error}")
    figures.outages += 1
    figures.succeeded += succeeded
    figures.failed += LOAD.runs - succeeded
    figures.wrong += work.wrong_lists()


_PAGE = """\
# Outages

PostgreSQL was disturbed at random moments while {processes} `serve` processes executed {runs} runs of {projects} Iterable projects, each of {members:,} members,
two thirds of them new since the last. No run may fail, each list must afterwards hold exactly the people of its audience, and no
process may end by itself. A process is ready again when `/readyz` says so; the time begins when the database can be used again.

| what happens | outages | runs that succeeded | runs that failed, or had not ended | lists wrong afterwards | processes that ended by themselves | all ready again after (median; most) | measured with; load |
|---|---|---|---|---|---|---|---|
{rows}

The machine had {cores} cores, and other work.

`tests/core/test_storage_postgresql.py`, `tests/core/test_standby.py` and `tests/bot/cli/test_outage.py` are a part of the suite: they disturb
the database at chosen requests.
"""


def main() -> None:
    """Disturb as often as asked for in each way, print the figures, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--outages", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"all of these, or some: {', '.join(KINDS)}")
    arguments = parser.parse_args()
    has_failed = False
    for name in arguments.kinds or KINDS:
        kind, generator, figures = KINDS[name], random.Random(f"{arguments.seed}-{name}"), Figures()
        for outages in [1] * arguments.outages if kind.is_final else [arguments.outages]:
            disturb(kind, outages, generator, figures)
        has_failed |= bool(figures.failed or figures.wrong or figures.ended)
        command = f"`--outages {arguments.outages} --seed {arguments.seed} {name}`; {os.getloadavg()[2]:.0f}"
        print(row := figures.row(kind.text, command), flush=True)
        DOCS.write_text(_page(DOCS.read_text(encoding="utf-8") if DOCS.exists() else "", kind, row), encoding="utf-8")
    sys.exit(has_failed)


def _page(former: str, changed: Kind, row: str) -> str:
    """The page with a new row of a kind. The rows of the others are those of `former`, the page before."""
    kept = {line.split(" | ")[0].removeprefix("| "): line for line in former.split("\n")}
    kept[changed.text] = row
    rows = [kept[kind.text] for kind in KINDS.values() if kind.text in kept]
    return _PAGE.format(
        processes=PROCESSES,
        runs=LOAD.runs,
        projects=LOAD.projects,
        members=LOAD.members,
        rows="\n".join(rows),
        cores=os.cpu_count(),
    )


if __name__ == "__main__":
    main()
