"""The place of the run log: a folder of this machine or of an SFTP server, or a prefix in a bucket.

A file appears in it whole: in a bucket because an object does, and in a folder because it is renamed when it is
complete.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol, TypeVar

from core.errors import InputError, StorageError, ValidationError
from core.sources.fetch import BUCKETS, CHUNK, bucket_errors, open_bucket, scheme_of

T = TypeVar("T")

# How much of a file a cloud's library keeps in memory while it sends it: S3 takes 10,000 pieces.
PIECE_BYTES = 8 << 20
ADDRESS_MAX_LENGTH = 2_000


class _Files(Protocol):
    """The files of a place. Names are relative, with slashes."""

    def put(self, source: Path, name: str) -> None: ...

    def remove(self, name: str) -> None: ...


class Place:
    """A place that files are written to. Its methods raise InputError, or a transient SyncError to try again."""

    def __init__(self, address: str) -> None:
        """Take a folder or an address with one of the schemes of `BUCKETS`. No I/O."""
        self._address = address
        self._files: _Files | None = None

    async def put(self, source: Path, name: str) -> None:
        """Write a file, in place of one with the same name."""
        await self._do(lambda files: files.put(source, name))

    async def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        await self._do(lambda files: files.remove(name))

    async def _do(self, work: Callable[[_Files], T]) -> T:
        return await asyncio.to_thread(self._within, work)

    def _within(self, work: Callable[[_Files], T]) -> T:
        scheme = scheme_of(self._address)
        with bucket_errors(scheme, writes=True) if scheme else _folder_errors(self._address):
            if self._files is None:
                self._files = _Remote(scheme, self._address) if scheme else _Folder(Path(self._address))
            return work(self._files)


def check_address(address: str) -> str:
    """Return the address of a place, absolute if it is a folder. Raises ValidationError if it can't be one."""
    scheme = scheme_of(address)
    if not address.strip() or len(address) > ADDRESS_MAX_LENGTH or not address.isprintable():
        raise ValidationError("Name a folder, or an address such as s3://bucket/folder.")
    if scheme and scheme not in BUCKETS:
        raise ValidationError(f"The run log can't be in {scheme}:. Use a folder, s3://, gs://, az:// or sftp://.")
    return address if scheme else str(Path(address).expanduser().absolute())


class _Folder:
    """A folder of this machine. It exists: creating it would hide that a disk is not mounted."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, source: Path, name: str) -> None:
        path = self._root / name
        if not self._root.is_dir():
            raise FileNotFoundError
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(_unfinished(path.name))
        try:
            with source.open("rb") as file, unfinished.open("wb") as target:
                shutil.copyfileobj(file, target, CHUNK)
                target.flush()
                os.fsync(target.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)


class _Remote:
    """A prefix in a bucket, or a folder of an SFTP server."""

    def __init__(self, scheme: str, address: str) -> None:
        self._files: Any
        self._files, root = open_bucket(scheme, address)
        self._root = root.rstrip("/")
        self._has_folders = scheme == "sftp"

    def put(self, source: Path, name: str) -> None:
        path = f"{self._root}/{name}"
        folder, file_name = path.rsplit("/", 1)
        if not self._has_folders:
            self._copy(source, path)
            return
        self._files.makedirs(folder, exist_ok=True)
        unfinished = f"{folder}/{_unfinished(file_name)}"
        try:
            self._copy(source, unfinished)
        except BaseException:
            with contextlib.suppress(OSError):
                self._files.rm_file(unfinished)
            raise
        self._files.mv(unfinished, path)

    def _copy(self, source: Path, path: str) -> None:
        target: BinaryIO
        with source.open("rb") as file, self._files.open(path, "wb", block_size=PIECE_BYTES) as target:
            shutil.copyfileobj(file, target, CHUNK)

    def remove(self, name: str) -> None:
        path = f"{self._root}/{name}"
        if self._files.exists(path):
            self._files.rm_file(path)


@contextmanager
def _folder_errors(address: str) -> Iterator[None]:
    name = PurePosixPath(address).name
    try:
        yield
    except FileNotFoundError as error:
        raise InputError("there is no such folder. Create it, or mount its disk.", path=name) from error
    except PermissionError as error:
        raise InputError("may not be written. Give the program permission to write to it.", path=name) from error
    except OSError as error:
        raise StorageError(f"The folder {name} can't be written ({error.strerror}). It is tried again.") from error


def _unfinished(name: str) -> str:
    """Return the name of a file while it is written. No pattern for finished files matches it."""
    return f".{name}.{secrets.token_hex(4)}.part"
