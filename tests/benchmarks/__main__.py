"""Runs the benchmarks and prints each figure with its target: `python -m tests.benchmarks [NAME ...]`."""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

from tests.benchmarks import firehose as live_changes
from tests.benchmarks import idle as idle_process
from tests.benchmarks import live_audiences, workers
from tests.benchmarks.audiences import Kind, write_download
from tests.benchmarks.durable_postgresql import new_database, postgresql

MILLION = 1_000_000
# Repetitions of the measurement of a member's cost.
TURNS = 5
# Runs of each small audience, and the target for the CPU of one, by its members.
SMALL_RUNS = 20
SMALL_TARGETS = {5: "-", 1_000: "<= 100 ms"}
# Audiences with live changes at once, and the changes of each.
ROUNDS = ((1, 1), (1, 100), (1, 990), (20, 1))
PACED_RATE = 20
# Members of the pacing benchmark: 400 requests at 20 per second.
PACED_MEMBERS = 400_000
# Members of each audience whose kinds of addresses are compared.
ADDRESSED_MEMBERS = 400_000
# The Firehose benchmark: the target rate, the duration, and the pending changes at the start.
CHANGES_A_SECOND = 2_000
FIREHOSE_SECONDS = 20.0
BACKLOG = 100_000
# The benchmark of live audiences: how many, changes a second in all, the wanted p50 and p99 in seconds; its duration.
LIVE_LOADS = ((1, 25.0, 2.0, 5.0), (20, 500.0, 2.0, 5.0), (200, 200.0, 3.0, 10.0))
LIVE_SECONDS = 30.0
# The benchmarks of several workers: one project whose rate they share, with small and with large runs, and a queue of
# many projects. The rate of the latter is so low that two cores are not the bound (docs/explanation/scale.md).
WORKERS = 3
SHARED = (
    workers.Load(projects=1, runs=24, requests=20, rate=PACED_RATE),
    workers.Load(projects=1, runs=12, requests=100, rate=PACED_RATE),
)
DRAINED = (
    workers.Load(projects=40, runs=10, requests=2, rate=0.1),  # one worker carries 40 runs at once
    workers.Load(projects=120, runs=4, requests=2, rate=0.1),
)
# The benchmark of turns: one project with fifty runs, the others with one.
TURNS_OF = workers.Load(projects=40, runs=1, requests=1, rate=20.0, more=49)

# How long the statements of an idle process are counted, in seconds: twice the longest time between two looks.
IDLE_SECONDS = 120.0


# The local Iterable plays another machine, so what is measured must not keep it waiting for a core: it notes when
# requests arrive. Only root may give a process precedence. Linux divides the cores between sessions first (sched(7),
# "The autogroup feature"), so it has a session of its own, with the same precedence.
PRECEDENCE = -20


class Bench:
    """The setup of the benchmarks: a directory, with audiences that are written once."""

    def __init__(self, directory: Path, large: int) -> None:
        self.directory = directory
        self.large = large

    def audience(self, members: int, kind: Kind = Kind.PLAIN) -> Path:
        """A download with this many members."""
        path = self.directory / f"8754_Benchmark{kind}{members}.csv"
        if not path.exists():
            write_download(path, members, kind)
        return path

    def measure(self, name: str, *options: str) -> dict[str, float]:
        """Measure in another process, with its own local Iterable."""
        limit = str(PACED_RATE) if "--rate" in options else "0"
        with _local_iterable(limit) as url:
            command = [sys.executable, "-m", "tests.benchmarks.measure", name, "--url", url, *options]
            process = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            figures: dict[str, float] = json.loads(process.stdout)
            return figures

    def data_dir(self, name: str) -> str:
        """A data directory."""
        return str(self.directory / f"data-{name}")


