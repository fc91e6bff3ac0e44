"""No member disappears: the cells of every format, and the expected members."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import InputError
from tests.cases.identities import DECORATED, NULL_WORDS, REWRITTEN, TABLES, Table
from tests.core.databases import sampled
from tests.core.harness import Sync
from tests.core.sources.conftest import Reading

Refusal = Callable[..., InputError]
Writer = Callable[[Path, list[str], list[list[str]]], Path]


def write_csv(path: Path, columns: list[str], rows: list[list[str]]) -> Path:
    """Write a table as CSV."""
    stream = io.StringIO()
    csv.writer(stream).writerows([columns, *rows])
    path.write_text(stream.getvalue())
    return path


def write_parquet(path: Path, columns: list[str], rows: list[list[str]]) -> Path:
    """Write a table as Parquet."""
    pq.write_table(pa.table({name: [row[place] for row in rows] for place, name in enumerate(columns)}), path)
    return path


def write_download(path: Path, columns: list[str], rows: list[list[str]]) -> Path:
    """Write a download, with a row for each identity; profiles get the mpids 1, 2, ..."""
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
    """Write additions in the format of a bucket."""
    objects = [
        {"IsAddRequest": True, "IdentityValues": dict(zip(columns, row, strict=True)), "MembershipChangedTimestamp": 1}
        for row in rows
    ]
    path.write_text("\n".join(map(json.dumps, objects)))
    return path


def write_stream(path: Path, columns: list[str], rows: list[list[str]]) -> Path:
    """Write additions in the format of Kinesis."""
    names = {"email": "Email", "customer_id": "CustomerId"}
    objects = [
        {"IsMember": True, "AudienceId": 1, "UserIdentities": {names[c]: v for c, v in zip(columns, row, strict=True)}}
        for row in rows
    ]
    path.write_text("".join(map(json.dumps, objects)))
    return path


def write_json(path: Path, columns: list[str], rows: list[list[str]]) -> Path:
    """Write a table as JSON lines."""
    path.write_text("\n".join(json.dumps(dict(zip(columns, row, strict=True))) for row in rows))
    return path


def write_workbook(path: Path, columns: list[str], rows: list[list[str]]) -> Path:
    """Write a table as a workbook. Excel's words for errors become cells with errors."""
    book = openpyxl.Workbook()
    for row in [columns, *rows]:
        book.active.append(row)
    book.save(path)
    return path


WRITERS: dict[str, Writer] = {
    "json": write_json,
    "workbook": write_workbook,
    "csv": write_csv,
    "parquet": write_parquet,
    "download": write_download,
    "bucket": write_bucket,
    "stream": write_stream,
}
formats = pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)


@formats
def test_null_words_are_not_customer_ids(tmp_path: Path, reading: Reading, writer: Writer) -> None:
    """A member whose customer id is a null word stays a separate member, without an id."""
    rows = [[f"p{number}@example.com", word] for number, word in enumerate(NULL_WORDS)]
    source, profiles = reading(writer(tmp_path / "audience", ["email", "customer_id"], rows))

    assert sorted(profile[2] for profile in profiles.values()) == sorted(row[0] for row in rows)
    assert {profile[3] for profile in profiles.values()} == {None}
    blanks = sum(not word.strip() for word in NULL_WORDS)
    assert any(f"{len(NULL_WORDS) - blanks} members have NULL" in note for note in source.notes)


@formats
def test_null_words_are_not_emails(tmp_path: Path, reading: Reading, writer: Writer) -> None:
    """A member whose email is a null word has no email, and not an invalid one."""
    rows = [[word, f"c{number}"] for number, word in enumerate(NULL_WORDS)]
    _, profiles = reading(writer(tmp_path / "audience", ["email", "customer_id"], rows))

    assert sorted(profile[3] for profile in profiles.values()) == sorted(row[1] for row in rows)
    assert {profile[2] for profile in profiles.values()} == {None}


@formats
def test_decorations_of_an_address_are_removed(tmp_path: Path, reading: Reading, writer: Writer) -> None:
    """Invisible characters and decorations by mail programs and spreadsheets are removed from an address."""
    rows = [[address, f"c{number}"] for number, address in enumerate(DECORATED)]
    source, profiles = reading(writer(tmp_path / "audience", ["email", "customer_id"], rows))

    assert len(profiles) == len(rows)
    assert {profile[2] for profile in profiles.values()} == {"ann@example.com"}
    assert any("cleaned of invisible characters" in note for note in source.notes)


@pytest.mark.parametrize("value", sampled(REWRITTEN, 4))
@formats
def test_ids_that_a_spreadsheet_rewrote_are_refused(
    tmp_path: Path, refusal: Refusal, writer: Writer, value: str
) -> None:
    """Ids that a spreadsheet rewrote are refused, because different people would have the same id."""
    rows = [["a@example.com", "c1"], ["b@example.com", value]]
    error = refusal(writer(tmp_path / "audience", ["email", "customer_id"], rows))

    assert "a spreadsheet wrote a long number as 1.23E+11" in error.message


