"""A digest of a source's bytes: an approval is bound to what was read, and not to where it was read from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The digest of the bytes of files, and how to tell quickly that one of them has been replaced or written to."""

    digest: str
    state: tuple[tuple[int, ...], ...]


def fingerprint(paths: Sequence[Path]) -> Fingerprint | None:
    """Return the fingerprint of files and of what is in folders, or None if something can't be read.

    Reads all of it: call it in a thread.
    """
    digest = hashlib.sha256()
    try:
        files = _files(paths)
        for path in files:
            with path.open("rb") as file:
                one = hashlib.file_digest(file, "sha256")
            if len(files) == 1:
                digest = one
            else:
                digest.update(one.digest())
        return Fingerprint(digest.hexdigest(), _state(files))
    except OSError:  # reading the audience says what is wrong
        return None


def check_unchanged(paths: Sequence[Path], before: Fingerprint | None) -> None:
    """Raise InputError if a file was written to, replaced, added or taken away after the fingerprint was taken."""
    if before is None or _state(_files(paths)) == before.state:
        return
    raise InputError("changed while it was read. Wait until it is complete, and start again.", path=paths[0].name)


def _files(paths: Sequence[Path]) -> list[Path]:
    """The files, with those in folders in the order of their names."""
    found: list[Path] = []
    for path in paths:
        found += sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    return found


def _state(files: Sequence[Path]) -> tuple[tuple[int, ...], ...]:
    found = [path.stat() for path in files]
    return tuple((each.st_dev, each.st_ino, each.st_size, each.st_mtime_ns) for each in found)
