"""Whatever a file or its directory is called, that file is read and no other, and nothing is written outside."""

# As text: hypothesis keeps the tests to the very end, where DuckDB reports types that are still used as leaks.
from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.sources import Source, read
from tests.core.sources.factories import HEADER, change, zip_of
from tests.core.sources.oracle import planning_workspace, read_or_refuse

NAMES = [
    *("a*.csv", "x[1].csv", "[a-z].csv", "[!a].csv", "[[].csv", "].csv", "?.csv", "**", "{a,b}.csv", "a'b.csv"),
    *(
        'a"b.csv',
        "a\nb.csv",
        "a\r.csv",
        "a\x1b[31m.csv",
        "a\\b.csv",
        "~",
        "a\\*.csv",
        "\\[1\\].csv",
        "~x.csv",
        "$HOME",
        "%41.csv",
        "file:x.csv",
    ),
    *("s3:x.csv", "a;b.csv", "a#b.csv", "email=x.csv", " .csv", "-.csv", "😀.csv", "a\u202eb.csv", "con", "x.csv.gz"),
]
OTHERS = ["a1.csv", "x1.csv", "a.csv", "b.csv", "aXb.csv", "[.csv", "x.csv", "A.csv"]
# Signs that mean something in a pattern, a path or a terminal.
SIGNS = st.text(st.sampled_from("ab.*?[]!^-{},\\~'\"$%\n\x1b\u202e =:;#é"), min_size=1, max_size=8)


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A workspace as planning opens it."""
    with planning_workspace(tmp_path) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory of files that must not be read."""
    path = tmp_path / "given"
    path.mkdir()
    for name in OTHERS:
        (path / name).write_text("email\nwrong@example.com\n")
    return path


def emails(path: Path, con: duckdb.DuckDBPyConnection) -> list[str | None]:
    """The emails in a file."""
    read(path, con)
    found = [row[0] for row in con.execute("SELECT email FROM source").fetchall()]
    con.execute("DROP TABLE source")
    return found


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_no_pattern(
    folder: Path, con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, name: str, relative: bool
) -> None:
    """Neither a pattern, nor the home directory, nor an address of another place."""
    (folder / name).write_text("email\nright@example.com\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))

    assert emails(Path(name) if relative else folder / name, con) == ["right@example.com"]


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=SIGNS.filter(lambda name: name not in (".", "..")), bad=st.booleans())
def test_any_name(folder: Path, con: duckdb.DuckDBPyConnection, name: str, bad: bool) -> None:
    """It is read or refused, and an error about it is a sentence on one line."""
    path = folder / name
    path.write_text("email\nright@example.com\n" if not bad else "email,x\nright@example.com\n")

    outcome = read_or_refuse(path, con)

    assert isinstance(outcome, Source) != bad
    if isinstance(outcome, Source):
        assert emails(path, con) == ["right@example.com"]
    path.unlink()


def test_what_lies_beside_a_file_is_no_matter(folder: Path, con: duckdb.DuckDBPyConnection) -> None:
    """A name with a star is read although another in the directory begins with a backslash."""
    (folder / "\\${*").write_text("email\nwrong@example.com\n")
    (folder / "!*").write_text("email\nright@example.com\n")

    assert emails(folder / "!*", con) == ["right@example.com"]


def test_a_workspace_under_any_name(folder: Path) -> None:
    """The data directory may have the signs of a pattern in its path too."""
    work = folder / "data[1]*\\"
    work.mkdir()
    path = zip_of(folder / "a?.zip", {"x.csv": "email\nright@example.com\n"})

    with planning_workspace(work) as con:
        assert emails(path, con) == ["right@example.com"]


@pytest.mark.parametrize("directory", ["email=hive@example.com", "customer_id=hive", "c0=hive", "IsAddRequest=false"])
def test_a_directory_is_no_column(tmp_path: Path, con: duckdb.DuckDBPyConnection, directory: str) -> None:
    """A directory called name=value, as data lakes have them, adds nothing to a file and takes nothing from it."""
    folder = tmp_path / directory
    folder.mkdir()
    pq.write_table(pa.table({"mpid": [1], "email": ["right@example.com"]}), folder / "t.parquet")
    (folder / "t.csv").write_text("email,mpid\nright@example.com,1\n")
    (folder / "t.txt").write_text(change(1, email="right@example.com"))

    for name in ("t.parquet", "t.csv", "t.txt"):
        read(folder / name, con)
        assert con.execute("SELECT * FROM source").fetchall() == [("1", 1, True, "right@example.com", None)]


