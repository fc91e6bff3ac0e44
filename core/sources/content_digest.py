"""A digest of a source's bytes: an approval is for the content that was read, not for the place of the file."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The digest of the bytes of files, and their state, which shows quickly whether one of them has changed.

    `state` has for each file: device, inode, size in bytes, and time of the last change in ns.
    """

    digest: str
    state: tuple[tuple[int, ...], ...]


def fingerprint(paths: Sequence[Path]) -> Fingerprint | None:
    """Return the fingerprint of files and of the files in folders, or None if one can't be read.

    Reads every byte, so call it in a thread.
    """
    digest = hashlib.sha256()
    try:
        files = _files(paths)
        for path in files:
            with path.open("rb") as file:
                file_digest = hashlib.file_digest(file, "sha256")
            if len(files) == 1:
                digest = file_digest
            else:
                digest.update(file_digest.digest())
        return Fingerprint(digest.hexdigest(), _state(files))
    except OSError:  # reading the audience raises a better error
        return None


def check_unchanged(paths: Sequence[Path], before: Fingerprint | None) -> None:
    """Raise InputError if a file was changed, replaced, added or removed since the fingerprint was computed."""
    if before is None or _state(_files(paths)) == before.state:
        return
    raise InputError("changed while it was read. Wait until it is complete, and start again.", path=paths[0].name)


def _files(paths: Sequence[Path]) -> list[Path]:
    """Return the files, and those in folders in the order of their names."""
    files: list[Path] = []
    for path in paths:
        files += sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return files


def _state(files: Sequence[Path]) -> tuple[tuple[int, ...], ...]:
    return tuple(state_of(file.stat()) for file in files)


def state_of(stat: os.stat_result) -> tuple[int, ...]:
    """Return the state of a file: device, inode, size in bytes, and time of the last change in ns."""
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
