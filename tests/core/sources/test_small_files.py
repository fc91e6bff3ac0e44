"""Small plain files are read without DuckDB, and mean the same as in DuckDB."""

# Annotations stay text: hypothesis keeps the tests until the very end, when DuckDB reports types in use as leaks.
from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.sources import read
from core.sources.small_files import MOST_BYTES_A_PROFILE, read_small
from tests.core.sources.factories import CSV_NAME, download_csv, download_zip, manifest
from tests.core.sources.oracle import check_small
from tests.examples import examples

MPIDS = st.sampled_from(["", "1", "-1", "5991422180106081928", str(-(2**63)), str(2**63 - 1)])
STRANGE_MPIDS = st.sampled_from(["0", "01", "+1", " 1", "1e3", "1.0", str(2**63), "9" * 20, "'1", "NULL", "x"])
EMAILS = st.sampled_from(["", "a@example.com", "B@example.com", "b@example.com", "no.address.at.all", "c@exam ple.com"])
STRANGE_EMAILS = st.sampled_from(["null", "n/a", " a@example.com", "<a@example.com>", "a@example.com,", "é@e.com"])
IDS = st.sampled_from(["", "c1", "c2", "C1", "7", "x.0", "customer_id", "a b", "{x}", "-5", "unknown"])
STRANGE_IDS = st.sampled_from(["0", "7.0", "NaN", "-", "'7", "1E+11", "[1]", "é", "total", "3 rows", "x\u00a0", "c1 "])
STAMPS = st.sampled_from(["1538596729", "1538596729000", "99999999999", "100000000000", "0"])
STRANGE_STAMPS = st.sampled_from(["", "2020-01-02", "-1", "1.5", "x"])
AUDIENCES = st.sampled_from(["", "Parisians", "Parisians", "Parisians", "Londoners"])
TRUTHS = st.sampled_from(["true", "false", "1", "no", "T"])
NOTES = st.sampled_from(["", "x", "é", " y ", "total"])
CELLS = {
    "mpid": (MPIDS, STRANGE_MPIDS),
    "email": (EMAILS, STRANGE_EMAILS),
    "customer_id": (IDS, STRANGE_IDS),
    "timestamp": (STAMPS, STRANGE_STAMPS),
    "audience_name": (AUDIENCES, AUDIENCES),
    "isadd": (TRUTHS, st.sampled_from(["", "maybe"])),
    "note": (NOTES, NOTES),
}


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """Tables, most of them plain, and some with a strange cell, line or byte."""
    columns = draw(st.permutations(list(CELLS)))[: draw(st.integers(1, len(CELLS)))]
    rows = [[draw(CELLS[column][0]) for column in columns] for _ in range(draw(st.integers(1, 6)))]
    if draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(columns) - 1))
        rows[draw(st.integers(0, len(rows) - 1))][place] = draw(CELLS[columns[place]][1])
    delimiter = draw(st.sampled_from([",", ",", ";", "\t", "|"]))
    lines = [delimiter.join(cells) for cells in (columns, *rows)]
    if draw(st.integers(0, 3)) == 0:
        strange = draw(
            st.sampled_from(["", lines[0], f"\ufeff{lines[0]}", "(2 rows)", "-----", f"{lines[-1]}{delimiter}x"])
        )
        lines.insert(draw(st.integers(0, len(lines))), strange)
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    content = (end.join(lines) + draw(st.sampled_from(["", end]))).encode()
    return draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"])) + content


IDENTITIES = st.one_of(
    st.tuples(st.just("email"), EMAILS),
    st.tuples(st.sampled_from(["customer_id", "customer"]), IDS),
    st.tuples(st.sampled_from(["ios_idfv", "facebook", ""]), NOTES),
)
STRANGE_IDENTITIES = st.one_of(
    st.tuples(st.just("email"), STRANGE_EMAILS),
    st.tuples(st.just("customer_id"), STRANGE_IDS),
    st.tuples(st.sampled_from(["Email", " customer", "email_hash"]), EMAILS),
)


