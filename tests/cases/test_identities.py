"""No one disappears: what stands in the cells, in every format, and who the members are then."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import InputError
from tests.cases.identities import DECORATED, NULL_WORDS, REWRITTEN, TABLES, Table
from tests.core.harness import Sync
from tests.core.sources.conftest import Reading

Refusal = Callable[..., InputError]
Writer = Callable[[Path, list[str], list[list[str]]], Path]


def write_csv(path: Path, columns: list[str], rows: list[list[str]]) -> Path:
    """A table as CSV."""
    stream = io.StringIO()
    csv.writer(stream).writerows([columns, *rows])
    path.write_text(stream.getvalue())
    return path


def write_parquet(path: Path, columns: list[str], rows: list[list[str]]) -> Path:
    """A table as Parquet."""
    pq.write_table(pa.table({name: [row[place] for row in rows] for place, name in enumerate(columns)}), path)
    return path


def write_download(path: Path, columns: list[str], rows: list[list[str]]) -> Path:
    """A download: a row for each identity; profiles get the mpids 1, 2, ..."""
    kinds = [name.lower().replace(" ", "_") for name in columns]
    lines = [["mpid", "scanned_timestamp_ms", "identity_value", "identity_type"]]
    lines += [
        [str(mpid), "1538596729", value, kind]
        for mpid, row in enumerate(rows, start=1)
        for kind, value in zip(kinds, row, strict=True)
    ]
    stream = io.StringIO()
    csv.writer(stream).writerows(lines)
    path.write_text(stream.getvalue())
    return path


def write_bucket(path: Path, columns: list[str], rows: list[list[str]]) -> Path:
    """Additions as mParticle writes them to a bucket."""
    objects = [
        {"IsAddRequest": True, "IdentityValues": dict(zip(columns, row, strict=True)), "MembershipChangedTimestamp": 1}
        for row in rows
    ]
    path.write_text("\n".join(map(json.dumps, objects)))
    return path


def write_stream(path: Path, columns: list[str], rows: list[list[str]]) -> Path:
    """Additions as mParticle sends them to Kinesis."""
    names = {"email": "Email", "customer_id": "CustomerId"}
    objects = [
        {"IsMember": True, "AudienceId": 1, "UserIdentities": {names[c]: v for c, v in zip(columns, row, strict=True)}}
        for row in rows
    ]
    path.write_text("".join(map(json.dumps, objects)))
    return path


WRITERS: dict[str, Writer] = {
    "csv": write_csv,
    "parquet": write_parquet,
    "download": write_download,
    "bucket": write_bucket,
    "stream": write_stream,
}
formats = pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)


@formats
def test_words_for_nothing_are_no_customer_ids(tmp_path: Path, reading: Reading, writer: Writer) -> None:
    """Everyone whose id is such a word stays a member of their own, without an id."""
    rows = [[f"p{number}@example.com", word] for number, word in enumerate(NULL_WORDS)]
    source, profiles = reading(writer(tmp_path / "audience", ["email", "customer_id"], rows))

    assert sorted(profile[2] for profile in profiles.values()) == sorted(row[0] for row in rows)
    assert {profile[3] for profile in profiles.values()} == {None}
    blanks = sum(not word.strip() for word in NULL_WORDS)
    assert any(f"{len(NULL_WORDS) - blanks} members have NULL" in note for note in source.notes)


@formats
def test_words_for_nothing_are_no_emails(tmp_path: Path, reading: Reading, writer: Writer) -> None:
    """They are members without an address, and not people with a wrong one."""
    rows = [[word, f"c{number}"] for number, word in enumerate(NULL_WORDS)]
    _, profiles = reading(writer(tmp_path / "audience", ["email", "customer_id"], rows))

    assert sorted(profile[3] for profile in profiles.values()) == sorted(row[1] for row in rows)
    assert {profile[2] for profile in profiles.values()} == {None}


@formats
def test_what_stands_around_an_address_is_no_part_of_it(tmp_path: Path, reading: Reading, writer: Writer) -> None:
    """Invisible characters, and what mail programs and spreadsheets put there."""
    rows = [[address, f"c{number}"] for number, address in enumerate(DECORATED)]
    source, profiles = reading(writer(tmp_path / "audience", ["email", "customer_id"], rows))

    assert len(profiles) == len(rows)
    assert {profile[2] for profile in profiles.values()} == {"ann@example.com"}
    assert any("cleaned of invisible characters" in note for note in source.notes)


@pytest.mark.parametrize("value", REWRITTEN)
@formats
def test_ids_that_a_spreadsheet_rewrote_are_refused(
    tmp_path: Path, refusal: Refusal, writer: Writer, value: str
) -> None:
    """Different people would have the same id."""
    rows = [["a@example.com", "c1"], ["b@example.com", value]]
    error = refusal(writer(tmp_path / "audience", ["email", "customer_id"], rows))

    assert "a spreadsheet wrote a long number as 1.23E+11" in error.message


def test_ids_that_all_end_with_a_decimal_are_refused(refusal: Refusal, reading: Reading) -> None:
    """Pandas writes whole numbers so in a column with gaps; one of many may be a version."""
    assert (
        "every customer id ends with .0" in refusal("email,customer_id\na@example.com,12.0\nb@example.com,\n").message
    )
    assert len(reading("email,customer_id\na@example.com,12.0\nb@example.com,x\n")[1]) == 2


@pytest.mark.parametrize("cell", ['"=""00123"""', "'00123", "00123"])
def test_ids_that_a_spreadsheet_keeps_as_text(reading: Reading, cell: str) -> None:
    """The signs by which a spreadsheet keeps them are no part of them."""
    assert list(reading(f"email,customer_id\na@example.com,{cell}\n")[1]) == ["customer:00123"]


