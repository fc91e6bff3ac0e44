"""How much of an audience has been downloaded.

Another process can ask for it (in Slack, the one that updates messages), so the expected size is a file in the
download's directory while the download continues.
"""

from dataclasses import dataclass
from pathlib import Path

_EXPECTED = ".expected-bytes"


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """The number of bytes so far, and of the whole audience if the server says it."""

    done: int
    total: int | None


def start(directory: Path) -> None:
    """Note that a download to this directory starts."""
    (directory / _EXPECTED).write_text("")


def expect(directory: Path, size: int | None) -> None:
    """Note how many bytes a download to this directory has, if that is known."""
    if size:
        (directory / _EXPECTED).write_text(str(size))


def finish(directory: Path) -> None:
    """Note that a download to this directory has ended."""
    (directory / _EXPECTED).unlink(missing_ok=True)


def download_progress(directory: Path) -> DownloadProgress | None:
    """Return the progress of the downloads to a directory and to those in it, None if there are none."""
    if not directory.is_dir():
        return None
    try:
        unfinished = {path.parent: path.read_text() for path in directory.rglob(_EXPECTED)}
        done = _bytes_in(directory)
        finished = done - sum(map(_bytes_in, unfinished))
    except OSError:  # a file was removed meanwhile
        return None
    if not unfinished:
        return None
    total = finished + sum(map(int, unfinished.values())) if all(unfinished.values()) else None
    return DownloadProgress(done, None if total is not None and total < done else total)


def _bytes_in(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file() and path.name != _EXPECTED)