@st.composite
def downloads(draw: st.DrawFn) -> tuple[list[tuple[str, str, str, str]], bool]:
    """Rows of a download, most of them plain, and whether the manifest counts one row too many."""
    rows = [
        (draw(MPIDS) or "7", draw(STAMPS), value, kind)
        for kind, value in draw(st.lists(IDENTITIES, min_size=1, max_size=8))
    ]
    if draw(st.integers(0, 2)) == 0:
        place, (kind, value) = draw(st.integers(0, len(rows) - 1)), draw(STRANGE_IDENTITIES)
        rows[place] = (draw(STRANGE_MPIDS), draw(STRANGE_STAMPS), value, kind)
    return rows, draw(st.integers(0, 5)) == 0


quick = settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def compare_readers(path: Path, con: duckdb.DuckDBPyConnection, audience: str | None = None) -> bool:
    """Read a file with both readers, and compare. Returns whether it was read without DuckDB."""
    try:
        source = read(path, con, audience=audience)
    except InputError:
        return check_small(path, None, [], audience=audience)
    return check_small(path, source, con.execute("SELECT * FROM source").fetchall(), audience=audience)


@quick
@given(content=tables())
def test_tables_mean_the_same(con: duckdb.DuckDBPyConnection, tmp_path: Path, content: bytes) -> None:
    """A table that is read without DuckDB means the same there, and one that DuckDB refuses is left to it."""
    path = tmp_path / "people.csv"
    path.write_bytes(content)
    compare_readers(path, con)


@quick
@given(download=downloads(), name=st.sampled_from([CSV_NAME, "people.csv"]))
def test_downloads_mean_the_same(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, download: tuple[list[Any], bool], name: str
) -> None:
    """So do downloads, as CSV or as ZIP with a manifest, which has to be right."""
    rows, is_wrong = download
    (tmp_path / name).write_text(download_csv(rows))
    changed = {"total_rows": len(rows) + 1} if is_wrong else {}
    packed = download_zip(tmp_path / "audience.zip", {CSV_NAME: rows}, manifest({CSV_NAME: rows}, **changed))

    compare_readers(tmp_path / name, con)
    assert not (compare_readers(packed, con) and is_wrong)


@pytest.mark.parametrize(
    "text",
    [
        "email\na@example.com\n",
        "mpid;email;customer_id;note\r\n5991422180106081928;A@example.com;c1;é\r\n-1;;c2;x\r\n",
        "customer_id,isadd,timestamp,audience_id\nc1,true,1538596729,7\nc2,false,1538596730000,7",
        "\ufeffTitle\nemail,mpid\na@example.com,\nb@example.com,2\n",
    ],
)
def test_reads_plain_tables(con: duckdb.DuckDBPyConnection, tmp_path: Path, text: str) -> None:
    """Plain tables are read without DuckDB: any separator, line end, audience and time stamps, a title above them."""
    path = tmp_path / "people.csv"
    path.write_text(text)

    assert compare_readers(path, con)


def test_reads_plain_downloads(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """A download is read without DuckDB, as CSV and as ZIP, also one of an audience that is chosen by its id."""
    (tmp_path / CSV_NAME).write_text(download_csv())

    assert compare_readers(tmp_path / CSV_NAME, con)
    assert compare_readers(download_zip(tmp_path / "audience.zip"), con, audience="8754")
    assert not compare_readers(tmp_path / "audience.zip", con, audience="8755")


def test_leaves_larger_tables_to_duckdb(tmp_path: Path) -> None:
    """A table with more rows or bytes than allowed is not read, nor a folder or a file that is not there."""
    path = tmp_path / "people.csv"
    path.write_text("email\na@example.com\nb@example.com\n")

    assert read_small(path, most_profiles=2) is not None
    assert read_small(path, most_profiles=1) is None
    assert read_small(tmp_path, most_profiles=9) is None
    assert read_small(tmp_path / "nothing.csv", most_profiles=9) is None
    path.write_text("email,note\na@example.com," + "x" * (9 * MOST_BYTES_A_PROFILE))
    assert read_small(path, most_profiles=9) is None