def cost(bench: Bench) -> None:
    """The cost of a member from the file to the recorded outcome, compared with a bare loop.

    The measurements alternate, several times. Other work on a shared machine only adds CPU time, so the minimum is
    compared with a target. A ratio is the median over pairs of consecutive measurements.
    """
    file = str(bench.audience(MILLION))
    syncs, reads, bare = [], [], []
    for turn in range(TURNS):
        syncs.append(bench.measure("sync", "--file", file, "--data-dir", bench.data_dir(f"cost-{turn}")))
        reads.append(bench.measure("read", "--file", file))
        bare.append(bench.measure("bare", "--members", str(MILLION)))
    repeated = bench.measure("sync", "--file", file, "--data-dir", bench.data_dir("cost-0"))
    assert all(figures["members"] == MILLION for figures in syncs)
    sync_cpu, read_cpu = ([figures["cpu_s"] for figures in each] for each in (syncs, reads))
    _print_figure(f"CPU per member, end to end, minimum of {TURNS}", _spread(sync_cpu), "<= 6 us")
    _print_figure("  planning alone", _spread([figures["planning_cpu_s"] for figures in syncs]), "-")
    _print_figure("  DuckDB alone, reading and grouping the file", _spread(read_cpu), "-")
    ratio = statistics.median(one / other for one, other in zip(sync_cpu, read_cpu, strict=True))
    _print_figure("  end to end, as a multiple of that", f"{ratio:.1f}", "<= 3.4 (6 us, if DuckDB alone takes 1.75)")
    rate = statistics.median(other["seconds"] / one["seconds"] for one, other in zip(syncs, bare, strict=True))
    _print_figure("rate, as a share of a bare loop's", f"{rate:.2f}", ">= 0.15")
    _print_figure("requests of an unchanged second run", f"{repeated['requests']:.0f}", "0")


def small(bench: Bench) -> None:
    """The CPU of a small run in a process that is open already, without PostgreSQL's."""
    for kind, members in itertools.product(("SQLite", "PostgreSQL"), SMALL_TARGETS):
        label = f"{kind}: CPU of a run of {members:,}"
        options = ["--file", str(bench.audience(members)), "--turns", str(SMALL_RUNS)]
        _print_cpu(bench, "small", kind, label, SMALL_TARGETS[members], options)


def rounds(bench: Bench) -> None:
    """The CPU of a delivery of live changes in a process that is open already, without PostgreSQL's."""
    for kind, (audiences, changes), with_fields in itertools.product(("SQLite", "PostgreSQL"), ROUNDS, (False, True)):
        label = f"{kind}: CPU of {changes} changes to each of {audiences}{', with fields' * with_fields}"
        options = ["--audiences", str(audiences), "--members", str(changes), "--turns", str(SMALL_RUNS)]
        options += ["--with-fields"] if with_fields else []
        _print_cpu(bench, "live", kind, label, "<= 30 ms", options)


def _print_cpu(bench: Bench, name: str, kind: str, label: str, target: str, options: list[str]) -> None:
    """Measure on a new database of this kind, and print the least and the median."""
    with postgresql() if kind == "PostgreSQL" else contextlib.nullcontext() as server:
        database = ["--database-url", new_database(server)] if server else []
        data_dir = bench.data_dir(label.translate(str.maketrans(" :,", "---")))
        figures = bench.measure(name, "--data-dir", data_dir, *options, *database)
        measured = f"{figures['least_s'] * 1000:.1f} ms ({figures['median_s'] * 1000:.1f})"
        _print_figure(f"{label}, the least of {SMALL_RUNS} (median)", measured, target)


def addresses(bench: Bench) -> None:
    """The cost of a member whose address needs cleaning, as a multiple of one that is sent unchanged.

    Start-up is excluded. A ratio is the median over pairs of consecutive measurements.
    """
    ratios: dict[Kind, list[float]] = {Kind.CAPITALS: [], Kind.MESSY: []}
    for turn in range(TURNS):
        plain = _cpu_of_sync(bench, Kind.PLAIN, turn)
        for kind, measured in ratios.items():
            measured.append(_cpu_of_sync(bench, kind, turn) / plain)
    for kind, target in ((Kind.CAPITALS, 1.1), (Kind.MESSY, 1.3)):
        least, most = min(ratios[kind]), max(ratios[kind])
        median = f"{statistics.median(ratios[kind]):.2f} ({least:.2f} to {most:.2f})"
        _print_figure(f"CPU per member, {kind} addresses, as a multiple of plain", median, f"<= {target}")


