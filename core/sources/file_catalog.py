"""Listing the place of a source: its audiences, each a file or a folder of parts, in the order in which they were made.

The address of a place is a folder, a prefix, a pattern (`*`, `?`) or one file: on this machine, in a bucket, or on a
web server, which can't be listed.
"""

import asyncio
import contextlib
import glob
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from core import network
from core.errors import InputError
from core.sources.bucket_export import is_validation
from core.sources.fetch import BUCKETS, FetchError, bucket_errors, check_place, name_of, open_bucket, scheme_of

# The largest number of files in a place, and of parts of one audience.
MOST_FILES, MOST_PARTS = 10_000, 1_000
#: What a source on a web server is.
ONE_FILE = "A web server can't be listed: use the address of one file. It is synced when its ETag or its time changes."
# How long a web server may take to answer, in seconds.
TIMEOUT_S = 30.0
#: Export programs add this file to a folder when all of its parts are complete (Hadoop's file output committer).
COMPLETE_MARKER = "_SUCCESS"

# Names of files that are still being written, by programs that rename them at the end.
_UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".inprogress", ".swp")
_PART = re.compile(r"part[-_.]\d", re.IGNORECASE)
# `8754_Parisians_172136Nov292018.csv`: HHMMSSMonDDYYYY (mParticle's audience downloads)
_DOWNLOADED = re.compile(r"(?<!\d)(\d{6}[A-Za-z]{3}\d{6})(?!\d)")
# `2020-07-08_00-16-14`, `20200708T001614Z`, `2020-07-08` and the like
_DATED = re.compile(r"(?<!\d)(20\d\d)-?(\d\d)-?(\d\d)(?:[ T_-]?(\d\d)[-:_.]?(\d\d)(?:[-:_.]?(\d\d))?)?(?!\d)")
_BY_LENGTH = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


@dataclass(frozen=True, slots=True)
class ListedAudience:
    """An audience in a place: one file, or the files of a folder.

    `tag` changes with the content: a server's tag or a time stamp. `at` is when it was made (UTC seconds): the time in
    its name, or else of its last change. `is_complete` is False for a folder whose export program has not ended.
    """

    address: str
    parts: tuple[str, ...]
    size: int
    tag: str
    at: float
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class _Entry:
    address: str
    relative: PurePosixPath
    size: int
    tag: str
    modified: float


async def list_audiences(address: str, allowed: tuple[str, ...] | None = None) -> list[ListedAudience]:
    """Return the audiences in a place, the oldest first.

    `allowed` are the places that may be read (None: everywhere). Raises InputError if the place can't be listed, and
    FetchError if a later attempt may succeed.
    """
    if allowed is not None:
        check_place(address, allowed)
    scheme = scheme_of(address)
    if not scheme:
        entries = await asyncio.to_thread(lambda: list(_on_this_machine(address)))
    elif scheme in ("http", "https"):
        entries = [await _on_web(address)]
    elif scheme in BUCKETS:
        entries = await asyncio.to_thread(_in_bucket, scheme, address)
    else:
        raise InputError(f"A source can't be in {scheme}:. Use a folder, https://, s3://, gs://, az:// or sftp://.")
    return sorted(_audiences(entries), key=lambda each: (each.at, each.address))


def time_in_name(name: str) -> float | None:
    """Return the time in the name of a file or a path (UTC seconds), or None. Names are read as UTC."""
    texts = [(match[1], "%H%M%S%b%d%Y") for match in _DOWNLOADED.finditer(name)]
    for match in _DATED.finditer(name):
        digits = "".join(group for group in match.groups() if group)
        texts.append((digits, _BY_LENGTH[len(digits)]))
    for text, form in reversed(texts):
        with contextlib.suppress(ValueError):
            return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
    return None


def _audiences(entries: Sequence[_Entry]) -> Iterator[ListedAudience]:
    if len(entries) > MOST_FILES:
        raise InputError(
            f"The source has more than {MOST_FILES:,} files. Choose a smaller place, or archive old files."
        )
    by_folder: dict[PurePosixPath, list[_Entry]] = {}
    for entry in entries:
        by_folder.setdefault(entry.relative.parent, []).append(entry)
    for folder, of_folder in by_folder.items():
        names = {entry.relative.name for entry in of_folder}
        data = [entry for entry in of_folder if _is_data(entry)]
        is_marked = COMPLETE_MARKER in names
        if data and folder != PurePosixPath() and (is_marked or all(_PART.match(e.relative.name) for e in data)):
            yield _folder(folder, data, is_complete=is_marked)
        else:
            yield from map(_single, data)


def _single(entry: _Entry) -> ListedAudience:
    at = time_in_name(entry.relative.name) or time_in_name(str(entry.relative)) or entry.modified
    return ListedAudience(entry.address, (entry.address,), entry.size, entry.tag, at)


def _folder(folder: PurePosixPath, parts: Sequence[_Entry], *, is_complete: bool) -> ListedAudience:
    if len(parts) > MOST_PARTS:
        raise InputError(f"{folder.name} has more than {MOST_PARTS:,} parts. Write fewer, larger files.")
    ordered = sorted(parts, key=lambda entry: entry.address)
    at = time_in_name(str(folder)) or max(entry.modified for entry in parts)
    return ListedAudience(
        ordered[0].address.rpartition("/")[0] + "/",
        tuple(entry.address for entry in ordered),
        sum(entry.size for entry in parts),
        " ".join(sorted({entry.tag for entry in parts})[-3:]) + f" {len(parts)}",
        at,
        is_complete,
    )


