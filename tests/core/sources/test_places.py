"""Files that people name in Slack: the opened file is in an allowed place, whatever its path leads to later."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import InputError
from core.sources import places
from core.sources.fetch import fetch_file, name_of
from core.sources.places import open_in


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    """An allowed folder with a file in a subfolder, next to a folder that is not allowed."""
    for name in ("drop/week", "private/week"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.csv").write_text(name)
    (tmp_path / "work").mkdir()
    return tmp_path / "drop"


def read(drop: Path, path: Path) -> str:
    """The content of a path in the folder."""
    with open_in([drop], path, drop.parent / "work") as opened:
        assert opened.name == path.name
        return opened.read_text()


def test_file_in_an_allowed_place(drop: Path) -> None:
    """A file in an allowed place is read under its own name, also through a link within the place."""
    assert read(drop, drop / "week" / "a.csv") == "drop/week"
    with open_in([drop / "week" / "a.csv"], drop / "week" / "a.csv", drop.parent / "work") as opened:
        assert opened.read_text() == "drop/week"
    (drop / "link.csv").symlink_to("week/a.csv")
    with open_in([drop.parent / "other", drop], drop / "link.csv", drop.parent / "work") as opened:
        assert (opened.name, opened.read_text()) == ("link.csv", "drop/week")


def _link_of_file(drop: Path) -> Path:
    (drop / "b.csv").symlink_to(drop.parent / "private" / "week" / "a.csv")
    return drop / "b.csv"


def _link_of_folder(drop: Path) -> Path:
    (drop / "other").symlink_to(drop.parent / "private")
    return drop / "other" / "week" / "a.csv"


def _dots(drop: Path) -> Path:
    return drop / ".." / "private" / "week" / "a.csv"


def _neighbor(drop: Path) -> Path:
    (drop.parent / "drop-2").mkdir()
    (drop.parent / "drop-2" / "a.csv").write_text("neighbor")
    return drop.parent / "drop-2" / "a.csv"


@pytest.mark.parametrize("place", [_link_of_file, _link_of_folder, _dots, _neighbor])
def test_file_elsewhere(drop: Path, place: Callable[[Path], Path]) -> None:
    """A file outside is refused, whether by links, dots or a similar name, and the error shows no path."""
    with pytest.raises(InputError, match="may not be read from there") as refused:
        read(drop, place(drop))
    assert str(drop.parent) not in str(refused.value)


@pytest.mark.parametrize("swapped", ["week", "week/a.csv"])
def test_swapped_after_the_check(drop: Path, swapped: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that replaces a file or a folder after the check is not followed."""
    resolve = Path.resolve

    def resolve_and_swap(path: Path, strict: bool = False) -> Path:
        resolved = resolve(path, strict)
        if path.name == "a.csv":
            (drop / swapped).rename(drop / "moved")
            (drop / swapped).symlink_to(drop.parent / "private" / swapped)
        return resolved

    monkeypatch.setattr(Path, "resolve", resolve_and_swap)
    with pytest.raises(InputError, match="may not be read from there"):
        read(drop, drop / "week" / "a.csv")


def test_replaced_during_the_read(drop: Path) -> None:
    """The opened file is read, even if it is replaced."""
    with open_in([drop], drop / "week" / "a.csv", drop.parent / "work") as opened:
        (drop / "week" / "a.csv").unlink()
        (drop / "week" / "a.csv").symlink_to(drop.parent / "private" / "week" / "a.csv")
        assert opened.read_text() == "drop/week"


def test_system_without_paths_of_open_files(drop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without paths of open files copies the file."""
    monkeypatch.setattr(places, "_OF_PROCESS", Path("/not/there"))
    assert read(drop, drop / "week" / "a.csv") == "drop/week"


@pytest.mark.parametrize("kind", ["folder", "pipe", "missing"])
def test_no_file(drop: Path, kind: str) -> None:
    """A folder, a pipe or a missing file is a clear error, and nothing waits for a writer."""
    if kind == "pipe":
        os.mkfifo(drop / kind)
    elif kind == "folder":
        (drop / kind).mkdir()
    with pytest.raises(InputError, match="no such file" if kind == "missing" else "is not a file"):
        read(drop, drop / kind)


async def test_address_outside(tmp_path: Path) -> None:
    """An address outside the allowed places is refused when it is fetched."""
    with pytest.raises(InputError, match="may not be read from there"):
        async with fetch_file("https://127.0.0.1:1/a.csv", tmp_path / "fetched", {}, ("https://example.com/",)):
            pass


NAMES = [
    ("本" * 120 + ".csv", "本" * 65 + ".csv"),
    ("🎉.csv", "🎉.csv"),
    ("..", "audience"),
    (".", "audience"),
    ("", "audience"),
    ("a/..", "audience"),
    ("..\\..\\a.csv", ".._.._a.csv"),
    ("a\x00b\n.csv", "a_b_.csv"),
]


@pytest.mark.parametrize(("name", "expected"), NAMES)
def test_names_of_files_in_slack(tmp_path: Path, name: str, expected: str) -> None:
    """A file from Slack gets a valid file name with its extension, whatever its name there."""
    assert name_of(name) == expected
    (tmp_path / name_of(name)).write_text("a")