def test_ids_that_all_end_with_a_decimal_are_refused(refusal: Refusal, reading: Reading) -> None:
    """Ids that all end with .0, as pandas writes them, are refused; a single one may be a version."""
    assert (
        "every customer id ends with .0" in refusal("email,customer_id\na@example.com,12.0\nb@example.com,\n").message
    )
    assert len(reading("email,customer_id\na@example.com,12.0\nb@example.com,x\n")[1]) == 2


@pytest.mark.parametrize("cell", ['"=""00123"""', "'00123", "00123"])
def test_ids_that_a_spreadsheet_keeps_as_text(reading: Reading, cell: str) -> None:
    """The marks with which a spreadsheet keeps an id as text are removed."""
    assert list(reading(f"email,customer_id\na@example.com,{cell}\n")[1]) == ["customer:00123"]


@pytest.mark.parametrize("mpid", ["\\N", "NULL", "0", "", "n/a"])
def test_no_mpid(reading: Reading, mpid: str) -> None:
    """Mpid 0 and null words count as no mpid."""
    source, profiles = reading(f"mpid,email\n{mpid},a@example.com\n5,b@example.com\n")

    assert set(profiles) == {"email:a@example.com", "5"}
    assert (source.rows, source.merged_rows) == (2, 0)


def test_members_without_an_mpid_in_a_download(tmp_path: Path, reading: Reading) -> None:
    """Members of a download without an mpid stay separate, next to members with one."""
    path = tmp_path / "77_Spring_172136Nov292018.csv"
    rows = "".join(f"{mpid},1543512096000,p{n}@example.com,email\n" for n, mpid in enumerate(("0", "0", "5", "NULL")))
    path.write_text("mpid,scanned_timestamp_ms,identity_value,identity_type\n" + rows)

    keys = {"5", *(f"email:p{n}@example.com" for n in (0, 1, 3))}
    assert set(reading(path)[1]) == keys


def test_empty_rows_of_a_spreadsheet_are_not_people(reading: Reading) -> None:
    """A row counts if any of its cells has content."""
    source, profiles = reading("email,customer_id,name\na@example.com,c1,x\n,,\n , ,\n,,y\n\n,,\n")

    assert set(profiles) == {"customer:c1", "row:2"}
    assert source.rows == 2


def test_line_of_an_error_below_empty_rows(refusal: Refusal) -> None:
    """An error has the line of a text editor, below empty rows and a repeated header."""
    error = refusal("mpid,email\n1,a@example.com\n,\nmpid,email\nx,b@example.com\n")

    assert error.line == 5


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_repeated_header_is_not_a_member(reading: Reading, mark: str) -> None:
    """A repeated header, as in concatenated exports, is ignored, with or without a byte order mark."""
    part = f"{mark}email,customer_id\n"
    source, profiles = reading(f"{part}a@example.com,c1\n{part}b@example.com,c2\n")

    assert set(profiles) == {"customer:c1", "customer:c2"}
    assert source.rows == 2


@pytest.mark.parametrize("case", sampled(TABLES, 4), ids=lambda case: case.name)
async def test_tables(tmp_path: Path, sync: Sync, case: Table) -> None:
    """Every row is counted, and a guard holds a run that would drop members."""
    path = write_csv(tmp_path / "people.csv", ["Email", "Customer"], [list(row) for row in case.rows])
    planned = await sync.run(path, dry_run=True)
    assert planned.run.plan is not None
    assert tuple(guard.name.value for guard in planned.run.plan.guards) == case.guards

    outcome = await sync.run(path, approved=True)

    assert outcome.counts == case.counts
    assert outcome.run.plan is not None
    assert outcome.run.plan.rows_read == len(case.rows) == outcome.run.plan.rows_merged + case.counts["members"]


async def test_the_company_as_customer_id_needs_approval(tmp_path: Path, sync: Sync) -> None:
    """A column with the same value for several emails needs approval, and the guard names the column."""
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


async def test_vanished_ids_need_approval(tmp_path: Path, sync: Sync) -> None:
    """A run in which many ids became NULL needs approval, and removes no member."""
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


async def test_vanished_emails_need_approval(tmp_path: Path, sync: Sync) -> None:
    """A run in which emails became empty needs approval."""
    people = [[f"u{number}@example.com", f"c{number}"] for number in range(100)]
    await sync.run(write_csv(tmp_path / "first.csv", ["email", "customer_id"], people))
    second = [["n/a", customer_id] for _, customer_id in people[:2]] + people[2:]
    waiting = await sync.run(write_csv(tmp_path / "second.csv", ["email", "customer_id"], second))

    assert waiting.run.plan is not None
    assert [guard.name.value for guard in waiting.run.plan.guards] == ["vanished_identities"]
