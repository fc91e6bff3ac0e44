"""The plain table."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import InputError
from core.sources import Source, SourceFormat
from tests.core.sources.conftest import Reading
from tests.core.sources.factories import table_csv

Refusal = Callable[..., InputError]
BIGQUERY = ("audienceid", "audiencename", "customerid", "email", "mpid", "isadd", "timestamp")


def parquet(path: Path, **columns: Any) -> Path:
    """A Parquet file with these columns."""
    pq.write_table(pa.table(columns), path)
    return path


def test_describes_the_source(reading: Reading) -> None:
    """A table is a snapshot of an unnamed audience."""
    source, profiles = reading(table_csv(("email", "customer_id", "mpid"), ("a@example.com", "c", "-1")), "people.csv")

    assert source == Source(
        shape=SourceFormat.TABLE,
        is_snapshot=True,
        audience_id=None,
        audience_name=None,
        file_name="people.csv",
        rows=1,
        has_mpid=True,
        as_of=None,
        customer_id_column="customer_id",
        notes=("Columns used: email as email, customer_id as customer id, mpid as mpid.",),
    )
    assert profiles == {"-1": (-1, True, "a@example.com", "c")}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", ", ", "; "])
def test_separators(reading: Reading, delimiter: str) -> None:
    """The header determines the separator, even if values contain others."""
    rows = [("email", "customer_id"), ("a@example.com", "x,y"), ("b@example.com", "x;y|z")]
    _, profiles = reading(table_csv(*rows, delimiter=delimiter))

    assert set(profiles) == {"customer:x,y", "customer:x;y|z"}


@pytest.mark.parametrize("column", ["email", "E-Mail", "Email Address", "EMAIL_ADDRESS", "mail", " email "])
def test_spellings_of_email(reading: Reading, column: str) -> None:
    """The column of emails is recognized whatever its case, spaces, underscores and hyphens."""
    _, profiles = reading(table_csv((column, "name"), ("A@example.com", "x")))

    assert profiles == {"email:a@example.com": (None, True, "A@example.com", None)}


@pytest.mark.parametrize(
    "column", ["customer_id", "CustomerID", "customer", "user_id", "userId", "external_id", "client id"]
)
def test_spellings_of_customer_id(reading: Reading, column: str) -> None:
    """The column of customer ids is recognized by the names that other systems use."""
    _, profiles = reading(table_csv((column, "name"), ("c1", "x")))

    assert profiles == {"customer:c1": (None, True, None, "c1")}


@pytest.mark.parametrize("column", ["mpid", "MPID", "mp_id", "mparticle_id", "mParticle ID"])
def test_spellings_of_mpid(reading: Reading, column: str) -> None:
    """The column of mpids is recognized by the names that mParticle and others use."""
    _, profiles = reading(table_csv((column, "name"), (" +7 ", "x")))

    assert profiles == {"7": (7, True, None, None)}


def test_a_single_column(reading: Reading) -> None:
    """A single column needs no separator, and a blank line is not a row."""
    source, profiles = reading("email\na@example.com\n\nb@example.com\n\n")

    assert (source.rows, set(profiles)) == (2, {"email:a@example.com", "email:b@example.com"})


def test_rows_without_an_identity_are_members(reading: Reading) -> None:
    """Each row without an identity is a member of its own."""
    _, profiles = reading("email,customer_id,name\n,,x\na@example.com,,y\n , ,z\n")

    assert set(profiles) == {"row:1", "email:a@example.com", "row:3"}


def test_a_profile_in_two_rows(reading: Reading) -> None:
    """The last row of a profile counts, for each identity on its own."""
    text = "mpid,email,customer_id\n1,old@example.com,c1\n1,new@example.com,\n"

    assert reading(text)[1] == {"1": (1, True, "new@example.com", "c1")}


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1594167374", "1594167374001"),
        ("2020-07-08 00:16:14 UTC", "2020-07-08 00:16:14.001 UTC"),
        ("2020-07-08T02:16:14+02:00", "2020-07-08T00:16:15Z"),
        ("2020-07-08 00:16:14", "2020-07-08 00:16:15"),
        ("", "1"),
        ("no time", "1"),
    ],
)
def test_the_latest_timestamp_wins(reading: Reading, older: str, newer: str) -> None:
    """The latest timestamp counts, as a number or a date, whatever the order of the rows."""
    text = table_csv(("mpid", "email", "timestamp"), ("1", "new@example.com", newer), ("1", "old@example.com", older))

    assert reading(text)[1]["1"][2] == "new@example.com"


@pytest.mark.parametrize("text", ["1594167374", "2020-07-08 00:16:14 UTC", "2020-07-08T02:16:14+02:00"])
def test_the_time_of_a_table(reading: Reading, text: str) -> None:
    """The time of a table is its newest timestamp, in UTC."""
    source, _ = reading(table_csv(("email", "timestamp"), ("a@example.com", text)))

    assert source.as_of == datetime(2020, 7, 8, 0, 16, 14, tzinfo=UTC)


def test_bigquerys_export_is_a_delta(reading: Reading) -> None:
    """In BigQuery's export, the latest row of a profile counts, with its action and identities."""
    text = table_csv(
        BIGQUERY,
        ("5", "VIPs", "c1", "a@example.com", "1", "true", "2020-07-08 00:16:14.230 UTC"),
        ("5", "VIPs", "c1", "", "1", "false", "2020-07-08 00:16:14.231 UTC"),
        ("5", "VIPs", "c2", "b@example.com", "", "1", "2020-07-08 00:16:14 UTC"),
    )
    source, profiles = reading(text)

    assert (source.is_snapshot, source.audience_id, source.audience_name) == (False, "5", "VIPs")
    assert profiles == {"1": (1, False, None, "c1"), "customer:c2": (None, True, "b@example.com", "c2")}


