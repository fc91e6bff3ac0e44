"""Exactly the given file is read, whatever its name or directory, and nothing is written outside."""

# Annotations stay text: hypothesis keeps the tests until the very end, when DuckDB reports types in use as leaks.
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
from tests.core.databases import sampled
from tests.core.sources.factories import HEADER, change, zip_of
from tests.core.sources.oracle import planning_workspace, read_or_refuse
from tests.examples import examples

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
# Characters with a meaning in a pattern, a path or a terminal.
SIGNS = st.text(st.sampled_from("ab.*?[]!^-{},\\~'\"$%\n\x1b\u202e =:;#é"), min_size=1, max_size=8)


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A workspace like planning's."""
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
    addresses = [row[0] for row in con.execute("SELECT email FROM source").fetchall()]
    con.execute("DROP TABLE source")
    return addresses


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("name", sampled(NAMES, 3))
def test_a_file_name_is_not_a_pattern_or_address(
    folder: Path, con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, name: str, relative: bool
) -> None:
    """A file name is not a pattern, the home directory or an address."""
    (folder / name).write_text("email\nright@example.com\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))

    assert emails(Path(name) if relative else folder / name, con) == ["right@example.com"]


@settings(
    max_examples=examples(60),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(name=SIGNS.filter(lambda name: name not in (".", "..")), is_bad=st.booleans())
def test_any_name(folder: Path, con: duckdb.DuckDBPyConnection, name: str, is_bad: bool) -> None:
    """A file with any name is read or refused, and an error about it is one line."""
    path = folder / name
    path.write_text("email\nright@example.com\n" if not is_bad else "email,x\nright@example.com\n")

    outcome = read_or_refuse(path, con)

    assert isinstance(outcome, Source) != is_bad
    if isinstance(outcome, Source):
        assert emails(path, con) == ["right@example.com"]
    path.unlink()


def test_other_files_in_the_directory_are_ignored(folder: Path, con: duckdb.DuckDBPyConnection) -> None:
    """A name with a star is read although another file in the directory begins with a backslash."""
    (folder / "\\${*").write_text("email\nwrong@example.com\n")
    (folder / "!*").write_text("email\nright@example.com\n")

    assert emails(folder / "!*", con) == ["right@example.com"]


def test_a_workspace_with_any_name(folder: Path) -> None:
    """The path of the data directory may contain characters of patterns."""
    work = folder / "data[1]*\\"
    work.mkdir()
    path = zip_of(folder / "a?.zip", {"x.csv": "email\nright@example.com\n"})

    with planning_workspace(work) as con:
        assert emails(path, con) == ["right@example.com"]


@pytest.mark.parametrize("directory", ["email=hive@example.com", "customer_id=hive", "c0=hive", "IsAddRequest=false"])
def test_a_directory_is_not_a_column(tmp_path: Path, con: duckdb.DuckDBPyConnection, directory: str) -> None:
    """A directory called name=value, as in data lakes, adds no column to a file."""
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
    """A ZIP with a member outside it is refused, and writes no file."""
    path = zip_of(tmp_path / "a.zip", {name: "email\nx@example.com\n"})
    before = sorted(tmp_path.rglob("*"))

    outcome = read_or_refuse(path, con)

    assert isinstance(outcome, InputError)
    assert "whose path leads out of the ZIP" in outcome.message
    assert [path_after for path_after in sorted(tmp_path.rglob("*")) if "spill" not in path_after.parts] == before


def test_a_symbolic_link_in_a_zip_is_not_followed(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    """The target of a symbolic link in a ZIP is read neither as a CSV nor as a manifest."""
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
    """The target of a symbolic link on the command line is read."""
    (tmp_path / "target[1].csv").write_text("email\nright@example.com\n")
    (tmp_path / "link*.csv").symlink_to(tmp_path / "target[1].csv")

    assert emails(tmp_path / "link*.csv", con) == ["right@example.com"]


@pytest.mark.parametrize("names", [("a.csv", "a.csv"), ("x/manifest.json", "y/manifest.json")])
def test_duplicate_names_in_a_zip(tmp_path: Path, con: duckdb.DuckDBPyConnection, names: tuple[str, str]) -> None:
    """A ZIP is refused if two of its files have the same name, since reading one would lose the other's members."""
    with (
        zipfile.ZipFile(tmp_path / "a.zip", "w") as packed,
        pytest.warns(UserWarning, match="Duplicate name") if names[0] == names[1] else nullcontext(),
    ):
        for name in names:
            packed.writestr(name, "email\nx@example.com\n")

    with pytest.raises(InputError, match="two files with the same name"):
        read(tmp_path / "a.zip", con)


def test_the_same_name_in_two_folders_of_a_zip(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    """A ZIP with the same name in two folders is refused, because a manifest lists names without folders."""
    members = {"x/a.csv": HEADER, "y/a.csv": HEADER, "manifest.json": "{}"}

    with pytest.raises(InputError, match="two files with the same name"):
        read(zip_of(tmp_path / "a.zip", members), con)


def test_control_characters_are_not_shown(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    """Names from files are shown on one line, without control characters."""
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
