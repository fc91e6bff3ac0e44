"""Rows that are grouped in parts become the same profiles as rows that are grouped at once."""

# Annotations stay text: hypothesis keeps the tests until the very end, when DuckDB reports types in use as leaks.
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.sources import read, stage_parts
from core.sources.field_columns import TABLE
from tests.core.sources.factories import CSV_NAME, change, download_csv, table_csv
from tests.core.sources.test_properties import MPIDS, STAMPS, TYPES, VALUES
from tests.examples import examples

Comparison = Callable[..., None]

quick = settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PARTS = st.sampled_from([1, 2, 5])
# Few values, so that most people have several rows.
IDENTITIES = st.one_of(st.sampled_from(["", "a@example.com", "A@Example.com", "b", "c"]), VALUES)
NUMBERS = st.one_of(st.none(), MPIDS)


@pytest.fixture
def compare(con: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Comparison:
    """A function that reads a file at once and in parts of so many rows, and compares all that is read."""

    def read_file(path: Path, fields: Sequence[str]) -> tuple[Any, ...]:
        source = read(path, con, fields=fields)
        rows = con.execute("SELECT * FROM source ORDER BY ALL").fetchall()
        values = con.execute(f"SELECT * FROM {TABLE} ORDER BY ALL").fetchall() if fields else []
        tables = con.execute("SHOW TABLES").fetchall()
        con.execute(f"DROP TABLE IF EXISTS {TABLE}")
        return source, rows, values, tables

    def run(content: str, name: str, part: int, fields: Sequence[str] = ()) -> None:
        path = tmp_path / name
        path.write_text(content)
        monkeypatch.setattr(stage_parts, "AT_ONCE", 1_000)
        at_once = read_file(path, fields)
        monkeypatch.setattr(stage_parts, "AT_ONCE", 0)
        monkeypatch.setattr(stage_parts, "PART", part)
        assert read_file(path, fields) == at_once
        assert not list(tmp_path.glob("**/audience-*"))

    return run


@quick
@given(
    rows=st.lists(st.tuples(st.one_of(st.just(0), MPIDS), STAMPS, IDENTITIES, TYPES), min_size=2, max_size=25),
    part=PARTS,
)
def test_parts_of_a_download(compare: Comparison, rows: list[tuple[int, int, str, str]], part: int) -> None:
    """A profile has a row for each identity: also several of a kind, none, only a device, or no mpid."""
    compare(download_csv(rows), CSV_NAME, part)


@pytest.mark.extended
@quick
@given(rows=st.lists(st.tuples(NUMBERS, st.booleans(), STAMPS, IDENTITIES, IDENTITIES), min_size=2, max_size=20))
def test_parts_of_a_delta(compare: Comparison, rows: list[tuple[int | None, bool, int, str, str]]) -> None:
    """The latest row of a profile counts."""
    lines = [change(m, add=a, stamp=s, email=e, customer_id=c) for m, a, s, e, c in rows]
    compare("\n".join(lines), "delta.txt", 1)


@quick
@given(rows=st.lists(st.tuples(NUMBERS, IDENTITIES, IDENTITIES, IDENTITIES), min_size=2, max_size=20), part=PARTS)
@pytest.mark.parametrize("fields", [(), ("plan",)])
def test_parts_of_a_table(
    compare: Comparison, fields: Sequence[str], rows: list[tuple[int | None, str, str, str]], part: int
) -> None:
    """Rows without an mpid that share a customer id, and differ in the email or not, and data fields."""
    cells = [("" if mpid is None else str(mpid), *values) for mpid, *values in rows]
    compare(table_csv(("mpid", "email", "customer_id", "plan"), *cells), "table.csv", part, fields)


def test_profiles_in_several_parts(compare: Comparison) -> None:
    """Each part has profiles of several rows, whose rows are spread over the file."""
    rows = [
        (mpid, 1538596000 + turn, f"m{mpid}t{turn}@example.com", "email") for turn in (2, 1, 3) for mpid in range(9)
    ]
    compare(download_csv(rows), CSV_NAME, 4)
