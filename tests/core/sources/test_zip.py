"""The audience download as a ZIP with a manifest."""

import json
import struct
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError
from core.sources import SourceFormat, zip_archive
from tests.core.sources.conftest import Reading
from tests.core.sources.factories import (
    CSV_NAME,
    HEADER,
    HYDE,
    JEKYLL,
    UTTERSON,
    Identity,
    download_csv,
    download_zip,
    manifest,
    zip_of,
)

Refusal = Callable[..., InputError]
ROWS = [HYDE, JEKYLL, UTTERSON]
OTHER_NAME = "99_Other Audience_172136Nov292018.csv"


def test_reads_the_csv_and_the_manifest(tmp_path: Path, reading: Reading) -> None:
    """Audience and file name are the download's, and the time is the newest of rows and manifest."""
    source, profiles = reading(download_zip(tmp_path / "audience.zip"))

    assert (source.shape, source.is_snapshot, source.file_name) == (SourceFormat.DOWNLOAD, True, "audience.zip")
    assert (source.audience_id, source.audience_name, source.rows) == ("8754", "PotentialParisians", 3)
    assert source.as_of == datetime(2020, 1, 27, 18, 7, 18, 137000, UTC)
    assert len(profiles) == 3


def test_the_manifest_can_be_the_newest(tmp_path: Path, reading: Reading) -> None:
    """The manifest's time counts if it is newer than the rows."""
    source, _ = reading(download_zip(tmp_path / "audience.zip", {CSV_NAME: [HYDE]}))

    assert source.as_of == datetime(2019, 1, 2, 21, 6, 20, tzinfo=UTC)


def test_leaves_nothing_behind(tmp_path: Path, workspace: Path, reading: Reading) -> None:
    """Unpacked files are removed after reading."""
    reading(download_zip(tmp_path / "audience.zip"))

    assert not list(workspace.glob("audience-*"))


def test_variants_are_one_audience(tmp_path: Path, reading: Reading) -> None:
    """CSV files with the same id are read together, under the common part of their names."""
    files: dict[str, list[Identity]] = {
        "7_Parisians_A_172136Nov292018.csv": [(1, 5, "a@example.com", "email"), (2, 5, "b@example.com", "email")],
        "7_Parisians_B_172136Nov292018.csv": [(2, 5, "c@example.com", "email"), (3, 5, "d", "customer_id")],
    }
    source, profiles = reading(download_zip(tmp_path / "audience.zip", files))

    assert (source.audience_id, source.audience_name, source.rows) == ("7", "Parisians", 4)
    assert {profile: row[2] for profile, row in profiles.items()} == {
        "1": "a@example.com",
        "2": "c@example.com",
        "3": None,
    }


def test_an_empty_variant_is_no_obstacle(tmp_path: Path, reading: Reading) -> None:
    """A variant may have no members."""
    files: dict[str, list[Identity]] = {
        "7_A_172136Nov292018.csv": [],
        "7_B_172136Nov292018.csv": [(1, 5, "a@example.com", "email")],
    }
    _, profiles = reading(download_zip(tmp_path / "audience.zip", files))

    assert list(profiles) == ["1"]


@pytest.mark.parametrize("choice", ["99", "Other Audience", "other-audience"])
def test_one_of_several_audiences_is_chosen(tmp_path: Path, reading: Reading, choice: str) -> None:
    """One of several audiences is chosen by id, or by name in any case."""
    path = download_zip(tmp_path / "audience.zip", {CSV_NAME: [HYDE], OTHER_NAME: [JEKYLL]})
    source, profiles = reading(path, audience=choice)

    assert (source.audience_id, source.audience_name) == ("99", "Other Audience")
    assert list(profiles) == [str(JEKYLL[0])]