@pytest.mark.parametrize(("choice", "profile"), [("5", "1"), ("Others", "2")])
def test_one_of_several_audiences_is_chosen(reading: Reading, choice: str, profile: str) -> None:
    """One of several audiences is chosen by id or by name."""
    text = table_csv(
        BIGQUERY,
        ("5", "VIPs", "", "", "1", "true", "1594167374"),
        ("6", "Others", "", "", "2", "true", "1594167374"),
    )

    assert list(reading(text, audience=choice)[1]) == [profile]


def test_audiences_without_ids(reading: Reading) -> None:
    """A table can have names of audiences without ids."""
    text = "audience name,email\nVIPs,a@example.com\nOthers,b@example.com\n"
    source, profiles = reading(text, audience="vips")

    assert (source.audience_id, source.audience_name) == (None, "VIPs")
    assert list(profiles) == ["email:a@example.com"]


def test_a_table_without_an_audience(reading: Reading) -> None:
    """A table without an audience counts as the requested audience."""
    assert list(reading("email\na@example.com\n", audience="VIPs")[1]) == ["email:a@example.com"]


def test_a_header_alone_is_an_empty_audience(reading: Reading) -> None:
    """A table with only a header is an empty audience, and a guard decides about it."""
    source, profiles = reading("email,name")

    assert (source.rows, source.is_snapshot, profiles) == (0, True, {})


@pytest.mark.parametrize("mpid", ["1.5", "1e3", "0x10", "1_000", "x", "9223372036854775808", "1 2", "1,2", "--1"])
def test_invalid_mpids(refusal: Refusal, mpid: str) -> None:
    """An invalid mpid is refused with its line, and not rounded or read as hexadecimal."""
    error = refusal(table_csv(("mpid", "name"), ("1", "two\nlines"), ("", "x"), (mpid, "y")))

    assert "the mpid is not a whole number of 64 bits" in error.message
    assert error.line == 5


@pytest.mark.parametrize(("value", "kind"), [("", "joined or left"), ("maybe", "joined or left")])
def test_invalid_isadd(refusal: Refusal, value: str, kind: str) -> None:
    """A row whose `isadd` is unclear is refused, and not guessed."""
    error = refusal(table_csv(("email", "isadd"), ("a@example.com", value)))

    assert (kind in error.message, error.line) == (True, 2)


def test_two_columns_with_one_meaning(refusal: Refusal) -> None:
    """Two columns with the same meaning are refused."""
    error = refusal("user_id,Customer ID\n1,2\n", "people.csv")

    assert error.message == (
        "people.csv: has two columns for the customer id, user_id and Customer ID. Choose one of them."
    )


def test_no_usable_column(refusal: Refusal) -> None:
    """The error for a table without identities lists its columns and the accepted ones."""
    message = refusal("first name,last name\na,b\n").message

    assert "has no column with an identity, only first name, last name. Accepted are email: email" in message
    assert "customerid" in message


@pytest.mark.parametrize("cell", ["h.jekyll.md", "1234", "+1 555 0100", "x" * 50, ""])
def test_column_names_that_may_be_data(refusal: Refusal, cell: str) -> None:
    """An error shows only texts that look like column names."""
    message = refusal(f"{cell},plan\na,b\n").message

    assert "only (not a name), plan." in message


def test_a_table_without_a_header(refusal: Refusal) -> None:
    """A table without a header is refused, and its first line is not shown."""
    error = refusal("m.hyde@example.com,c1\nb@example.com,c2\n")

    assert "contains an address instead of column names" in error.message
    assert "hyde" not in error.message


