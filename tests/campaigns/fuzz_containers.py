"""Pack tables into random containers, damage some of them, and read them.

    python -m tests.campaigns.fuzz_containers --minutes 60 --work DIR [--seed 1]

An intact container must give exactly the packed people; a damaged one is read, or refused with a clear error
(tests/core/sources/oracle.py). DIR keeps the findings: `finding-*`, each a file or folder with its traceback.
"""

import argparse
import bz2
import gzip
import io
import json
import lzma
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import InputError
from core.sources import read
from tests.core.sources.oracle import planning_workspace, read_or_refuse

# A file that takes longer than this, in seconds, is a finding; other work on the machine is allowed for.
SECONDS_A_FILE = 25.0

People = list[tuple[str, str]]


def _delimited(delimiter: str, encoding: str, end: str) -> Callable[[People], bytes]:
    def write(people: People) -> bytes:
        return end.join([delimiter.join(row) for row in [("email", "customer_id"), *people]] + [""]).encode(encoding)

    return write


def _json_lines(people: People) -> bytes:
    return "\n".join(json.dumps({"email": email, "customer_id": number}) for email, number in people).encode()


def _json_array(people: People) -> bytes:
    return json.dumps([{"customer_id": number, "email": email} for email, number in people]).encode()


def _parquet(people: People) -> bytes:
    stream = io.BytesIO()
    emails, numbers = zip(*people, strict=True)
    pq.write_table(pa.table({"email": emails, "customer_id": numbers}), stream)
    return stream.getvalue()


def _workbook(people: People) -> bytes:
    book, stream = openpyxl.Workbook(), io.BytesIO()
    for row in [("email", "customer_id"), *people]:
        book.active.append(list(row))
    book.save(stream)
    return stream.getvalue()


WRITERS: dict[str, Callable[[People], bytes]] = {
    "csv": _delimited(",", "utf-8", "\n"),
    "csv with CR LF": _delimited(";", "utf-8-sig", "\r\n"),
    "tabs in UTF-16": _delimited("\t", "utf-16", "\r\n"),
    "pipes": _delimited("|", "utf-8", "\n"),
    "JSON lines": _json_lines,
    "JSON array": _json_array,
    "Parquet": _parquet,
    "workbook": _workbook,
}


def _zip(content: bytes, choice: random.Random) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", choice.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        archive.writestr(choice.choice(["a", "a.csv", "deep/er/a.csv", "é.csv"]), content)
        if choice.random() < 0.3:
            archive.writestr(choice.choice(["_SUCCESS", "__MACOSX/._a", "a.crc", "manifest"]), b"x")
    return stream.getvalue()


def _members(compress: Callable[[bytes], bytes]) -> Callable[[bytes, random.Random], bytes]:
    """Compress a content as one member or as several."""

    def pack(content: bytes, choice: random.Random) -> bytes:
        cut = choice.randrange(len(content)) if content and choice.random() < 0.3 else 0
        return compress(content[:cut]) + compress(content[cut:]) if cut else compress(content)

    return pack


PACKERS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "gzip": _members(gzip.compress),
    "bzip2": _members(bz2.compress),
    "xz": _members(lambda content: lzma.compress(content, preset=0)),
    "zstd": _members(lambda content: bytes(pa.Codec("zstd").compress(content, asbytes=True))),
    "zip": _zip,
}


def _damaged(content: bytes, choice: random.Random) -> bytes:
    """Cut, repeat or replace some bytes."""
    damaged = bytearray(content)
    for _ in range(choice.choice([1, 1, 1, 2, 5, 20])):
        place = choice.randrange(len(damaged)) if damaged else 0
        length = choice.choice([1, 1, 2, 4, 16, 200])
        match choice.randrange(5):
            case 0:
                damaged[place : place + length] = choice.randbytes(len(damaged[place : place + length]))
            case 1:
                del damaged[place:]
            case 2:
                del damaged[place : place + length]
            case 3:
                damaged[place:place] = damaged[place : place + length] * choice.choice([1, 3, 50])
            case _:
                damaged[place:place] = choice.choice(
                    [b"\0" * 4, b"\xff" * 8, b"PK\x03\x04", b"\x1f\x8b\x08", b'"', b"\r"]
                )
    return bytes(damaged)


