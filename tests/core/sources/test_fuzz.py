"""Any bytes of any format are read into the table, or refused with a clear error (see oracle.py)."""

# Annotations stay text: hypothesis keeps the tests until the very end, when DuckDB reports types in use as leaks.
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
from tests.campaigns.wrapping import BUCKET, MANIFEST, MEMBERS, PLAIN, SPLIT, ZIPPED, seeds, wrap
from tests.core.sources.factories import HEADER
from tests.core.sources.oracle import planning_workspace, read_or_refuse
from tests.examples import examples

Trial = Callable[[str, bytes], Source | InputError]

quick = settings(
    max_examples=examples(25),
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
    """A workspace like planning's."""
    with planning_workspace(tmp_path_factory.mktemp("planning")) as con:
        yield con


@pytest.fixture
def trial(planning: duckdb.DuckDBPyConnection, tmp_path: Path) -> Trial:
    """A function that writes a file and reads it."""

    def run(name: str, content: bytes) -> Source | InputError:
        path = tmp_path / name
        path.write_bytes(content)
        return read_or_refuse(path, planning)

    return run


def test_the_samples_are_read(trial: Trial) -> None:
    """The samples can be read, so that mutations of them reach all parts of a reader."""
    outcomes = [trial(*wrap(seed)) for seed in seeds()]

    assert [outcome for outcome in outcomes if isinstance(outcome, InputError)] == []


@quick
@given(data=st.data())
@pytest.mark.parametrize("wrapper", [PLAIN, BUCKET, ZIPPED, MANIFEST, MEMBERS])
def test_mutated_files(trial: Trial, data: st.DataObject, wrapper: int) -> None:
    """A sample with some bytes replaced, plain or in a ZIP with or without a manifest, is read or refused."""
    content = bytearray(data.draw(st.sampled_from([seed[1:] for seed in seeds() if seed[0] == wrapper])))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, min(len(content), start + 20)))
        content[start:stop] = data.draw(st.sampled_from(PIECES) | st.binary(max_size=8))

    trial(*wrap(bytes([wrapper]) + content))


@quick
@given(wrapper=st.sampled_from([PLAIN, BUCKET, ZIPPED]), content=st.binary(max_size=200))
def test_any_bytes(trial: Trial, wrapper: int, content: bytes) -> None:
    """Random bytes are read or refused."""
    trial(*wrap(bytes([wrapper]) + content))