def _cpu_of_sync(bench: Bench, kind: Kind, turn: int) -> float:
    file = bench.audience(ADDRESSED_MEMBERS, kind)
    data_dir = bench.data_dir(f"addresses-{kind}-{turn}")
    return bench.measure("sync", "--file", str(file), "--data-dir", data_dir)["cpu_s"]


def memory(bench: Bench) -> None:
    """Peak memory at one million members and at the large number, for a whole sync; then the same file unchanged.

    The CPU time of an unchanged file is compared with that of its first sync, right before, and its working files with
    the database. On PostgreSQL a million only: the time of the server is not in the figures.
    """
    peaks = [_first_and_unchanged(bench, members, "SQLite") for members in (MILLION, bench.large)]
    _print_figure(f"memory at {bench.large:,}, as a multiple of {MILLION:,}", f"{peaks[1] / peaks[0]:.2f}", "about 1")
    with postgresql() as server:
        _first_and_unchanged(bench, MILLION, "PostgreSQL", "--database-url", new_database(server))


def _first_and_unchanged(bench: Bench, members: int, kind: str, *more: str) -> float:
    """Print the figures of a first sync and of the unchanged file. Returns the peak memory of the first, in MB."""
    data_dir = bench.data_dir(f"memory-{members}" if kind == "SQLite" else f"memory-{kind}-{members}")
    options = ("--file", str(bench.audience(members)), "--data-dir", data_dir, *more)
    first, again = (bench.measure("sync", *options) for _ in range(2))
    assert again["requests"] == 0
    _print_figure(f"{kind}: peak memory at {members:,}", f"{first['peak_mb']:.0f} MB", "< 500 MB")
    _print_figure("  unchanged", f"{again['peak_mb']:.0f} MB", "< 500 MB")
    ratio = again["cpu_s"] / first["cpu_s"]
    _print_figure("  CPU when unchanged, as a multiple of the first sync's", f"{ratio:.2f}", "<= 0.8")
    disk = again["working_mb"] / first["database_mb"]
    _print_figure("  working files, as a multiple of the database", f"{disk:.2f}", "<= 1.5")
    return first["peak_mb"]


def planning(bench: Bench) -> None:
    """Reading, mapping and comparing the large number of members with a ledger of the same size."""
    file = str(bench.audience(bench.large))
    data_dir = bench.data_dir(f"memory-{bench.large}")
    if not Path(data_dir).exists():
        bench.measure("sync", "--file", file, "--data-dir", data_dir)
    figures = bench.measure("plan", "--file", file, "--data-dir", data_dir)
    target = f"< {90 * bench.large / (10 * MILLION):.0f} s"
    _print_figure(f"planning {bench.large:,} against a full ledger", f"{figures['planning_s']:.0f} s", target)


def pacing(bench: Bench) -> None:
    """The share of the permitted requests that is used, against a limit over a sliding second."""
    file = str(bench.audience(PACED_MEMBERS))
    figures = bench.measure("sync", "--file", file, "--data-dir", bench.data_dir("pacing"), "--rate", str(PACED_RATE))
    permitted = (figures["seconds"] - figures["planning_s"]) * PACED_RATE
    _print_figure(
        f"requests, as a share of those permitted at {PACED_RATE}/s",
        f"{figures['requests'] / permitted:.1%}",
        ">= 98 %",
    )
    _print_figure("requests answered with 429", f"{figures['throttled']:.0f}", "0")


