"""Files that are small on disk and large in memory are refused within planning's memory."""

import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.core.sources.factories import HEADER, change, zip_of

MB = 1 << 20
# DuckDB may use 200 MB in planning, and uses somewhat more; Python and its libraries take some 60 MB here.
LIMIT_MB = 330
ROW = "1, 5, m.hyde@example.com, email\n"

Writer = Callable[[Path], object]


def text(content: str) -> Writer:
    """A writer of a text file."""
    return lambda path: path.write_text(content)


def packed(members: dict[str, str | bytes]) -> Writer:
    """A writer of a ZIP."""
    return lambda path: zip_of(path, members)


def table(**columns: pa.Array) -> Writer:
    """A writer of a Parquet file."""
    return lambda path: pq.write_table(pa.table(columns), path, compression="zstd")


def repeated(value: str, rows: int) -> pa.Array:
    """A value in many rows that is stored once."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))


def lying_manifest(path: Path) -> None:
    """A manifest that declares 100 bytes and unpacks to 100 MB."""
    zip_of(path, {"a.csv": HEADER, "manifest.json": b" " * (100 * MB)})
    content = bytearray(path.read_bytes())
    struct.pack_into("<L", content, content.rindex(b"PK\x01\x02") + 24, 100)
    path.write_bytes(content)


def long_directory(path: Path) -> None:
    """A directory of 66,000 members, declared only in the ZIP64 record."""
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(66_000):
            archive.writestr(f"{number}", "")
    content = bytearray(path.read_bytes())
    struct.pack_into("<2H2L", content, content.rindex(b"PK\x05\x06") + 8, 1, 1, 100, 0xFFFFFFFF)
    path.write_bytes(content)


def bombs() -> dict[str, tuple[Writer, str]]:
    """All bombs, some 700 MB, with words of the error for each."""
    return {
        "cell of 10 MB": (text(f"{HEADER}\n1, 5, {'x' * 10 * MB}, email\n"), "line 2: the row is longer than 2 MB"),
        "quoted cell of 10 MB": (
            text(HEADER + "\n1, 5, \"" + "x\n" * 5 * MB + "\", email\n"),
            "line 2: the row is longer than 2 MB",
        ),
        "last line of 40 MB": (text(f"{HEADER}\n{ROW}{'x' * 40 * MB}"), "line 3: the row is longer than 2 MB"),
        "last line of 17 MB": (text(f"{HEADER}\n{ROW}{'x' * 17 * MB}\n"), "line 3: the row is longer than 2 MB"),
        "line of 40 MB": (text(f"{HEADER}\n{'x' * 40 * MB}\n{ROW}"), "line 2: the row is longer than 2 MB"),
        "quotation mark before 40 MB": (text(f'{HEADER}\n1, 5, "{ROW * (40 * MB // len(ROW))}'), "is not closed"),
        "million columns": (text(",".join(f"c{n}" for n in range(1_000_000)) + "\n1\n"), "longer than 1 MB"),
        "name of a column of 400 kB": (text('"' * 400_000 + "\n1\n"), "the first line is not a header"),
        "white space": (text(" " * 40 * MB + "email\n"), "begins with 1 MB of white space"),
        "types of identity of 1 MB": (
            text(f"{HEADER}\n" + "".join(f"1, 5, x, {n}{'x' * MB}\n" for n in range(40))),
            "or a type of identity, is longer than 4,096 bytes",
        ),
        "names of audiences of 1 MB": (
            text("".join(
                f'{{"IsMember": true, "AudienceId": {n}, "AudienceName": "{"x" * (n and MB)}", '
                '"UserIdentities": {}}\n'
                for n in range(40)
            )),
            "an audience's id or name",
        ),
        "20,000 types of identity": (
            text(f"{HEADER}\n" + "".join(f"1, 5, x, {n}{'x' * 2_000}\n" for n in range(20_000))),
            "holds more than 1,000 audiences or types of identity",
        ),
        "nested without end": (text(change() + '{"IsAddRequest": true, "x": ' + "[" * 5_000_000), "too deeply nested"),
        "nested 3,000,000 times": (
            text(change() + '{"IsAddRequest": true, "x": ' + "[" * 3_000_000 + "]" * 3_000_000 + "}"),
            "too deeply nested",
        ),
        "nested at once": (text('{"IsAddRequest": ' * 50_000), "the JSON is broken here"),
        "string of 40 MB": (text(change() + '{"IsAddRequest": "' + "x" * 40 * MB), "more than 2 MB"),
        "zip of 60 MB": (packed({"a.csv": "0" * 60 * MB}), "unpacks to far more"),
        "zip in a zip": (packed({"a.csv": b"PK\x03\x04" + b"0" * MB}), "is not a complete ZIP file"),
        "lying manifest": (lying_manifest, "cut off or damaged"),
        "long list of members": (long_directory, "contains more than 1,000 files"),
        "manifest of 3 MB": (packed({"a.csv": "", "manifest.json": "[" + "[]," * MB + "[]]"}), "larger than 2 MB"),
        "manifest of many files": (
            packed({"a.csv": HEADER, "manifest.json": '{"files":[' + "{}," * 600_000 + "{}]}"}),
            "lists more than 1,000 files",
        ),
        "parquet with one long value": (
            table(mpid=pa.array(range(50_000)), email=repeated("x" * 10 * MB, 50_000)),
            "the column email contains a value of more than 4,096 bytes",
        ),
        "parquet with a long mpid": (
            table(mpid=repeated("0" * 10 * MB, 10_000)),
            "the column mpid contains a value of more than 4,096 bytes",
        ),
        "parquet with values that repeat": (
            table(mpid=pa.array([1] * 300_000), email=repeated("x" * 4_000, 300_000)),
            "unpacks to far more",
        ),
        "parquet with rows that repeat": (table(mpid=pa.array([1] * 20_000_000)), "unpacks to far more"),
        "parquet with a page of 60 MB": (table(email=pa.array(["x" * 60 * MB])), "unpacks to far more"),
        "parquet with many columns": (table(**{f"c{n}": pa.array([1]) for n in range(3_000)}), "has 3000 columns"),
    }  # fmt: skip


@pytest.mark.extended  # tests of the limits of each format are its quicker representatives
@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc, which only Linux has"
)
def test_bombs(tmp_path: Path) -> None:
    """Each bomb is refused with its own error, within planning's memory."""
    expected = {}
    (tmp_path / "work").mkdir()  # planning spills what does not fit into memory there
    for name, (write, words) in bombs().items():
        write(tmp_path / name)
        expected[name] = words
    command = [
        sys.executable,
        "-m",
        "tests.core.sources.peak",
        str(tmp_path / "work"),
        *map(str, map(tmp_path.joinpath, expected)),
    ]
    process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    results = {result["name"]: result for result in map(json.loads, process.stdout.splitlines())}
    assert results.keys() == expected.keys(), process.stderr
    assert [result for name, result in results.items() if expected[name] not in result["outcome"]] == []
    assert [result for result in results.values() if result["peak_mb"] > LIMIT_MB] == []
