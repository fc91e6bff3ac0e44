"""The sources that FILE can name: files, folders, patterns, addresses, standard input; and chosen columns."""

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.bot.cli.commands import Commands, LocalIterable


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Serve the files of a folder for the length of the block, and yield the address."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def parts(run: Commands) -> Path:
    """A folder with two parts of one audience, as Spark writes them."""
    folder = run.folder / "export"
    folder.mkdir()
    run.audience([0, 1], name="export/part-00000.csv")
    plain = run.audience([2], name="part")
    (folder / "part-00001.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    (folder / "_SUCCESS").touch()
    return folder


EVERYONE = {f"p{n}@example.com" for n in range(3)}


@pytest.mark.parametrize(
    "sources",
    [
        pytest.param(["export"], id="folder"),
        pytest.param(["export/*.csv*"], id="pattern", marks=pytest.mark.extended),
        pytest.param(["export/part-00000.csv", "export/part-00001.csv.gz"], id="files"),
        pytest.param(
            ["export/part-00001.csv.gz", "export/part-00000.csv"],
            id="the plain file last",
            marks=pytest.mark.extended,
        ),
        pytest.param(["file://{folder}/export"], id="address of a folder", marks=pytest.mark.extended),
    ],
)
def test_several_files_are_one_audience(
    run: Commands, iterable: LocalIterable, parts: Path, sources: list[str]
) -> None:
    """Several files are synced as one audience, and other files of the folder are ignored."""
    target = iterable.new_list()
    result = run.here("sync", *(each.format(folder=parts.parent) for each in sources), "--list", target, "--json")

    assert (result.code, iterable.emails(target)) == (0, EVERYONE), result.err
    assert (result.object["members"], result.object["rows_read"]) == (3, 3)


def test_an_address_is_fetched(run: Commands, iterable: LocalIterable, parts: Path) -> None:
    """The command fetches a file from an address, and keeps no copy of it."""
    target = iterable.new_list()
    with web_server(parts) as address:
        fetched = run.here("sync", f"{address}/part-00000.csv", f"{address}/part-00001.csv.gz", "--list", target)
        missing = run.here("sync", f"{address}/nothing.csv", "--list", target)

    assert (fetched.code, iterable.emails(target)) == (0, EVERYONE), fetched.err
    assert missing.code == 2
    assert "answers 404, not the file" in missing.err
    assert not list((run.folder / "data" / "fetched").glob("*"))


def test_an_address_that_nothing_reads(run: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal of an address names the kinds that can be read, and the package that one of them needs."""
    monkeypatch.setitem(sys.modules, "adlfs", None)  # as if it were not installed
    unknown = run.here("sync", "ftp://files.example.com/a.csv", "--list", 1)
    missing = run.here("sync", "az://container/a.csv", "--list", run.iterable.new_list())

    assert (unknown.code, missing.code) == (2, 2)
    assert "audiences can't be read from ftp://, but from files, https://" in unknown.err
    assert "pip install 'iterable-sync[azure]'" in missing.err


@pytest.mark.extended
def test_standard_input(run: Commands, iterable: LocalIterable) -> None:
    """The command reads a table from standard input, and keeps no copy of it."""
    target = iterable.new_list()
    result = run("sync", "-", "--list", target, stdin="email,customer_id\np0@example.com,c0\n")

    assert (result.code, iterable.emails(target)) == (0, {"p0@example.com"}), result.err
    assert not list((run.folder / "data" / "standard-input").glob("*"))


def test_columns_are_chosen(run: Commands, iterable: LocalIterable) -> None:
    """Two columns for one identity need a choice; a dry run prints the choice, and later runs use it."""
    target, path = iterable.new_list(), run.folder / "crm.csv"
    path.write_text("E-Mail,Email,user id,City\np0@example.com,p1@example.com,c0,Ghent\n")
    asked = run.here("sync", path, "--list", target)
    wrong = run.here("sync", path, "--list", target, "--column", "mail=E-Mail")
    planned = run.here("sync", path, "--list", target, "--column", "email=e-mail", "--dry-run")
    later = run.here("sync", path, "--list", target)

    assert (asked.code, wrong.code, planned.code, later.code) == (2, 2, 0, 0), later.err
    assert "has two columns for the email, E-Mail and Email. Choose one of them." in asked.err
    assert "--column email=NAME" in asked.err
    assert "Choose columns with email=NAME" in wrong.err
    assert "Columns used: E-Mail as email, user id as customer id. Ignored: Email, City." in planned.out
    assert iterable.emails(target) == {"p0@example.com"}
