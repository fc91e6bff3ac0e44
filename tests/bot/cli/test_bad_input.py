"""Errors that the command finds before it sends anything: one sentence on standard error, exit code 2."""

import sqlite3
from pathlib import Path

import pytest

from tests.bot.cli.commands import Commands, LocalIterable


def _refused(run: Commands, *args: object, words: str, code: int = 2, **env: str) -> None:
    result = run.here("sync", *args, env=env)
    assert result.code == code, result.err
    assert words in result.err
    assert result.out == "" or "Run " in result.out.splitlines()[0]
    assert run.iterable.requests("/api/lists/subscribe") == 0


def test_missing_file(run: Commands) -> None:
    """A file that does not exist is refused before Iterable gets a request."""
    _refused(run, "nowhere.zip", "--list", 1001, words="nowhere.zip: there is no such file. Check the path.")


def test_directory(run: Commands) -> None:
    """A folder without an audience file is refused."""
    (run.folder / "empty").mkdir()
    _refused(run, "empty", "--list", 1001, words="empty: is a folder that contains no file of an audience.")


def test_broken_zip(run: Commands) -> None:
    """A truncated ZIP file is refused."""
    path = run.folder / "audience.zip"
    path.write_bytes(b"PK\x03\x04" + bytes(100))

    _refused(run, path, "--list", 1001, words="it was cut off or damaged")


def test_wrong_key(run: Commands) -> None:
    """The error says that Iterable refuses the key, and does not contain the key."""
    _refused(
        run,
        run.audience([1]),
        "--list",
        1001,
        words="Iterable refuses the API key",
        ITERABLE_API_KEY="0123456789abcdef",
    )


def test_no_key(run: Commands) -> None:
    """Without a key, the error says how to set one."""
    _refused(run, run.audience([1]), "--list", 1001, words="ITERABLE_API_KEY is not set", ITERABLE_API_KEY="")


def test_unreachable_host(run: Commands) -> None:
    """A host that can't be reached is a failure (exit code 1), not bad input."""
    _refused(
        run,
        run.audience([1]),
        "--list",
        1001,
        words="can't be reached",
        code=1,
        ITERABLE_SYNC_ITERABLE_URL="http://127.0.0.1:9",
    )


def test_list_that_does_not_exist(run: Commands) -> None:
    """The error names the list that does not exist."""
    _refused(run, run.audience([1]), "--list", 99, words="List 99 does not exist")


def test_dynamic_list(run: Commands, iterable: LocalIterable) -> None:
    """A dynamic list is refused."""
    _refused(run, run.audience([1]), "--list", iterable.new_list("Dynamic"), words="is not a static list")


def test_unknown_connection(run: Commands) -> None:
    """The error names the connection that is not saved."""
    _refused(run, run.audience([1]), "--list", 1001, "--connection", "shop", words='There is no connection "shop".')


def test_unusable_data_directory(run: Commands) -> None:
    """If the data directory is unusable, the error names its setting."""
    file = run.folder / "occupied"
    file.write_text("")

    _refused(run, run.audience([1]), "--list", 1001, words="ITERABLE_SYNC_DATA_DIR", ITERABLE_SYNC_DATA_DIR=str(file))


def test_database_of_a_newer_version(first: Commands) -> None:
    """A database of a newer version is refused."""
    _newer_database(first.folder / "data")

    _refused(first, first.audience([1]), "--list", 1001, words="from a newer version")


@pytest.mark.parametrize("rate", ["-1", "nan", "much"])
def test_invalid_rate(run: Commands, rate: str) -> None:
    """A rate that is negative or no number is refused."""
    _refused(run, run.audience([1]), "--list", 1001, "--rate", rate, words="--rate")


def test_run_that_does_not_exist(run: Commands) -> None:
    """A run that does not exist is wrong usage."""
    result = run.here("runs", "show", "nosuchrun")

    assert result.code == 2
    assert 'There is no run "nosuchrun".' in result.err


def _newer_database(data_dir: Path) -> None:
    data_dir.mkdir()
    database = sqlite3.connect(data_dir / "iterable-sync.sqlite")
    with database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES ('9999_of_the_future')")
    database.close()
