"""Audiences that were uploaded to the HTTP API: files in the data directory, until their run must be approved by.

Their address is `upload:` and the path below the folder of uploads. Only the API makes such addresses; no one may enter
them. If several processes share a database, they have to share the data directory too, or take audiences by address.
"""

import asyncio
import hashlib
import shutil
import uuid
from pathlib import Path
from typing import Protocol

from core.errors import InputError
from core.settings import UPLOADS
from core.sources.duckdb_errors import disk_errors
from core.sources.fetch import name_of

#: The scheme of the addresses.
SCHEME = "upload"
#: The most bytes of an upload. A larger audience is read from a bucket.
MAX_BYTES = 1024**3
#: The most files of an upload: each takes a folder, and its address is stored with the run.
MAX_FILES = 1_000


class ContentTooLargeError(InputError):
    """An upload is larger than MAX_BYTES, or has more than MAX_FILES files."""

    code = "content_too_large"


class Chunks(Protocol):
    """A body that is read in pieces, as aiohttp's parts are."""

    async def read_chunk(self, size: int = ...) -> bytes:
        """Return the next piece, empty at the end."""


class Upload:
    """The files of one request. `addresses` and `digests` (SHA-256) are in the order in which they were saved.

    `is_needed` says that a run may need the files, so that they must not be removed with the request.
    """

    def __init__(self, data_dir: Path) -> None:
        """Take the data directory. Nothing is written before a file is saved."""
        self.addresses: list[str] = []
        self.digests: list[str] = []
        self.is_needed = False
        self._folder = data_dir / UPLOADS / uuid.uuid4().hex
        self._size = 0

    async def save(self, name: str, body: Chunks) -> None:
        """Write a file. Raises ContentTooLargeError if the files become too large or too many.

        Raises SettingsError if the disk is full or read-only.
        """
        if len(self.addresses) == MAX_FILES:
            raise ContentTooLargeError(
                f"An upload may have {MAX_FILES:,} files. Join some, or put them into a bucket, and give its address."
            )
        with disk_errors():
            await self._save(name, body)

    async def _save(self, name: str, body: Chunks) -> None:
        folder = self._folder / str(len(self.addresses))  # two files may have one name
        await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True)
        path = folder / name_of(name)
        digest = hashlib.sha256()
        with path.open("wb") as file:
            while chunk := await body.read_chunk(_CHUNK):
                self._size += len(chunk)
                if self._size > MAX_BYTES:
                    raise ContentTooLargeError(
                        f"An upload may have {MAX_BYTES // 1024**2:,} MB. Put a larger audience into a bucket, and "
                        "give its address."
                    )
                digest.update(chunk)
                await asyncio.to_thread(file.write, chunk)
        self.addresses.append(f"{SCHEME}:{self._folder.name}/{folder.name}/{path.name}")
        self.digests.append(digest.hexdigest())

    def remove(self) -> None:
        """Remove the files, because no run needs them."""
        shutil.rmtree(self._folder, ignore_errors=True)


_CHUNK = 1 << 18


def path_of(data_dir: Path, address: str) -> Path:
    """Return the path of an uploaded file. Raises InputError if it is not there."""
    folder = data_dir / UPLOADS
    path = folder / address.removeprefix(f"{SCHEME}:")
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise InputError(
            "The uploaded file is not there: it was deleted after the time for an approval, or another machine has it. "
            "Upload it again."
        )
    return path
