"""The files with the hashes of people that Iterable has forgotten, in the data directory.

There may be millions of them: a file has 32 bytes (SHA-256) for each, one after the other.
"""

import hashlib
import os
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

from core import settings
from core.identity import ProjectType
from core.iterable.hashes import DIGEST_SIZE
from core.store.connections import Connection

# Seconds after which what an interrupted fetch has left is deleted.
LEFT_OVER_S = 3600.0
# Bytes that are read at once, a multiple of a digest.
_CHUNK = 100_000 * DIGEST_SIZE


@dataclass(frozen=True, slots=True)
class ForgottenFiles:
    """The files with the digests of forgotten emails and user ids. None: the project has none of that kind."""

    emails: Path | None
    user_ids: Path | None

    @property
    def all(self) -> list[Path]:
        """The files that the project has."""
        return [path for path in (self.emails, self.user_ids) if path is not None]

    @property
    def age_s(self) -> float:
        """The seconds since the files were fetched; infinity if one is missing."""
        try:
            return max(time.time() - path.stat().st_mtime for path in self.all)
        except OSError:
            return float("inf")


def files_of(data_dir: Path, connection: Connection) -> ForgottenFiles:
    """Return where the hashes of a connection's project are. The files need not exist."""
    directory = data_dir / settings.FORGOTTEN
    name = f"{connection.id}-{connection.rate_limit_key}"
    kind = connection.project_type or ProjectType.EMAIL
    return ForgottenFiles(
        None if kind is ProjectType.USER_ID else directory / f"{name}.emails",
        None if kind is ProjectType.EMAIL else directory / f"{name}.user-ids",
    )


def contains(path: Path | None, values: Iterable[str]) -> bool:
    """Return whether the hash of one of these values is in a file; False if there is no file. Reads the whole file."""
    digests = [hashlib.sha256(value.strip().lower().encode()).digest() for value in values]
    if path is None or not digests:
        return False
    with suppress(FileNotFoundError), path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if any(_is_in(chunk, digest) for digest in digests):
                return True
    return False


def _is_in(chunk: bytes, digest: bytes) -> bool:
    place = chunk.find(digest)
    while place >= 0 and place % DIGEST_SIZE:  # the end of one digest and the beginning of the next
        place = chunk.find(digest, place + 1)
    return place >= 0


async def write_hashes(path: Path, hashes: AsyncGenerator[bytes, None]) -> None:
    """Replace a file by these digests once all have come."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with part.open("wb") as file:
            async with aclosing(hashes):
                async for digests in hashes:
                    file.write(digests)
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def delete_files(data_dir: Path, connection_ids: set[int]) -> None:
    """Delete the hashes of all connections but these, and what interrupted fetches have left."""
    for path in (data_dir / settings.FORGOTTEN).glob("*"):
        owner = path.name.partition("-")[0]
        is_left_over = path.suffix == ".part" and time.time() - path.stat().st_mtime > LEFT_OVER_S
        if not owner.isdigit() or int(owner) not in connection_ids or is_left_over:
            path.unlink(missing_ok=True)