def test_several_audiences_need_a_choice(tmp_path: Path, refusal: Refusal) -> None:
    """The error for several audiences lists them."""
    error = refusal(download_zip(tmp_path / "a.zip", {CSV_NAME: [HYDE], OTHER_NAME: [JEKYLL]}))

    assert error.message == (
        "a.zip: contains several audiences: PotentialParisians (8754), Other Audience (99). Choose one of them."
    )


def test_an_unknown_audience(tmp_path: Path, refusal: Refusal) -> None:
    """The error for an unknown audience lists those in the file."""
    error = refusal(download_zip(tmp_path / "a.zip"), audience="Unknown")

    assert error.message == ("a.zip: does not contain that audience, but PotentialParisians (8754).")


def test_the_id_can_come_from_the_manifest(tmp_path: Path, reading: Reading) -> None:
    """A CSV with another name belongs to the manifest's only audience."""
    manifest_content = manifest({CSV_NAME: ROWS})
    manifest_content["files"][0]["file_name"] = "members.csv"
    path = zip_of(
        tmp_path / "a.zip", {"members.csv": download_csv(ROWS), "manifest.json": json.dumps(manifest_content)}
    )
    source, _ = reading(path)

    assert (source.audience_id, source.audience_name) == ("8754", None)


def test_files_may_lie_in_a_folder(tmp_path: Path, reading: Reading) -> None:
    """The files may be in a folder, with extra files as from a Mac."""
    members = {
        "audience/": "",
        f"audience/{CSV_NAME}": download_csv(ROWS),
        "audience/manifest.json": json.dumps(manifest({CSV_NAME: ROWS})),
        f"__MACOSX/audience/._{CSV_NAME}": "litter",
        "audience/.DS_Store": "litter",
    }
    source, _ = reading(zip_of(tmp_path / "a.zip", members))

    assert source.rows == 3


def test_one_csv_without_a_manifest_is_a_csv(tmp_path: Path, reading: Reading) -> None:
    """A CSV without a manifest has the audience of its name."""
    source, _ = reading(zip_of(tmp_path / "a.zip", {CSV_NAME: download_csv(ROWS)}))

    assert (source.shape, source.audience_id, source.file_name) == (SourceFormat.DOWNLOAD, "8754", "a.zip")


def test_content_counts_once_against_the_limit(tmp_path: Path, reading: Reading) -> None:
    """A ZIP of one file that unpacks to less than 16 MB is read, however well it is packed."""
    table = "email\n" + "a@example.com\n" * 650_000
    source, _ = reading(zip_of(tmp_path / "a.zip", {"people.csv": table}))

    assert (source.rows, source.merged_rows) == (650_000, 649_999)


def test_a_table_can_be_zipped(tmp_path: Path, reading: Reading) -> None:
    """The format of a CSV in a ZIP is recognized from its content."""
    source, profiles = reading(zip_of(tmp_path / "a.zip", {"people.csv": "email\na@example.com\n"}))

    assert (source.shape, source.file_name) == (SourceFormat.TABLE, "a.zip")
    assert list(profiles) == ["email:a@example.com"]


@pytest.mark.parametrize(
    ("changed", "figures"),
    [
        ({"total_rows": 4}, "it has 3 rows, but its manifest counts 4"),
        ({"rows_by_identity": {"email": 2}}, "it has 1 rows of type email, but its manifest counts 2"),
        ({"rows_by_identity": {"google": 1}}, "it has 0 rows of type google, but its manifest counts 1"),
        ({"total_users": 2}, "it has 3 profiles, but its manifest counts 2"),
    ],
)
@pytest.mark.parametrize("is_total", [True, False], ids=["archive", "file"])
def test_wrong_counts(tmp_path: Path, refusal: Refusal, changed: dict[str, Any], figures: str, is_total: bool) -> None:
    """The counts of the manifest, in total and for each file, must match the rows."""
    manifest_content = manifest({CSV_NAME: ROWS})
    (manifest_content if is_total else manifest_content["files"][0]).update(changed)
    error = refusal(download_zip(tmp_path / "a.zip", {CSV_NAME: ROWS}, manifest_content))

    assert error.message.endswith(f"is truncated: {figures}. Download the audience again.")


