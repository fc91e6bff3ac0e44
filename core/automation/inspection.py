"""Inspection of a file in a source: whether it is complete, its digest and time, and its way to the archive."""

import asyncio
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from core.engine import Engine
from core.errors import InputError
from core.sources.content_digest import fingerprint
from core.sources.fetch import bucket_errors, fetch_files, open_bucket, scheme_of
from core.sources.manifest import parse
from core.sources.source_file import SourceFile
from core.sources.zip_archive import open_archive

_ZIPS = (".zip", ".xlsx")


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a complete audience is: the SHA-256 of its bytes, as runs record it, and the time in its manifest."""

    digest: str
    made_at: float | None


async def inspect(
    engine: Engine, parts: Sequence[str], directory: Path, allowed: tuple[str, ...] | None
) -> Inspection | None:
    """Inspect an audience. Returns None if one of its files is cut off, or changed meanwhile.

    A file that is not on this machine is fetched to `directory` for that. Raises InputError or FetchError if it can't
    be.
    """
    async with fetch_files(parts, directory, engine.fetchers, allowed) as paths:
        return await asyncio.to_thread(_inspect, paths)


def _inspect(paths: Sequence[Path]) -> Inspection | None:
    if not all(_is_complete(path) for path in paths):
        return None
    content = fingerprint(paths)
    if content is None:
        return None
    return Inspection(content.digest, _time_in_manifest(paths[0]) if len(paths) == 1 else None)


def _time_in_manifest(path: Path) -> float | None:
    """Return the newest time in the manifest of an audience download (UTC seconds), or None if it has none."""
    if path.suffix.lower() != ".zip":
        return None
    file = SourceFile(path, path.name)
    try:
        with open_archive(file) as opened:
            content = opened.manifest()
        newest_ms = parse(content, file).newest_ms if content is not None else None
    except InputError:  # its run says what is wrong
        return None
    return None if newest_ms is None else newest_ms / 1000


def _is_complete(path: Path) -> bool:
    """Return whether a file is whole, as far as its format shows: a ZIP has its directory at the end."""
    return path.suffix.lower() not in _ZIPS or zipfile.is_zipfile(path)


async def archive(source: str, address: str, folder: str) -> None:
    """Move a file of a source to a folder of the same kind. If that was done before, nothing happens.

    `source` is the full address of the source, which may contain a password. Raises InputError or FetchError.
    """
    if scheme_of(address):
        await asyncio.to_thread(_move_in_bucket, source, address, folder)
    else:
        await asyncio.to_thread(_move, Path(address), Path(folder))


def _move(path: Path, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.rename(_free(folder / path.name))
    except OSError as error:
        raise InputError(
            f"The file was synced, and can't be moved to the archive ({error.strerror}). Let this program write there.",
            path=path.name,
        ) from error


def _free(target: Path) -> Path:
    """Return a path that no file has."""
    number = 1
    free = target
    while free.exists():
        number += 1
        free = target.with_name(f"{target.stem} ({number}){target.suffix}")
    return free


def _move_in_bucket(source: str, address: str, folder: str) -> None:
    scheme = scheme_of(address)
    with bucket_errors(scheme):
        bucket, _ = open_bucket(scheme, source)
        host = urlsplit(address).netloc if scheme == "sftp" else ""
        path = address.partition("://")[2].removeprefix(host)
        target = folder.rstrip("/").partition("://")[2].removeprefix(urlsplit(folder).netloc if host else "")
        folder_path = PurePosixPath(path).parent
        names = bucket.find(path) if path.endswith("/") else [path] if bucket.exists(path) else []
        for name in names:  # one by one: not every library moves folders
            moved = PurePosixPath(target) / PurePosixPath(name).relative_to(folder_path)
            if scheme == "sftp":  # buckets have no folders
                bucket.makedirs(str(moved.parent), exist_ok=True)
            bucket.mv(name, _free_in_bucket(bucket, moved))


def _free_in_bucket(bucket: Any, target: PurePosixPath) -> str:
    """Return a name that no file of the bucket has."""
    number, free = 1, target
    while bucket.exists(str(free)):
        number += 1
        free = target.with_name(f"{target.stem} ({number}){target.suffix}")
    return str(free)