def acknowledge(bench: Bench) -> None:
    """The time to acknowledge Slack while the same process plans and uploads a million members, unpaced."""
    file = str(bench.audience(MILLION))
    figures = bench.measure("acknowledge", "--file", file, "--data-dir", bench.data_dir("acknowledge"))
    _print_figure(
        f"acknowledgements to Slack, p99 of {figures['presses']:.0f}", f"{figures['p99_s'] * 1000:.0f} ms", "< 300 ms"
    )
    for name in sorted(figures):
        if name.startswith("p99_s "):
            _print_figure(f"  p99 of each {name.removeprefix('p99_s ')}", f"{figures[name] * 1000:.0f} ms", "-")
    _print_figure("  p50", f"{figures['p50_s'] * 1000:.0f} ms", "-")
    _print_figure("  slowest", f"{figures['slowest_s'] * 1000:.0f} ms", "< 3000 ms")
    _print_figure("  without other work, p99", f"{figures['idle_p99_s'] * 1000:.0f} ms", "-")
    _print_figure("  delay of our event loop, p99", f"{figures['lag_p99_s'] * 1000:.0f} ms", "-")
    _print_figure("  delay of our event loop, maximum", f"{figures['longest_lag_s'] * 1000:.0f} ms", "-")
    _print_figure("  delay of the local Slack's event loop, p99", f"{figures['slack_lag_p99_s'] * 1000:.0f} ms", "-")
    _print_figure("not acknowledged", f"{figures['unanswered']:.0f}", "0")
    _print_figure("duration of a sync of a million at that time", f"{figures['seconds'] / figures['runs']:.0f} s", "-")


def firehose(bench: Bench) -> None:
    """Live changes stored durably while a backlog is uploaded, at the target rate and as fast as possible."""
    with contextlib.ExitStack() as stack:
        for kind in ("SQLite", "PostgreSQL"):
            url = None if kind == "SQLite" else stack.enter_context(postgresql())
            for rate in (CHANGES_A_SECOND, 0):
                name = f"firehose-{kind}-{rate}"
                with _local_iterable("5") as iterable:
                    database_url = new_database(url) if url else None
                    with live_changes.server(iterable, bench.data_dir(name), database_url) as address:
                        figures = asyncio.run(
                            live_changes.send_changes(address, backlog=BACKLOG, rate=rate, seconds=FIREHOSE_SECONDS)
                        )
                label = f"{kind}, {CHANGES_A_SECOND:,} changes per second" if rate else f"{kind}, as fast as possible"
                target = f">= {CHANGES_A_SECOND:,}" if not rate else "-"
                _print_figure(f"{label}: accepted per second", f"{figures['rate']:,.0f}", target)
                _print_figure("  p50 of the answer", f"{figures['p50_ms']:.0f} ms", "-")
                _print_figure("  p99 of the answer", f"{figures['p99_ms']:.0f} ms", "< 100 ms" if rate else "-")
                _print_figure("  uploaded at the same time", f"{figures['uploaded']:,.0f}", "> 0")


def live(bench: Bench) -> None:
    """The delay of live changes, from mParticle's request until Iterable has them, for many audiences at once."""
    with postgresql() as server:
        for kind in ("SQLite", "PostgreSQL"):
            for audiences, rate, p50, p99 in LIVE_LOADS:
                figures = asyncio.run(
                    live_audiences.measure_delay(
                        bench.data_dir(f"live-{kind}-{audiences}"),
                        new_database(server) if kind == "PostgreSQL" else None,
                        audiences=audiences,
                        rate=rate,
                        seconds=LIVE_SECONDS,
                    )
                )
                label = f"{kind}, {audiences} live audiences, {rate:.0f} changes a second"
                _print_figure(f"{label}: p50", f"{figures['p50_s']:.1f} s", f"<= {p50:.0f} s")
                _print_figure("  p99", f"{figures['p99_s']:.1f} s", f"<= {p99:.0f} s")
                _print_figure("  later than a minute", f"{figures['late']:.0f} of {figures['changes']:.0f}", "0")


def shared(bench: Bench) -> None:
    """The share of one project's permitted requests that three processes use together, and one alone."""
    for load in SHARED:
        for count, figures in _with_workers(bench, load, workers.measure_drain):
            label = f"used by {count} workers, {load.runs} runs of {load.requests} requests"
            _print_figure(label, f"{figures['share']:.1%}", ">= 97 %")
            _print_figure("  answered with 429", f"{figures['throttled']:.0f}", "0")