def test_parquet(tmp_path: Path, reading: Reading) -> None:
    """Integers, text and times of a Parquet file are read."""
    path = parquet(
        tmp_path / "people.parquet",
        mpid=[-(2**63), 2, None],
        Email=["a@example.com", None, " "],
        user_id=[None, 7, 8],
        timestamp=[datetime(2020, 7, 8, 0, 16, 14, tzinfo=UTC)] * 3,
    )
    source, profiles = reading(path)

    assert (source.shape, source.as_of) == (SourceFormat.TABLE, datetime(2020, 7, 8, 0, 16, 14, tzinfo=UTC))
    assert profiles == {
        str(-(2**63)): (-(2**63), True, "a@example.com", None),
        "2": (2, True, None, "7"),
        "customer:8": (None, True, None, "8"),
    }


@pytest.mark.parametrize("isadd", [[True, False], ["true", "false"], [1, 0]], ids=["booleans", "text", "numbers"])
def test_parquet_with_isadd(tmp_path: Path, reading: Reading, isadd: list[Any]) -> None:
    """A Parquet file with `isadd`, as from BigQuery, is a delta."""
    source, profiles = reading(parquet(tmp_path / "a.parquet", mpid=["1", "2"], isadd=isadd))

    assert not source.is_snapshot
    assert {name: row[1] for name, row in profiles.items()} == {"1": True, "2": False}


@pytest.mark.parametrize(
    "stamps",
    [
        pa.array([1_000, 2_000], pa.timestamp("us")),
        pa.array([1_000_000, 2_000_000], pa.timestamp("ns")),
        pa.array([1, 2], pa.timestamp("ms", tz="America/New_York")),
        pa.array([1594167374, 1594167375]),
        pa.array(["1594167374", "1594167374001"]),
        pa.array([datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=-2)))]),
    ],
)
def test_timestamps_in_parquet(tmp_path: Path, reading: Reading, stamps: pa.Array) -> None:
    """Every type of timestamp column orders the rows."""
    path = parquet(
        tmp_path / "a.parquet",
        mpid=[1, 1],
        email=["new@example.com", "old@example.com"],
        timestamp=stamps.take(pa.array([1, 0])),
    )

    assert reading(path)[1]["1"][2] == "new@example.com"


@pytest.mark.parametrize("column", ["mpid", "customer_id"])
def test_ids_as_floating_point_numbers(tmp_path: Path, refusal: Refusal, column: str) -> None:
    """Ids as floating-point numbers are refused, because they have lost digits."""
    error = refusal(parquet(tmp_path / "a.parquet", **{column: [1.5, None]}))

    assert "contains floating-point numbers" in error.message


@pytest.mark.parametrize("value", ["1.5", "1e21", "12345678901234567890123", "9007199254740993.0"])
@pytest.mark.parametrize("column", ["mpid", "customer_id"])
def test_inexact_ids_in_json(refusal: Refusal, column: str, value: str) -> None:
    """An id in a JSON number with decimals, or too large to be exact, is refused as in Parquet."""
    error = refusal(f'{{"{column}": "1", "email": "a@example.com"}}\n{{"{column}": {value}}}', "a.json")

    assert f"the column {column} contains floating-point numbers" in error.message


@pytest.mark.parametrize("value", ["123.0", "1.23E2", "123"])
def test_exact_ids_in_json(reading: Reading, value: str) -> None:
    """A whole number is an id, however JSON spells it; another row may have it as text."""
    _, profiles = reading(
        f'[{{"mpid": {value}, "customer_id": {value}}}, {{"mpid": "4", "customer_id": "c4"}}]', "a.json"
    )

    assert {name: row[3] for name, row in profiles.items()} == {"123": "123", "4": "c4"}


@pytest.mark.parametrize("column", ["email", "customer_id", "mpid"])
@pytest.mark.parametrize("value", ['["a@example.com"]', '{"id": 1}'])
def test_nested_identities_in_json(refusal: Refusal, column: str, value: str) -> None:
    """An identity that is an array or an object is refused as in Parquet."""
    error = refusal(f'{{"{column}": {value}, "x": 1}}', "a.json")

    assert f"the column {column} contains several values in one cell" in error.message


def test_invalid_mpids_in_parquet(tmp_path: Path, refusal: Refusal) -> None:
    """The error for an invalid mpid in a Parquet file has the number of the row."""
    error = refusal(parquet(tmp_path / "a.parquet", mpid=[Decimal(1), Decimal(2**63)]))

    assert "row 2: the mpid is not a whole number of 64 bits" in error.message


@pytest.mark.parametrize("length", [5, 50, -20, -1])
def test_truncated_parquet(tmp_path: Path, refusal: Refusal, length: int) -> None:
    """A Parquet file that is cut off anywhere is refused."""
    content = parquet(tmp_path / "whole.parquet", mpid=list(range(100))).read_bytes()

    assert "is not a Parquet file that can be read" in refusal(content[:length], "a.parquet").message