@quick
@given(rows=st.lists(st.lists(CELLS, max_size=5), max_size=5), end=st.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
@pytest.mark.parametrize("header", [HEADER, "email,isadd,timestamp,audience_id", "mpid;email;user id", "e-mail"])
def test_any_cells(trial: Trial, header: str, rows: list[list[str]], end: str) -> None:
    """Rows of any width under the header of a download or a table are read or refused."""
    separator = ";" if ";" in header else ", " if ", " in header else ","
    text = end.join([header, *(separator.join(row) for row in rows)])

    trial("file.csv", text.encode(errors="surrogatepass"))


@quick
@given(encoding=ENCODINGS, text=st.sampled_from([HEADER + "\n1, 2, é, email\n", "email\nbüro@example.com\n"]))
def test_any_encoding(trial: Trial, encoding: str, text: str) -> None:
    """A file in any encoding is read or refused; only UTF-8 is text."""
    trial("file", text.encode(encoding))


@quick
@given(
    values=st.lists(st.tuples(VALUES, VALUES, VALUES, VALUES), min_size=1, max_size=3),
    separator=st.sampled_from(["", "\n", " ", "\r\n", ","]),
)
@pytest.mark.parametrize("shape", ["IsAddRequest", "IsMember"])
def test_any_json(trial: Trial, shape: str, values: list[tuple[Any, ...]], separator: str) -> None:
    """Objects of a bucket or a stream with values of any type are read or refused."""
    identities = "IdentityValues" if shape == "IsAddRequest" else "UserIdentities"
    objects = [
        json.dumps({shape: add, identities: known, "MembershipChangedTimestamp": stamp, "AudienceId": audience})
        for add, known, stamp, audience in values
    ]

    trial("file.txt", separator.join(objects).encode())


@quick
@given(manifest=VALUES | st.fixed_dictionaries({}, optional={
    "files": VALUES, "audience_ids": VALUES, "included_identities": VALUES, "total_rows": VALUES,
    "total_users": VALUES, "rows_by_identity": VALUES, "manifest_generated": VALUES, "max_timestamp_ms": VALUES,
}))  # fmt: skip
def test_any_manifest(trial: Trial, manifest: Any) -> None:
    """A manifest with values of any type is read or refused."""
    trial(*wrap(bytes([MANIFEST]) + json.dumps(manifest).encode() + SPLIT + HEADER.encode()))


KINDS = [
    *(pa.string(), pa.binary(), pa.int64(), pa.uint64(), pa.int8(), pa.float64(), pa.bool_(), pa.decimal128(20, 2)),
    *(pa.timestamp("ns"), pa.timestamp("s", "UTC"), pa.date32(), pa.time64("us"), pa.list_(pa.string()), pa.null()),
    *(pa.struct([("a", pa.int8())]), pa.dictionary(pa.int8(), pa.string())),
]


@quick
@given(kinds=st.lists(st.sampled_from(KINDS), min_size=4, max_size=4), cut=st.integers(0, 12))
def test_any_parquet(trial: Trial, tmp_path: Path, kinds: list[pa.DataType], cut: int) -> None:
    """Parquet columns of any type, complete or truncated, are read or refused."""
    names = ["mpid", "email", "timestamp", "isadd"]
    pq.write_table(
        pa.table({name: pa.array([None], kind) for name, kind in zip(names, kinds, strict=True)}), tmp_path / "t"
    )
    content = (tmp_path / "t").read_bytes()

    trial("file", content[: len(content) - cut])


def test_a_control_character_in_a_manifest(trial: Trial) -> None:
    """The error for a damaged type of identity shows no control characters."""
    manifest = json.dumps({"rows_by_identity": {"i\x7fs_\x00idfv" + "x" * 100: 1}}).encode()
    outcome = trial(*wrap(bytes([MANIFEST]) + manifest + SPLIT + HEADER.encode()))

    assert isinstance(outcome, InputError)
    assert "rows of type i?s_?idfvxxx" in outcome.message
    assert len(outcome.message) < 200


def test_a_quoted_line_end_in_the_first_row(trial: Trial, planning: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """A quoted line end in the first row does not confuse the detection of the separator."""
    rows = ['1, 2, "\n", email', '1, 3, "x, y ", customer_id']
    (tmp_path / "a.csv").write_text("\n".join([HEADER, *rows, ""]))
    read(tmp_path / "a.csv", planning)

    assert planning.execute("SELECT customer_id FROM source").fetchall() == [("x, y",)]
    planning.execute("DROP TABLE source")


@pytest.mark.parametrize("value", [["a@example.com"], {"a": "b"}, b"\xff\xfe"])
def test_parquet_columns_that_are_not_text(trial: Trial, tmp_path: Path, value: object) -> None:
    """Lists, structures and bytes that are not text are not read as addresses."""
    pq.write_table(pa.table({"email": pa.array([value])}), tmp_path / "t")

    assert isinstance(trial("file", (tmp_path / "t").read_bytes()), InputError)


def test_too_little_memory_is_a_separate_error(tmp_path: Path) -> None:
    """Too little memory is not an error of the file or the disk: planning starts again with more."""
    (tmp_path / "a.csv").write_text(HEADER + "\n" + "".join(f"{n}, 5, {n}@example.com, email\n" for n in range(20_000)))

    with planning_workspace(tmp_path) as con:
        con.execute("SET memory_limit = '2MB'")
        with pytest.raises(duckdb.OutOfMemoryException):
            read(tmp_path / "a.csv", con)