@pytest.mark.parametrize("mpid", ["\\N", "NULL", "0", "", "n/a"])
def test_no_mpid(reading: Reading, mpid: str) -> None:
    """Mpid 0 means that there is no user yet."""
    source, profiles = reading(f"mpid,email\n{mpid},a@example.com\n5,b@example.com\n")

    assert set(profiles) == {"email:a@example.com", "5"}
    assert (source.rows, source.merged_rows) == (2, 0)


def test_empty_rows_of_a_spreadsheet_are_no_people(reading: Reading) -> None:
    """A row counts if any cell of it holds something."""
    source, profiles = reading("email,customer_id,name\na@example.com,c1,x\n,,\n , ,\n,,y\n\n,,\n")

    assert set(profiles) == {"customer:c1", "row:2"}
    assert source.rows == 2


def test_an_error_below_empty_rows_and_a_second_header_tells_the_line(refusal: Refusal) -> None:
    """Lines are counted as a text editor counts them."""
    error = refusal("mpid,email\n1,a@example.com\n,\nmpid,email\nx,b@example.com\n")

    assert error.line == 5


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_repeated_header_is_no_member(reading: Reading, mark: str) -> None:
    """Parts of an export that were put together, each with its byte order mark."""
    part = f"{mark}email,customer_id\n"
    source, profiles = reading(f"{part}a@example.com,c1\n{part}b@example.com,c2\n")

    assert set(profiles) == {"customer:c1", "customer:c2"}
    assert source.rows == 2


@pytest.mark.parametrize("case", TABLES, ids=lambda case: case.name)
async def test_tables(tmp_path: Path, sync: Sync, case: Table) -> None:
    """Every row is counted somewhere, and who would be dropped is asked about."""
    path = write_csv(tmp_path / "people.csv", ["Email", "Customer"], [list(row) for row in case.rows])
    planned = await sync.run(path, dry_run=True)
    assert planned.run.plan is not None
    assert tuple(guard.name.value for guard in planned.run.plan.guards) == case.guards

    done = await sync.run(path, approved=True)

    assert done.counts == case.counts
    assert done.run.plan is not None
    assert done.run.plan.rows_read == len(case.rows) == done.run.plan.rows_merged + case.counts["members"]


async def test_the_company_as_customer_id_is_asked_about(tmp_path: Path, sync: Sync) -> None:
    """In a sentence that names the column."""
    company = next(case for case in TABLES if case.name == "customer-is-the-company")
    path = write_csv(tmp_path / "people.csv", ["Email", "Customer"], [list(row) for row in company.rows])
    waiting = await sync.run(path)

    assert waiting.run.plan is not None
    message = (
        "The column Customer has the same value for several emails: 2 of 4 addresses would be dropped. "
        "Is it the company?"
    )
    assert [guard.message for guard in waiting.run.plan.guards] == [message]
    assert waiting.rejected == {"shared_customer_id": 2}


async def test_ids_that_vanish_are_asked_about(tmp_path: Path, sync: Sync) -> None:
    """Fifteen ids of a hundred became NULL: that is a mistake in the export, and no one is removed for it."""
    people = [[f"u{number}@example.com", f"c{number}"] for number in range(100)]
    await sync.run(write_csv(tmp_path / "first.csv", ["email", "customer_id"], people))
    path = write_csv(
        tmp_path / "second.csv", ["email", "customer_id"], [[email, "NULL"] for email, _ in people[:15]] + people[15:]
    )
    waiting = await sync.run(path)

    assert waiting.run.plan is not None
    assert [guard.name.value for guard in waiting.run.plan.guards] == ["vanished_identities"]
    assert waiting.run.plan.to_remove == 0
    assert len(sync.emails()) == 100


async def test_emails_that_vanish_are_asked_about(tmp_path: Path, sync: Sync) -> None:
    """The other way round: the id is there and the address is not."""
    people = [[f"u{number}@example.com", f"c{number}"] for number in range(100)]
    await sync.run(write_csv(tmp_path / "first.csv", ["email", "customer_id"], people))
    second = [["n/a", customer_id] for _, customer_id in people[:2]] + people[2:]
    waiting = await sync.run(write_csv(tmp_path / "second.csv", ["email", "customer_id"], second))

    assert waiting.run.plan is not None
    assert [guard.name.value for guard in waiting.run.plan.guards] == ["vanished_identities"]