def test_wrong_count_of_a_variant(tmp_path: Path, refusal: Refusal) -> None:
    """A profile in two variants counts in both."""
    files = {"7_A_172136Nov292018.csv": [HYDE, JEKYLL], "7_B_172136Nov292018.csv": [HYDE]}
    manifest_content = manifest(files)
    manifest_content["files"][1]["total_users"] = 2
    error = refusal(download_zip(tmp_path / "a.zip", files, manifest_content))

    assert error.path == "a.zip/7_B_172136Nov292018.csv"


def test_no_table_after_wrong_counts(tmp_path: Path, refusal: Refusal, con: Any) -> None:
    """A refused file leaves no table."""
    manifest_content = manifest({CSV_NAME: ROWS}, total_users=2)
    refusal(download_zip(tmp_path / "a.zip", {CSV_NAME: ROWS}, manifest_content))

    assert con.execute("SHOW TABLES").fetchall() == []


def test_a_download_without_emails(tmp_path: Path, refusal: Refusal) -> None:
    """A download without emails is refused first, even if it has other problems."""
    manifest_content = manifest({CSV_NAME: ROWS}, included_identities=["customer_id"], total_rows=99)
    error = refusal(zip_of(tmp_path / "a.zip", {CSV_NAME: "broken", "manifest.json": json.dumps(manifest_content)}))

    assert error.message == (
        "a.zip: was made without email addresses. Download the audience again and choose Email there."
    )


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "contains no CSV file and no manifest.json"),
        ({"a.csv": "x", "b.csv": "x"}, "has no column with an identity"),
        ({"manifest.json": "{}"}, "contains no CSV file. Download"),
        ({"manifest.json": "{", CSV_NAME: HEADER}, "the manifest is not valid"),
        ({"manifest.json": "[" * 100_000, CSV_NAME: HEADER}, "the manifest is not valid"),
        ({"manifest.json": b"\xff\xfe", CSV_NAME: HEADER}, "the manifest is not valid"),
        ({"manifest.json": "{}", CSV_NAME: "email\n"}, "does not have the columns of an audience download"),
        ({"manifest.json": json.dumps(manifest({CSV_NAME: ROWS}))}, "it lacks 1 of the 1 files"),
        (
            {"manifest.json": json.dumps(manifest({CSV_NAME: []})), CSV_NAME: HEADER, "2.csv": HEADER},
            "contains CSV files that its manifest doesn't list",
        ),
        ({"../a.csv": HEADER}, "whose path leads out of the ZIP"),
        ({"a/../../a.csv": HEADER}, "whose path leads out of the ZIP"),
        ({"/etc/a.csv": HEADER}, "whose path leads out of the ZIP"),
        ({"..\\a.csv": HEADER}, "whose path leads out of the ZIP"),
        ({"C:/a.csv": HEADER}, "whose path leads out of the ZIP"),
        ({".": HEADER}, "contains no CSV file and no manifest"),
        ({"C:\\a.csv": HEADER}, "whose path leads out of the ZIP"),
        ({"xl/workbook.xml": "<a/>"}, "is not an Excel workbook that can be read"),
        ({"inner.csv": b"PK\x05\x06" + b"\0" * 18}, "contains no CSV file and no manifest.json"),
        ({f"{n}.csv": "" for n in range(1001)}, "contains more than 1,000 files"),
        ({"a.csv": b"0" * (20 << 20)}, "unpacks to far more data than an audience"),
    ],
)
def test_bad_zips(tmp_path: Path, refusal: Refusal, members: dict[str, str | bytes], message: str) -> None:
    """A bad ZIP is refused with a sentence that names the problem."""
    assert message in refusal(zip_of(tmp_path / "a.zip", members)).message


