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
    """A Parquet file of some columns."""
    pq.write_table(pa.table(columns), path)
    return path


def test_tells_what_was_read(reading: Reading) -> None:
    """A table is a snapshot of an audience that it doesn't name."""
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
    """The header tells the separator, though values hold others."""
    rows = [("email", "customer_id"), ("a@example.com", "x,y"), ("b@example.com", "x;y|z")]
    _, profiles = reading(table_csv(*rows, delimiter=delimiter))

    assert set(profiles) == {"customer:x,y", "customer:x;y|z"}


@pytest.mark.parametrize("column", ["email", "E-Mail", "Email Address", "EMAIL_ADDRESS", "mail", " email "])
def test_spellings_of_email(reading: Reading, column: str) -> None:
    """Case, spaces, underscores and hyphens don't matter."""
    _, profiles = reading(table_csv((column, "name"), ("A@example.com", "x")))

    assert profiles == {"email:a@example.com": (None, True, "A@example.com", None)}


@pytest.mark.parametrize(
    "column", ["customer_id", "CustomerID", "customer", "user_id", "userId", "external_id", "client id"]
)
def test_spellings_of_customer_id(reading: Reading, column: str) -> None:
    """What other systems call it."""
    _, profiles = reading(table_csv((column, "name"), ("c1", "x")))

    assert profiles == {"customer:c1": (None, True, None, "c1")}


@pytest.mark.parametrize("column", ["mpid", "MPID", "mp_id", "mparticle_id", "mParticle ID"])
def test_spellings_of_mpid(reading: Reading, column: str) -> None:
    """What mParticle and others call it."""
    _, profiles = reading(table_csv((column, "name"), (" +7 ", "x")))

    assert profiles == {"7": (7, True, None, None)}


def test_a_single_column(reading: Reading) -> None:
    """Nothing separates anything, and a blank line is no row."""
    source, profiles = reading("email\na@example.com\n\nb@example.com\n\n")

    assert (source.rows, set(profiles)) == (2, {"email:a@example.com", "email:b@example.com"})


def test_rows_without_an_identity_are_members(reading: Reading) -> None:
    """Each of them is accounted for."""
    _, profiles = reading("email,customer_id,name\n,,x\na@example.com,,y\n , ,z\n")

    assert set(profiles) == {"row:1", "email:a@example.com", "row:3"}


def test_a_profile_that_stands_twice(reading: Reading) -> None:
    """The last listed wins, each identity for itself."""
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
def test_a_time_stamp_decides(reading: Reading, older: str, newer: str) -> None:
    """As numbers or as dates, whatever the order of the rows."""
    text = table_csv(("mpid", "email", "timestamp"), ("1", "new@example.com", newer), ("1", "old@example.com", older))

    assert reading(text)[1]["1"][2] == "new@example.com"


@pytest.mark.parametrize("text", ["1594167374", "2020-07-08 00:16:14 UTC", "2020-07-08T02:16:14+02:00"])
def test_the_newest_time_stamp(reading: Reading, text: str) -> None:
    """In UTC, whatever it is written in."""
    source, _ = reading(table_csv(("email", "timestamp"), ("a@example.com", text)))

    assert source.as_of == datetime(2020, 7, 8, 0, 16, 14, tzinfo=UTC)


def test_bigquerys_export_is_a_delta(reading: Reading) -> None:
    """The latest row of a profile says whether it joined or left, and under which identities."""
    text = table_csv(
        BIGQUERY,
        ("5", "VIPs", "c1", "a@example.com", "1", "true", "2020-07-08 00:16:14.230 UTC"),
        ("5", "VIPs", "c1", "", "1", "false", "2020-07-08 00:16:14.231 UTC"),
        ("5", "VIPs", "c2", "b@example.com", "", "1", "2020-07-08 00:16:14 UTC"),
    )
    source, profiles = reading(text)

    assert (source.is_snapshot, source.audience_id, source.audience_name) == (False, "5", "VIPs")
    assert profiles == {"1": (1, False, None, "c1"), "customer:c2": (None, True, "b@example.com", "c2")}


@pytest.mark.parametrize(("wanted", "profile"), [("5", "1"), ("Others", "2")])
def test_one_of_several_audiences_is_chosen(reading: Reading, wanted: str, profile: str) -> None:
    """By id or by name."""
    text = table_csv(
        BIGQUERY,
        ("5", "VIPs", "", "", "1", "true", "1594167374"),
        ("6", "Others", "", "", "2", "true", "1594167374"),
    )

    assert list(reading(text, audience=wanted)[1]) == [profile]