def drain(bench: Bench) -> None:
    """The time for a queue of many projects with low rate limits, with one worker and with three."""
    for load in DRAINED:
        seconds = {}
        for count, figures in _with_workers(bench, load, workers.measure_drain):
            seconds[count] = figures["seconds"]
            label = f"{load.projects * load.runs} runs of {load.projects} projects, {count} workers"
            _print_figure(label, f"{figures['seconds']:.0f} s", "-")
            _print_figure("  permitted requests used", f"{figures['share']:.1%}", "-")
            _print_figure("  answered with 429", f"{figures['throttled']:.0f}", "0")
        _print_figure(f"{WORKERS} workers, times as fast as one", f"{seconds[1] / seconds[WORKERS]:.2f}", ">= 2.7")


def turns(bench: Bench) -> None:
    """How soon the runs of 39 projects start that are queued behind 50 runs of another project."""
    for count, figures in _with_workers(bench, TURNS_OF, workers.measure_turns):
        _print_figure(f"39 behind 50 of one project, {count} workers: p50", f"{figures['p50_s']:.1f} s", "-")
        _print_figure("  the last of them starts after", f"{figures['last_s']:.1f} s", "<= 3 s")
        _print_figure("  the last of the 50", f"{figures['own_last_s']:.1f} s", "-")


def idle(bench: Bench) -> None:
    """The statements a second of a process while nothing happens, without BEGIN, COMMIT and the pings of the pool."""
    with postgresql() as server:
        for number, (label, idleness) in enumerate(idle_process.CASES.items()):
            directory = bench.directory / f"idle-{number}"
            counting = idle_process.count_statements(directory, new_database(server), idleness, IDLE_SECONDS)
            counts = asyncio.run(counting)
            _print_figure(f"idle: {label}", f"{counts.total() / IDLE_SECONDS:.2f} a second", "< 3")


def _with_workers(
    bench: Bench, load: workers.Load, measure: Callable[..., Coroutine[None, None, dict[str, float]]]
) -> Iterator[tuple[int, dict[str, float]]]:
    """Measure with one worker, and with several."""
    with postgresql() as server:
        for count in (1, WORKERS):
            (directory := bench.directory / f"workers-{measure.__name__}-{load.projects}-{load.runs}-{count}").mkdir()
            with _local_iterable(f"{load.rate:g}") as url:
                yield count, asyncio.run(measure(directory, new_database(server), url, load, workers=count))


BENCHMARKS: dict[str, Callable[[Bench], None]] = {
    "pacing": pacing,
    "cost": cost,
    "small": small,
    "rounds": rounds,
    "addresses": addresses,
    "memory": memory,
    "planning": planning,
    "firehose": firehose,
    "live": live,
    "shared": shared,
    "drain": drain,
    "turns": turns,
    "idle": idle,
    "acknowledge": acknowledge,
}


@contextlib.contextmanager
def _local_iterable(limit: str) -> Iterator[str]:
    command = [sys.executable, "-m", "sandbox.iterable", "--port", "0", "--lean", "--bulk-per-second", limit]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as server:
        assert server.stdout is not None
        with contextlib.suppress(OSError):  # it is not permitted, or there are no autogroups
            os.setpriority(os.PRIO_PROCESS, server.pid, PRECEDENCE)
            Path(f"/proc/{server.pid}/autogroup").write_text(f"{PRECEDENCE}")
        line = server.stdout.readline()
        try:
            yield line.split(": ", 1)[1].strip()
        finally:
            server.send_signal(signal.SIGINT)
            server.communicate()


def _spread(seconds: list[float]) -> str:
    """The minimum of the times for a million members, in microseconds per member, with the median and the maximum."""
    least, median, most = (f"{statistic(seconds):.1f}" for statistic in (min, statistics.median, max))
    return f"{least} us ({median}, {most})"


def _print_figure(label: str, measured: str, target: str) -> None:
    print(f"{label:<55} {measured:>18}   target {target}", flush=True)


def main() -> None:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="the benchmarks to run (default: all)")
    parser.add_argument("--members", type=int, default=10 * MILLION, help="the large number (default: 10 million)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="iterable-sync-bench-") as directory:
        bench = Bench(Path(directory), arguments.members)
        for name in arguments.names or BENCHMARKS:
            BENCHMARKS[name](bench)


if __name__ == "__main__":
    main()
