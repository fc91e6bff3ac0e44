"""Fuzz the readers of audience files with bytes from atheris, guided by coverage.

    python -m tests.campaigns.fuzz_readers --minutes 45 --work DIR [--summary FILE]

DIR keeps the corpus, so that the next campaign continues from there, and the findings: `finding-*`, each the input (its
first byte selects the wrapping) and its traceback. A process that dies or hangs is a finding too, and another one
replaces it.
"""

import argparse
import hashlib
import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

SECONDS_A_FILE = 25
LONGEST = 8_192
RSS_MB = 1_500
# A process that runs longer than this is replaced by a new one.
MINUTES_A_PROCESS = 10.0

# Words that the readers look for, so that the fuzzer need not guess them.
WORDS = [
    "mpid", "scanned_timestamp_ms", "identity_value", "identity_type", "email", "customer_id", "customerid", "isadd",
    "timestamp", "audienceid", "audiencename", "IsAddRequest", "IdentityValues", "MembershipChangedTimestamp",
    "IsMember", "UserIdentities", "AudienceId", "AudienceName", "total_rows", "total_users", "rows_by_identity",
    "files", "file_name", "included_identities", "audience_ids", "manifest_generated", "true", "false", "null",
    "9223372036854775807", "-9223372036854775808", "1e308", "NaN", "PAR1", "\\u0000", "\\ud800", "\0", "\ufeff", "\r\n",
    "PK\x03\x04", "PK\x01\x02", "PK\x05\x06",
]  # fmt: skip


def main() -> int:
    """Run the campaign, or one process of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "fuzz-readers")
    parser.add_argument("--summary", type=Path, help="where to write the figures as JSON, after each process")
    parser.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("This campaign needs atheris, which the project does not: pip install atheris", file=sys.stderr)
        return 2
    if options.part:
        return _part(options.work, int(options.minutes * 60))
    return _campaign(options.work, options.minutes, options.summary)


def _campaign(work: Path, minutes: float, summary: Path | None) -> int:
    """Start one process after the other until the time is up."""
    (work / "corpus").mkdir(parents=True, exist_ok=True)
    for place, seed in enumerate(_seeds()):
        (work / "corpus" / f"seed-{place}").write_bytes(seed)
    (work / "words.dict").write_text("".join(f'"{_escaped(word)}"\n' for word in WORDS))
    began = time.monotonic()
    executions, deaths = 0, 0
    while (remaining := minutes - (time.monotonic() - began) / 60) > 0.2:
        log = work / "last.log"
        with log.open("w") as output:
            command = [
                sys.executable,
                "-m",
                __spec__.name,
                "--part",
                "--minutes",
                str(min(remaining, MINUTES_A_PROCESS)),
                "--work",
                str(work),
            ]
            process = subprocess.run(command, stdout=output, stderr=output, check=False)
        inputs = _executions(log.read_text(errors="replace"))
        if not inputs:
            print(f"The fuzzer did not start: see {log}", file=sys.stderr)
            return 2
        executions += inputs
        if process.returncode != 0:
            deaths += 1
            log.rename(work / f"death-{deaths}.log")
        figures = {
            "minutes": round((time.monotonic() - began) / 60, 1),
            "executions": executions,
            "deaths": deaths,
            "findings": len(list(work.glob("finding-*.txt"))),
            "corpus": len(list((work / "corpus").iterdir())),
        }
        print(json.dumps(figures), flush=True)
        if summary:
            summary.write_text(json.dumps(figures) + "\n")
    return 1 if deaths or any(work.glob("finding-*.txt")) else 0


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode())


def _executions(log: str) -> int:
    """The number of inputs that a process has tried, by its log."""
    numbers = re.findall(r"stat::number_of_executed_units:\s*(\d+)|^#(\d+)\t", log, re.M)
    return max((int(number) for pair in numbers for number in pair if number), default=0)


def _part(work: Path, seconds: int) -> int:
    """Fuzz until the time is up, or until the process dies."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["core.sources", "core.errors"], enable_loader_override=False):
        import core.sources  # noqa: F401
    with ExitStack() as stack:
        target = _target(work, stack)
        atheris.Setup(
            [
                sys.argv[0],
                str(work / "corpus"),
                f"-dict={work / 'words.dict'}",
                f"-artifact_prefix={work}/finding-process-",
                f"-max_total_time={seconds}",
                f"-timeout={SECONDS_A_FILE}",
                f"-max_len={LONGEST}",
                f"-rss_limit_mb={RSS_MB}",
                "-print_final_stats=1",
            ],
            target,
        )
        atheris.Fuzz()
    return 0


def _target(work: Path, stack: ExitStack) -> Callable[[bytes], None]:
    """The function that atheris calls with each input: it saves each kind of exception once, and continues."""
    from tests.campaigns.wrapping import wrap
    from tests.core.sources.oracle import planning_workspace, read_or_refuse

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fuzz-")))
    workspaces = stack.enter_context(ExitStack())
    con = workspaces.enter_context(planning_workspace(folder))

    def read_input(data: bytes) -> None:
        nonlocal con
        name, content = wrap(data)
        path = folder / name
        path.write_bytes(content)
        try:
            read_or_refuse(path, con)
        except Exception:  # noqa: BLE001 - any exception is a finding
            _save_finding(work, data)
        try:
            con.execute("SELECT 1")
        except Exception:  # noqa: BLE001 - an error inside DuckDB closes the workspace
            _save_finding(work, data)
            workspaces.close()
            con = workspaces.enter_context(planning_workspace(folder))
        path.unlink()

    return read_input


def _save_finding(work: Path, data: bytes) -> None:
    """Save an input and its traceback under a name made from the place of the error."""
    kind, error, trace = sys.exc_info()
    frames = [f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in traceback.extract_tb(trace)]  # noqa: PTH119
    digest = hashlib.sha256(" ".join([str(kind), *frames[-3:]]).encode()).hexdigest()[:12]
    report = work / f"finding-{digest}.txt"
    if not report.exists():
        report.write_text("".join(traceback.format_exception(error)))
        (work / f"finding-{digest}").write_bytes(data)


def _seeds() -> list[bytes]:
    from tests.campaigns.wrapping import seeds

    return seeds()


if __name__ == "__main__":
    sys.exit(main())