@pytest.mark.parametrize("length", [10, 200, -30, -4])
def test_a_truncated_zip(tmp_path: Path, refusal: Refusal, length: int) -> None:
    """A ZIP that is cut off anywhere is refused."""
    content = download_zip(tmp_path / "whole.zip").read_bytes()
    error = refusal(content[:length], "a.zip")

    assert error.message == "a.zip: is not a complete ZIP file: it was cut off or damaged. Download it again."


def test_a_zip_with_a_damaged_byte(tmp_path: Path, refusal: Refusal) -> None:
    """A ZIP with a wrong checksum is refused."""
    path = zip_of(tmp_path / "whole.zip", {CSV_NAME: download_csv([(n, 5, str(n), "email") for n in range(500)])})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF

    assert "cut off or damaged" in refusal(bytes(content), "a.zip").message


def test_a_member_outside_the_file(tmp_path: Path, refusal: Refusal) -> None:
    """A ZIP whose directory points outside the file is refused."""
    content = bytearray(zip_of(tmp_path / "whole.zip", {CSV_NAME: HEADER}).read_bytes())
    struct.pack_into("<L", content, len(content) - 6, 0xFFFFFF0)

    assert "cut off or damaged" in refusal(bytes(content), "a.zip").message


def test_a_member_without_a_name(tmp_path: Path, refusal: Refusal) -> None:
    """A ZIP with a nameless member is refused."""
    content = bytearray(zip_of(tmp_path / "whole.zip", {"x": HEADER}).read_bytes())
    content[30:31] = content[content.index(b"PK\x01\x02") + 46 : content.index(b"PK\x01\x02") + 47] = b"\0"

    assert "contains no CSV file and no manifest" in refusal(bytes(content), "a.zip").message


def test_a_name_with_a_colon(tmp_path: Path, reading: Reading) -> None:
    """A name with a colon is not a drive letter."""
    source, _ = reading(zip_of(tmp_path / "a.zip", {"7_VIPs: all_172136Nov292018.csv": HEADER}))

    assert source.audience_name == "VIPs: all"


def test_an_encrypted_zip(tmp_path: Path, refusal: Refusal) -> None:
    """An encrypted ZIP is refused."""
    path = zip_of(tmp_path / "whole.zip", {CSV_NAME: HEADER})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1

    assert "is encrypted" in refusal(bytes(content), "a.zip").message


def test_an_unusual_compression(tmp_path: Path, refusal: Refusal) -> None:
    """A ZIP with an unusual compression is refused."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr(CSV_NAME, HEADER)

    assert "uses a compression that is not supported" in refusal(path).message


def test_a_zip_that_lies_about_its_size(tmp_path: Path, refusal: Refusal) -> None:
    """A ZIP that declares too small a size is refused once it exceeds that size."""
    path = zip_of(tmp_path / "whole.zip", {CSV_NAME: download_csv([(n, 5, "x", "email") for n in range(5000)])})
    content = bytearray(path.read_bytes())
    struct.pack_into("<L", content, content.index(b"PK\x01\x02") + 24, 100)

    assert "cut off or damaged" in refusal(bytes(content), "a.zip").message


def test_too_many_members(tmp_path: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ZIP with too many members is refused before they are listed."""
    monkeypatch.setattr(zip_archive, "MOST_MEMBERS", 0)

    assert "files: this is not an audience download" in refusal(download_zip(tmp_path / "a.zip")).message


def test_an_error_in_a_zip_names_the_file_in_it(tmp_path: Path, refusal: Refusal) -> None:
    """An error has the names of the ZIP and of the file in it, and the line."""
    text = f"{HEADER}\n1, 5, x, email\n2, 5, x\n"
    error = refusal(zip_of(tmp_path / "a.zip", {CSV_NAME: text}))

    assert (error.path, error.line) == (f"a.zip/{CSV_NAME}", 3)
