"""The sample audiences are reproducible, and have the promised contents."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from core import sources
from sandbox import sample_audiences
from sandbox.sample_audiences import Member


@pytest.mark.parametrize("write", [sample_audiences.write_first, sample_audiences.write_later])
def test_bytes_are_the_same_every_time(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    """Writing a sample twice gives the same bytes."""
    before = write(tmp_path).read_bytes()

    assert write(tmp_path).read_bytes() == before


@pytest.mark.parametrize(
    ("write", "members"),
    [
        (sample_audiences.write_first, sample_audiences.first()),
        (sample_audiences.write_later, sample_audiences.later()),
    ],
)
def test_sample_is_read_as_a_download(tmp_path: Path, write: Callable[[Path], Path], members: list[Member]) -> None:
    """The reader recognizes a sample as an audience download, checks its manifest, and finds every member."""
    with duckdb.connect() as con:
        source = sources.read(write(tmp_path), con)
        rows = con.execute("SELECT mpid, email, customer_id FROM source").fetchall()

    assert (source.audience_id, source.audience_name) == ("8754", "SpringShoppers")
    assert source.is_snapshot
    assert sorted(row[0] for row in rows) == sorted(member.mpid for member in members)
    assert {row[1] for row in rows if row[1]} == {member.email for member in members if member.email}


def test_download_has_the_oddities_of_real_ones(tmp_path: Path) -> None:
    """A sample has spaces after commas, negative mpids, time stamps in seconds and milliseconds, and unordered rows."""
    with zipfile.ZipFile(sample_audiences.write_first(tmp_path)) as archive:
        name = json.loads(archive.read("manifest.json"))["files"][0]["file_name"]
        header, *rows = archive.read(name).decode().splitlines()

    cells = [row.split(", ") for row in rows]
    assert header == "mpid, scanned_timestamp_ms, identity_value, identity_type"
    assert {len(row) for row in cells} == {4}
    assert {len(row[1]) for row in cells} == {10, 13}
    assert any(row[0].startswith("-") for row in cells)
    assert [row[0] for row in cells] != sorted(row[0] for row in cells)


def test_audience_changes_within_a_week() -> None:
    """Between the samples some people leave, some join and some change their address, too few for a guard."""
    before = {member.mpid: member for member in sample_audiences.first()}
    after = {member.mpid: member for member in sample_audiences.later()}

    both = before.keys() & after.keys()
    assert len(before) == len(sample_audiences.first())
    assert 100 < len(before.keys() - after.keys()) < len(before) / 5
    assert len(after.keys() - before.keys()) > 100
    assert sum(before[mpid].email != after[mpid].email for mpid in both) > 50


def test_addresses_to_expect_are_lower_case() -> None:
    """The expected addresses are unique and in lower case, as Iterable stores them."""
    expected = sample_audiences.emails(sample_audiences.first())

    assert len(expected) == 4700
    assert all(email == email.lower() and email.endswith("@example.com") for email in expected)