class Campaign:
    """Creates files, reads them, and counts the outcomes."""

    def __init__(self, work: Path, seed: int) -> None:
        """Store the directory for findings, and the seed."""
        self._work, self._choice = work, random.Random(seed)
        self.outcomes: Counter[str] = Counter()
        self.slowest = 0.0

    def run(self, minutes: float) -> None:
        """Read one file after the other until the time is up."""
        end = time.monotonic() + minutes * 60
        with tempfile.TemporaryDirectory(prefix="fuzz-containers-") as name:
            folder = Path(name)
            while time.monotonic() < end:
                with planning_workspace(folder) as con:
                    for _ in range(200):
                        path, people = self._make(folder / "given")
                        self._read(path, people, con)
                        if time.monotonic() >= end:
                            break

    def _make(self, folder: Path) -> tuple[Path, People | None]:
        """Create a file or a folder; the people are None if a part of it is damaged."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        choice = self._choice
        people = [(f"p{n}@example.com", f"c{n}") for n in range(choice.choice([1, 2, 10, 300]))]
        is_damaged = choice.random() < 0.7
        parts = [people] if choice.random() < 0.6 else [people[::2], people[1::2]]
        parts = [part for part in parts if part]
        layers_left = 3
        packed = []
        for part in parts:
            content = choice.choice(list(WRITERS.values()))(part)
            layers = choice.randrange(layers_left + 1)
            damaged_layer = choice.randrange(layers + 1) if is_damaged else None
            for layer in range(layers + 1):
                if layer:
                    content = choice.choice(list(PACKERS.values()))(content, choice)
                if layer == damaged_layer:
                    content = _damaged(content, choice)
            packed.append(content)
        if len(packed) == 1:
            path = folder / choice.choice(["a", "a.csv", "a.csv.gz", "a.json", "part 0"])
            path.write_bytes(packed[0])
            return path, None if is_damaged else people
        for place, content in enumerate(packed):
            (folder / f"part-{place}").write_bytes(content)
        return folder, None if is_damaged else people

    def _read(self, path: Path, people: People | None, con: duckdb.DuckDBPyConnection) -> None:
        began = time.monotonic()
        try:
            if people is None:
                outcome = read_or_refuse(path, con)
                self.outcomes["refused" if isinstance(outcome, InputError) else "damaged and read"] += 1
            else:
                self._compare(path, people, con)
                self.outcomes["intact and read"] += 1
            seconds = time.monotonic() - began
            assert seconds < SECONDS_A_FILE, f"reading took {seconds:.0f} s"
            self.slowest = max(self.slowest, seconds)
        except Exception:  # noqa: BLE001 - any exception is a finding
            self._save_finding(path)

    @staticmethod
    def _compare(path: Path, people: People, con: duckdb.DuckDBPyConnection) -> None:
        read(path, con)
        rows = con.execute("SELECT email, customer_id FROM source").fetchall()
        con.execute("DROP TABLE source")
        assert sorted(rows) == sorted(people)

    def _save_finding(self, path: Path) -> None:
        self.outcomes["findings"] += 1
        self._work.mkdir(parents=True, exist_ok=True)
        target = self._work / f"finding-{self.outcomes['findings']}"
        (shutil.copytree if path.is_dir() else shutil.copy)(path, target)
        target.with_suffix(".txt").write_text(traceback.format_exc())


def main() -> int:
    """Run the campaign, and print its figures as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "fuzz-containers")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began, campaign = time.monotonic(), Campaign(options.work, options.seed)
    campaign.run(options.minutes)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    figures = {
        "minutes": round((time.monotonic() - began) / 60, 1),
        "files": sum(campaign.outcomes.values()),
        **campaign.outcomes,
        "slowest_s": round(campaign.slowest, 2),
        "peak_mb": peak,
    }
    print(json.dumps(figures), flush=True)
    return 1 if campaign.outcomes["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
