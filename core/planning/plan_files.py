"""The files of a run's source."""

from pathlib import Path

from core.models.run import Run
from core.planning.workspace import SMALL_BYTES, SMALL_ROWS


def is_small(planned: Run, ledger_size: int) -> bool:
    """Return whether source and ledger are small, so that a second thread would not pay off."""
    if planned.request.live:
        return True
    try:
        size = sum(_size(path) for path in paths_of(planned))
    except OSError:  # reading the source raises a better error
        return True
    return size <= SMALL_BYTES and ledger_size <= SMALL_ROWS


def paths_of(planned: Run) -> list[Path]:
    """Return the paths of a run's files."""
    return [Path(path) for path in (planned.request.path, *planned.request.more_paths)]


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder, without unpacking any."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size