@pytest.mark.parametrize(
    "name",
    [
        "../x.csv",
        "a/../../x.csv",
        "/tmp/x.csv",
        "..\\x.csv",
        "\\x.csv",
        "C:\\x.csv",
        "c:/x.csv",
        "a/..",
        "..",
        "//x.csv",
    ],
)
def test_a_zip_writes_nothing_outside(tmp_path: Path, con: duckdb.DuckDBPyConnection, name: str) -> None:
    """A member whose path leads out of the ZIP makes it refused, and there is no file afterwards that wasn't before."""
    path = zip_of(tmp_path / "a.zip", {name: "email\nx@example.com\n"})
    before = sorted(tmp_path.rglob("*"))

    outcome = read_or_refuse(path, con)

    assert isinstance(outcome, InputError)
    assert "whose path leads out of the ZIP" in outcome.message
    assert [found for found in sorted(tmp_path.rglob("*")) if "spill" not in found.parts] == before


def test_a_symbolic_link_in_a_zip_is_not_followed(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    """What it points to is read neither as a CSV nor as a manifest."""
    (tmp_path / "secret.csv").write_text("email\nwrong@example.com\n")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        link = zipfile.ZipInfo("x.csv")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(link, str(tmp_path / "secret.csv"))

    outcome = read_or_refuse(tmp_path / "a.zip", con)

    assert isinstance(outcome, InputError)
    assert "no column with an identity" in outcome.message


def test_a_symbolic_link_is_read(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    """A person may give one on the command line, and means what it points to."""
    (tmp_path / "there[1].csv").write_text("email\nright@example.com\n")
    (tmp_path / "here*.csv").symlink_to(tmp_path / "there[1].csv")

    assert emails(tmp_path / "here*.csv", con) == ["right@example.com"]


@pytest.mark.parametrize("names", [("a.csv", "a.csv"), ("x/manifest.json", "y/manifest.json")])
def test_names_that_stand_twice_in_a_zip(
    tmp_path: Path, con: duckdb.DuckDBPyConnection, names: tuple[str, str]
) -> None:
    """Which of the two is meant can't be known, and to read one only would lose the members of the other."""
    with (
        zipfile.ZipFile(tmp_path / "a.zip", "w") as packed,
        pytest.warns(UserWarning, match="Duplicate name") if names[0] == names[1] else nullcontext(),
    ):
        for name in names:
            packed.writestr(name, "email\nx@example.com\n")

    with pytest.raises(InputError, match="two files of the same name"):
        read(tmp_path / "a.zip", con)


def test_the_same_name_in_two_folders_of_a_zip(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    """A manifest lists names without folders, so it can't tell them apart."""
    members = {"x/a.csv": HEADER, "y/a.csv": HEADER, "manifest.json": "{}"}

    with pytest.raises(InputError, match="two files of the same name"):
        read(zip_of(tmp_path / "a.zip", members), con)


def test_control_characters_are_not_shown(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    """Names out of files reach a terminal and messages on one line, without what would move a cursor."""
    names = "".join(
        f'{{"IsMember": true, "AudienceId": {number}, "AudienceName": "A\\n\\u001b[31m\\u202e{"x" * 4_000}", '
        '"UserIdentities": {}}'
        for number in range(2)
    )
    (tmp_path / "a.txt").write_text(names)

    outcome = read_or_refuse(tmp_path / "a.txt", con)
    source = read(tmp_path / "a.txt", con, audience="1")

    assert isinstance(outcome, InputError)
    assert "A??[31m?xxx" in outcome.message
    assert source.audience_name is not None
    assert (source.audience_name[:9], len(source.audience_name)) == ("A??[31m?x", 255)