def _is_data(entry: _Entry) -> bool:
    """Return whether a file may be an audience: not hidden, not a marker, not unfinished, not empty."""
    name = entry.relative.name
    is_marker = name.startswith((".", "_", "~")) or name.lower().endswith(_UNFINISHED)
    return not is_marker and not is_validation(name) and entry.size > 0


def _on_this_machine(address: str) -> Iterator[_Entry]:
    base, paths = _paths(Path(address))
    count = 0
    for each in paths:
        try:
            state = each.stat()
        except OSError:  # removed meanwhile
            continue
        if not stat.S_ISREG(state.st_mode):
            continue
        if (count := count + 1) > MOST_FILES + 1:
            return
        relative = PurePosixPath(each.relative_to(base))
        tag = f"{state.st_mtime_ns} {state.st_ino}"
        yield _Entry(str(each), relative, state.st_size, tag, state.st_mtime)


def _paths(path: Path) -> tuple[Path, Iterable[Path]]:
    """Return the folder of a place, and the paths in it. Raises InputError if there is no such place."""
    if path.is_dir():
        return path, (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    if path.is_file():
        return path.parent, [path]
    if glob.has_magic(str(path)):
        base = _base_of(path)
        return base, base.glob(str(path.relative_to(base)))
    if path.parent.is_dir():  # a prefix
        return path.parent, path.parent.glob(f"{glob.escape(path.name)}*")
    raise InputError("There is no such folder. Check the path of the source.", path=path.name)


def _base_of(path: Path) -> Path:
    """Return the folder above the first part of a pattern that has a wildcard."""
    fixed = []
    for part in path.parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)


def _in_bucket(scheme: str, address: str) -> list[_Entry]:
    with bucket_errors(scheme):
        bucket, root = open_bucket(scheme, address)
        files = _files(bucket, root, is_folder=address.endswith("/"))
        base = PurePosixPath(root if address.endswith("/") else _bucket_base(root))
        host = urlsplit(address).netloc
        return [
            _bucket_entry(f"{scheme}://{host}{name}" if scheme == "sftp" else f"{scheme}://{name}", base, name, details)
            for name, details in files.items()
            if details.get("type") != "directory"
        ]


def _files(bucket: Any, root: str, *, is_folder: bool) -> dict[str, dict[str, Any]]:
    """Return the files below a folder, or those that a pattern or a prefix matches."""
    files: dict[str, dict[str, Any]]
    if is_folder:
        files = bucket.find(root, detail=True)
    elif glob.has_magic(root):
        files = bucket.glob(root, detail=True)
    elif bucket.isfile(root):
        files = {root: bucket.info(root)}
    elif bucket.isdir(root):
        files = bucket.find(root, detail=True)
    else:
        files = bucket.glob(f"{glob.escape(root)}*", detail=True)
    return files


def _bucket_base(root: str) -> str:
    fixed = root
    while glob.has_magic(fixed):
        fixed = str(PurePosixPath(fixed).parent)
    return fixed if fixed != root else str(PurePosixPath(root).parent)


def _bucket_entry(address: str, base: PurePosixPath, name: str, details: dict[str, Any]) -> _Entry:
    path = PurePosixPath(name)
    relative = path.relative_to(base) if path.is_relative_to(base) else PurePosixPath(path.name)
    keys = ("LastModified", "last_modified", "mtime", "updated")
    modified = _seconds(next((details[key] for key in keys if details.get(key) is not None), None))
    tag = str(details.get("ETag") or details.get("etag") or modified)
    return _Entry(address, relative, int(details.get("size") or 0), tag, modified)


def _seconds(value: Any) -> float:
    """Return a time of a cloud's library in UTC seconds; 0 if it is unknown."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).timestamp()
        except ValueError:
            return 0.0
    return float(value or 0.0)


async def _on_web(address: str) -> _Entry:
    """Ask a web server for the state of one file. A page that lists files is none."""
    host = urlsplit(address).hostname
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=network.connector()) as session,
            session.head(address, allow_redirects=False, proxy=network.proxy_for(address)) as response,
        ):
            if response.status >= 500 or response.status == 429:
                raise FetchError(f"{host} answers {response.status}. Try again later.")
            if response.status != 200:
                raise InputError(f"{host} answers {response.status}, not the file. Check the address of the source.")
            if response.content_type == "text/html":
                raise InputError(f"{host} sends a web page, not a file. {ONE_FILE}")
            changed = response.headers.get("Last-Modified")
            modified = parsedate_to_datetime(changed).timestamp() if changed else 0.0
            size = int(response.headers.get("Content-Length") or 1)
            tag = response.headers.get("ETag") or changed or ""
    except (aiohttp.ClientError, TimeoutError) as error:
        if fault := network.certificate_fault(error, str(host)):
            raise InputError(fault) from error
        raise FetchError(f"{host} does not answer ({type(error).__name__}). Try again.") from error
    return _Entry(address, PurePosixPath(name_of(address)), size, tag, modified)
