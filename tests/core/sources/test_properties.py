"""Properties of any file: grouping is exact, and every problem is an `InputError`."""

# Annotations stay text: hypothesis keeps the tests until the very end, when DuckDB reports types in use as leaks.
from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.sources import Source, read
from core.sources.detection import detect
from core.sources.raw_identity import clean_customer_id, clean_email
from core.sources.source_file import SourceFile
from tests.core.databases import sampled
from tests.core.sources.conftest import Profiles, compare, profiles
from tests.core.sources.factories import CSV_NAME, HEADER, change, download_csv, manifest, message, table_csv
from tests.examples import examples

Trial = Callable[[str | bytes, str], tuple[Source, Profiles]]

quick = settings(
    max_examples=examples(30),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

MPIDS = st.one_of(st.integers(-3, -1), st.integers(1, 3), st.sampled_from([-(2**63), 2**63 - 1]))
STAMPS = st.one_of(
    st.integers(1580148438, 1580148440),
    st.integers(1580148438998, 1580148439002),
    st.sampled_from([0, -1, 10**11 - 1, 10**11, 2**62]),
)
# Without the letters of ids that are refused: errors of a spreadsheet, lists, and 1E+05.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r#0["), max_size=8)
VALUES = st.one_of(
    TEXT, st.sampled_from(["", " ", "a@example.com", "A@Example.com ", 'a,"b', "x, y", "é\u3000", "\u2028", "\uf700"])
)
TYPES = st.sampled_from(["email", "customer_id", "customer", "Email", "ios_idfv"])


@pytest.fixture
def trial(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> Trial:
    """A function that reads files one after the other into the same workspace."""

    def run(content: str | bytes, name: str) -> tuple[Source, Profiles]:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        source = read(path, con)
        compare(path, con, source, {})
        return source, profiles(con)

    return run


def milliseconds(stamp: int) -> int:
    """A timestamp in milliseconds; smaller numbers are seconds."""
    return stamp * 1000 if abs(stamp) < 10**11 else stamp


def in_order(rows: list[Any], stamp: Callable[[Any], int]) -> list[Any]:
    """The rows from the oldest to the latest; equal ones keep their order."""
    return sorted(rows, key=lambda row: milliseconds(stamp(row)))


@quick
@given(rows=st.lists(st.tuples(MPIDS, STAMPS, VALUES, TYPES), max_size=25))
def test_grouping_of_a_download(trial: Trial, rows: list[tuple[int, int, str, str]]) -> None:
    """A download is grouped like in plain Python, with ties, negative mpids, quotes, commas and any letters."""
    expected: dict[str, list[Any]] = {str(mpid): [mpid, True, None, None] for mpid, *_ in rows}
    for mpid, _, value, kind in in_order(rows, lambda row: row[1]):
        place = {"email": 2, "customer_id": 3, "customer": 3}.get(kind.lower())
        clean = clean_email if place == 2 else clean_customer_id
        if place and clean(value):
            expected[str(mpid)][place] = clean(value)

    source, grouped = trial(download_csv(rows), CSV_NAME)

    assert grouped == {profile: tuple(row) for profile, row in expected.items()}
    assert source.rows == len(rows)


@quick
@given(
    rows=st.lists(
        st.tuples(st.one_of(st.none(), MPIDS), st.booleans(), STAMPS, VALUES, VALUES), min_size=1, max_size=20
    )
)
@pytest.mark.parametrize("separator", ["", "\n"])
def test_grouping_of_a_delta(trial: Trial, separator: str, rows: list[tuple[int | None, bool, int, str, str]]) -> None:
    """A delta has the latest row of each profile, whatever the profile's key."""
    expected: dict[str, tuple[Any, ...]] = {}
    numbered = [(*row, number) for number, row in enumerate(rows, start=1)]
    for mpid, add, _, email, customer, number in in_order(numbered, lambda row: row[2]):
        identities = clean_email(email), clean_customer_id(customer)
        expected[key(mpid, *identities, number)] = (mpid, add, *identities)

    _, grouped = trial(
        separator.join(change(m, add=a, stamp=s, email=e, customer_id=c) for m, a, s, e, c in rows), "delta.txt"
    )

    assert grouped == expected


@quick
@given(rows=st.lists(st.tuples(st.one_of(st.none(), MPIDS), VALUES, VALUES), max_size=20))
@pytest.mark.parametrize("delimiter", sampled([",", ";", "\t", "|", ", "], 3))
def test_grouping_of_a_table(trial: Trial, delimiter: str, rows: list[tuple[int | None, str, str]]) -> None:
    """A row is a person, unless it shares an mpid or all its identities with another, with any separator."""
    people: dict[object, list[Any]] = {}
    for number, (mpid, email, customer) in enumerate(rows):
        identities = clean_email(email), clean_customer_id(customer)
        normalized = (identities[0] or "").lower(), identities[1]
        row = people.setdefault(
            (mpid, *(() if mpid is not None else normalized if any(normalized) else (number,))), [mpid]
        )
        row[1:] = [True, identities[0] or (row[2:] or [None])[0], identities[1] or (row[3:] or [None])[0]]

    cells = [("" if mpid is None else str(mpid), email, customer, "x") for mpid, email, customer in rows]
    source, grouped = trial(
        table_csv(("mpid", "email", "customer_id", "note"), *cells, delimiter=delimiter), "table.csv"
    )

    assert sorted(map(repr, grouped.values())) == sorted(repr(tuple(person)) for person in people.values())
    assert source.rows - source.merged_rows == len(people)


def key(mpid: int | None, email: str | None, customer: str | None, number: int) -> str:
    """The key of a profile."""
    if mpid is not None:
        return str(mpid)
    if customer:
        return f"customer:{customer}"
    return f"email:{email.lower()}" if email else f"row:{number}"


def refusal_of(action: Callable[[], object]) -> InputError | None:
    """The `InputError` of an action, or None; any other exception is raised."""
    try:
        action()
    except InputError as error:
        return error
    return None


@quick
@given(content=st.binary(max_size=300))
def test_any_bytes_are_recognized_or_refused(tmp_path: Path, content: bytes) -> None:
    """Random bytes are recognized, or refused with an `InputError`."""
    path = tmp_path / "any"
    path.write_bytes(content)

    error = refusal_of(lambda: detect(SourceFile(path, "any")))

    assert error is None or error.path == "any"


def packed(content: bytes | str) -> bytes:
    """A ZIP of a download."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(CSV_NAME, content)
        archive.writestr("manifest.json", json.dumps(manifest({CSV_NAME: []})))
    return stream.getvalue()


SEEDS = [
    download_csv().encode(),
    packed(HEADER),
    (change() + "\n" + change(2)).encode(),
    (message() + message("x")).encode(),
    table_csv(("email", "mpid"), ("a@example.com", "1"), ("b@example.com", "")).encode(),
]
PIECES = [
    b"\0",
    b'"',
    b"\n",
    b"\r",
    b",",
    b", ",
    b"{",
    b"}",
    b"[",
    b"\xff",
    b"\xc3",
    b"PAR1",
    b"\\",
    b"9" * 30,
    b"-",
    b":",
]


@quick
@given(data=st.data(), seed=st.sampled_from(SEEDS))
def test_a_damaged_file_is_read_or_refused(trial: Trial, data: st.DataObject, seed: bytes) -> None:
    """A damaged file is read, or refused with an `InputError` that shows nothing of it."""
    content = bytearray(seed.replace(b"example.com", b"secret.com"))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, min(len(content), start + 8)))
        content[start:stop] = data.draw(st.sampled_from(PIECES) | st.binary(max_size=4))

    error = refusal_of(lambda: trial(bytes(content), "damaged"))

    assert error is None or ("secret.com" not in error.message and error.path)


@quick
@given(cells=st.lists(TEXT.filter(lambda cell: "@" not in cell), min_size=1, max_size=5))
def test_any_header_is_read_or_refused(trial: Trial, cells: list[str]) -> None:
    """A header with any names is read, or refused with an `InputError`."""
    stream = io.StringIO()
    csv.writer(stream).writerow(cells)

    error = refusal_of(lambda: trial(stream.getvalue(), "table.csv"))

    assert error is None or error.path == "table.csv"
