"""A digest of a source's bytes: an approval is bound to what was read, and not to where it was read from."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a file was: the SHA-256 of its bytes (hexadecimal), and what tells that it was not written to since."""

    digest: str
    inode: tuple[int, int]
    size: int
    modified_ns: int


def fingerprint(path: Path) -> Fingerprint | None:
    """Return the fingerprint of a file, or None if it can't be read. Reads all of it: call it in a thread."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found = path.stat()
    except OSError:  # reading the audience says what is wrong
        return None
    return Fingerprint(digest, (found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns)


def check_unchanged(path: Path, before: Fingerprint | None) -> None:
    """Raise InputError if a file was written to or replaced after its fingerprint was taken."""
    if before is None:
        return
    found = path.stat()
    now = ((found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns)
    if now == (before.inode, before.size, before.modified_ns):
        return
    raise InputError("changed while it was read. Wait until it is complete, and start again.", path=path.name)
