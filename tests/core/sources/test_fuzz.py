"""Any bytes in any shape are read into the table, or refused with a sentence; oracle.py says what that means."""

# As text: hypothesis keeps the tests to the very end, where DuckDB reports types that are still used as leaks.
from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.sources import Source, read
from tests.campaigns.wrapping import BUCKET, MEMBERS, PLAIN, SPLIT, TOLD, ZIPPED, seeds, wrapped
from tests.core.sources.factories import HEADER
from tests.core.sources.oracle import planning_workspace, read_or_refuse

Trial = Callable[[str, bytes], Source | InputError]

quick = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

PIECES = [
    *(b"\0", b'"', b"\n", b"\r", b",", b", ", b";", b"\t", b"{", b"}", b"[", b"]", b":", b"\\", b"-", b"'"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"\x1b[31m"),
    *(b"PAR1", b"PK\x03\x04", b"\x1f\x8b", b"9" * 30, b"1e999", b"NaN", b"null", b"x" * 5_000, b"[" * 2_000),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
CELLS = st.text(max_size=8) | st.sampled_from(["", "1", "-1", "true", "email", "a@example.com", '"', "\0", "\ufeff"])
ENCODINGS = st.sampled_from(
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-7", "cp500"]
)


@pytest.fixture(scope="module")
def planning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A workspace as planning opens it."""
    with planning_workspace(tmp_path_factory.mktemp("planning")) as con:
        yield con


@pytest.fixture
def trial(planning: duckdb.DuckDBPyConnection, tmp_path: Path) -> Trial:
    """Write a file and read it or have it refused."""

    def run(name: str, content: bytes) -> Source | InputError:
        path = tmp_path / name
        path.write_bytes(content)
        return read_or_refuse(path, planning)

    return run


def test_the_samples_are_read(trial: Trial) -> None:
    """What is mutated here are files that can be read, so that mutations reach all of a reader."""
    outcomes = [trial(*wrapped(seed)) for seed in seeds()]

    assert [outcome for outcome in outcomes if isinstance(outcome, InputError)] == []


@quick
@given(data=st.data())
@pytest.mark.parametrize("how", [PLAIN, BUCKET, ZIPPED, TOLD, MEMBERS])
def test_mutated_files(trial: Trial, data: st.DataObject, how: int) -> None:
    """A sample of any shape with some of its bytes exchanged, plain or inside a ZIP with and without a manifest."""
    content = bytearray(data.draw(st.sampled_from([seed[1:] for seed in seeds() if seed[0] == how])))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, min(len(content), start + 20)))
        content[start:stop] = data.draw(st.sampled_from(PIECES) | st.binary(max_size=8))

    trial(*wrapped(bytes([how]) + content))


@quick
@given(how=st.sampled_from([PLAIN, BUCKET, ZIPPED]), content=st.binary(max_size=200))
def test_any_bytes(trial: Trial, how: int, content: bytes) -> None:
    """Bytes that no program has written."""
    trial(*wrapped(bytes([how]) + content))


@quick
@given(rows=st.lists(st.lists(CELLS, max_size=5), max_size=5), end=st.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
@pytest.mark.parametrize("header", [HEADER, "email,isadd,timestamp,audience_id", "mpid;email;user id", "e-mail"])
def test_any_cells(trial: Trial, header: str, rows: list[list[str]], end: str) -> None:
    """Rows of any width under the header of a download or of a table."""
    separator = ";" if ";" in header else ", " if ", " in header else ","
    text = end.join([header, *(separator.join(row) for row in rows)])

    trial("file.csv", text.encode(errors="surrogatepass"))


@quick
@given(encoding=ENCODINGS, text=st.sampled_from([HEADER + "\n1, 2, é, email\n", "email\nbüro@example.com\n"]))
def test_any_encoding(trial: Trial, encoding: str, text: str) -> None:
    """Only UTF-8 is text here."""
    trial("file", text.encode(encoding))


@quick
@given(
    values=st.lists(st.tuples(VALUES, VALUES, VALUES, VALUES), min_size=1, max_size=3),
    between=st.sampled_from(["", "\n", " ", "\r\n", ","]),
)
@pytest.mark.parametrize("shape", ["IsAddRequest", "IsMember"])
def test_any_json(trial: Trial, shape: str, values: list[tuple[Any, ...]], between: str) -> None:
    """Objects of the bucket and of the stream with values of any kind."""
    identities = "IdentityValues" if shape == "IsAddRequest" else "UserIdentities"
    objects = [
        json.dumps({shape: add, identities: known, "MembershipChangedTimestamp": stamp, "AudienceId": audience})
        for add, known, stamp, audience in values
    ]

    trial("file.txt", between.join(objects).encode())


@quick
@given(manifest=VALUES | st.fixed_dictionaries({}, optional={
    "files": VALUES, "audience_ids": VALUES, "included_identities": VALUES, "total_rows": VALUES,
    "total_users": VALUES, "rows_by_identity": VALUES, "manifest_generated": VALUES, "max_timestamp_ms": VALUES,
}))  # fmt: skip
def test_any_manifest(trial: Trial, manifest: Any) -> None:
    """A manifest with values of any kind."""
    trial(*wrapped(bytes([TOLD]) + json.dumps(manifest).encode() + SPLIT + HEADER.encode()))


KINDS = [
    *(pa.string(), pa.binary(), pa.int64(), pa.uint64(), pa.int8(), pa.float64(), pa.bool_(), pa.decimal128(20, 2)),
    *(pa.timestamp("ns"), pa.timestamp("s", "UTC"), pa.date32(), pa.time64("us"), pa.list_(pa.string()), pa.null()),
    *(pa.struct([("a", pa.int8())]), pa.dictionary(pa.int8(), pa.string())),
]


@quick
@given(kinds=st.lists(st.sampled_from(KINDS), min_size=4, max_size=4), cut=st.integers(0, 12))
def test_any_parquet(trial: Trial, tmp_path: Path, kinds: list[pa.DataType], cut: int) -> None:
    """Columns of any type, whole and cut off."""
    names = ["mpid", "email", "timestamp", "isadd"]
    pq.write_table(
        pa.table({name: pa.array([None], kind) for name, kind in zip(names, kinds, strict=True)}), tmp_path / "t"
    )
    content = (tmp_path / "t").read_bytes()

    trial("file", content[: len(content) - cut])


def test_a_control_character_in_a_manifest(trial: Trial) -> None:
    """A type of identity that was damaged is not shown as it is."""
    manifest = json.dumps({"rows_by_identity": {"i\x7fs_\x00idfv" + "x" * 100: 1}}).encode()
    outcome = trial(*wrapped(bytes([TOLD]) + manifest + SPLIT + HEADER.encode()))

    assert isinstance(outcome, InputError)
    assert "rows of type i?s_?idfvxxx" in outcome.message
    assert len(outcome.message) < 200


def test_a_quoted_line_end_in_the_first_row(trial: Trial, planning: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """It doesn't make the separator look like another, by which spaces in quotation marks were lost."""
    rows = ['1, 2, "\n", email', '1, 3, "x, y ", customer_id']
    (tmp_path / "a.csv").write_text("\n".join([HEADER, *rows, ""]))
    read(tmp_path / "a.csv", planning)

    assert planning.execute("SELECT customer_id FROM source").fetchall() == [("x, y",)]
    planning.execute("DROP TABLE source")


@pytest.mark.parametrize("value", [["a@example.com"], {"a": "b"}, b"\xff\xfe"])
def test_parquet_columns_that_are_no_text(trial: Trial, tmp_path: Path, value: object) -> None:
    """Lists, structures and bytes that are no text are not taken for addresses."""
    pq.write_table(pa.table({"email": pa.array([value])}), tmp_path / "t")

    assert isinstance(trial("file", (tmp_path / "t").read_bytes()), InputError)


def test_too_little_memory_is_told_apart(tmp_path: Path) -> None:
    """Planning begins again with more memory where DuckDB had too little: that is no fault of the file or the disk."""
    (tmp_path / "a.csv").write_text(HEADER + "\n" + "".join(f"{n}, 5, {n}@example.com, email\n" for n in range(20_000)))

    with planning_workspace(tmp_path) as con:
        con.execute("SET memory_limit = '2MB'")
        with pytest.raises(duckdb.OutOfMemoryException):
            read(tmp_path / "a.csv", con)