def test_audiences_told_by_name_alone(reading: Reading) -> None:
    """A table can have names without ids."""
    text = "audience name,email\nVIPs,a@example.com\nOthers,b@example.com\n"
    source, profiles = reading(text, audience="vips")

    assert (source.audience_id, source.audience_name) == (None, "VIPs")
    assert list(profiles) == ["email:a@example.com"]


def test_a_table_that_names_no_audience_is_the_one_that_is_asked_for(reading: Reading) -> None:
    """A file that says nothing of an audience is whatever the person says it is."""
    assert list(reading("email\na@example.com\n", audience="VIPs")[1]) == ["email:a@example.com"]


def test_a_header_alone_is_an_empty_audience(reading: Reading) -> None:
    """No rows is no error: a guard decides about it."""
    source, profiles = reading("email,name")

    assert (source.rows, source.is_snapshot, profiles) == (0, True, {})


@pytest.mark.parametrize("mpid", ["1.5", "1e3", "0x10", "1_000", "x", "9223372036854775808", "1 2", "1,2", "--1"])
def test_mpids_that_are_none(refusal: Refusal, mpid: str) -> None:
    """Not rounded, not read as hexadecimal: refused, with the line."""
    error = refusal(table_csv(("mpid", "name"), ("1", "two\nlines"), ("", "x"), (mpid, "y")))

    assert "the mpid is not a whole number of 64 bits" in error.message
    assert error.line == 5


@pytest.mark.parametrize(("value", "kind"), [("", "joined or left"), ("maybe", "joined or left")])
def test_an_isadd_that_says_nothing(refusal: Refusal, value: str, kind: str) -> None:
    """Adding or removing somebody is not guessed."""
    error = refusal(table_csv(("email", "isadd"), ("a@example.com", value)))

    assert (kind in error.message, error.line) == (True, 2)


def test_two_columns_of_one_meaning(refusal: Refusal) -> None:
    """Which of them counts is not guessed."""
    error = refusal("user_id,Customer ID\n1,2\n", "people.csv")

    assert error.message == (
        "people.csv: has two columns for the customer id, user_id and Customer ID. Choose one of them."
    )


def test_no_column_of_use(refusal: Refusal) -> None:
    """What is there and what would do."""
    message = refusal("first name,last name\na,b\n").message

    assert "has no column with an identity, only first name, last name. Accepted are email: email" in message
    assert "customerid" in message


@pytest.mark.parametrize("cell", ["h.jekyll.md", "1234", "+1 555 0100", "x" * 50, ""])
def test_what_may_be_data_is_not_shown(refusal: Refusal, cell: str) -> None:
    """Only what looks like the name of a column."""
    message = refusal(f"{cell},plan\na,b\n").message

    assert "only (not a name), plan." in message


def test_a_table_without_a_header(refusal: Refusal) -> None:
    """The first line is then somebody's data, and is not shown."""
    error = refusal("m.hyde@example.com,c1\nb@example.com,c2\n")

    assert "holds an address instead of the names of columns" in error.message
    assert "hyde" not in error.message


def test_parquet(tmp_path: Path, reading: Reading) -> None:
    """Integers, text and times as Parquet has them."""
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
    """BigQuery exports Parquet too."""
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
def test_time_stamps_in_parquet(tmp_path: Path, reading: Reading, stamps: pa.Array) -> None:
    """Every kind of column that can hold them orders the rows."""
    path = parquet(
        tmp_path / "a.parquet",
        mpid=[1, 1],
        email=["new@example.com", "old@example.com"],
        timestamp=stamps.take(pa.array([1, 0])),
    )

    assert reading(path)[1]["1"][2] == "new@example.com"


@pytest.mark.parametrize("column", ["mpid", "customer_id"])
def test_ids_as_floating_point_numbers(tmp_path: Path, refusal: Refusal, column: str) -> None:
    """They have lost digits on the way."""
    error = refusal(parquet(tmp_path / "a.parquet", **{column: [1.5, None]}))

    assert "holds floating-point numbers" in error.message


def test_mpids_in_parquet_that_are_none(tmp_path: Path, refusal: Refusal) -> None:
    """Told by the number of the row."""
    error = refusal(parquet(tmp_path / "a.parquet", mpid=[Decimal(1), Decimal(2**63)]))

    assert "row 2: the mpid is not a whole number of 64 bits" in error.message


@pytest.mark.parametrize("kept", [5, 50, -20, -1])
def test_parquet_that_was_cut_off(tmp_path: Path, refusal: Refusal, kept: int) -> None:
    """Wherever the copy stopped."""
    whole = parquet(tmp_path / "whole.parquet", mpid=list(range(100))).read_bytes()

    assert "is not a Parquet file that can be read" in refusal(whole[:kept], "a.parquet").message
