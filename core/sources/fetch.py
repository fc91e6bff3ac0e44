"""Fetching audiences: from Slack, a web server or a bucket.

The address of an audience is a path on this machine, `https://...`, `s3://...` or `gs://...`, or has a scheme with a
registered fetcher (the bot registers one for files in Slack).
"""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit, urlunsplit

import aiohttp

from core import network
from core.errors import InputError, SyncError
from core.sources.download_progress import expect, finish, start
from core.sources.places import NOT_ALLOWED, open_in

#: Fetches an address to a file in this directory, and returns its path.
Fetcher = Callable[[str, Path], Awaitable[Path]]

# More than mParticle's largest outputs.
MAX_BYTES = 20 * 1024**3
CHUNK = 1 << 20
# In bytes. File systems allow 255.
LONGEST_NAME = 200
# How long a server may send nothing, in seconds.
SILENCE_S = 60.0

# The names of errors by which the libraries say that they have no credentials, or wrong ones.
_NOT_LET_IN = re.compile(r"Auth|[Cc]redential|Token|PasswordRequired")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):")
# The extra of this package that is needed for each scheme.
BUCKETS = {
    "s3": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
    "sftp": "sftp",
}
#: The schemes of the addresses that audiences are fetched from.
SCHEMES = ("https", "http", *BUCKETS)


class FetchError(SyncError):
    """The audience could not be fetched. A later attempt may succeed."""

    code = "not_fetched"
    is_transient = True


def scheme_of(address: str) -> str:
    """Return an address's scheme, or "" for a path."""
    match = _SCHEME.match(address)
    return match[1] if match else ""


def without_secrets(address: str) -> str:
    """Return an address without user name, password, query and fragment."""
    if not scheme_of(address) or "://" not in address:
        return address
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def name_of(address: str) -> str:
    """Return the file name in an address, in a form that is safe on this machine."""
    try:
        path = urlsplit(address).path if scheme_of(address) else address
    except ValueError:  # as in "s3://[", which may be the name of a file
        path = address
    name = re.sub(r"[\x00-\x1f/\\]", "_", PurePosixPath(unquote(path)).name)
    short_name = name.encode(errors="replace")[-LONGEST_NAME:].decode(errors="ignore")
    return short_name if short_name not in ("", ".", "..") else "audience"


def check_allowed(address: str, allowed: tuple[str, ...]) -> str:
    """Return an address that a person entered in Slack, with paths resolved.

    `allowed` are the addresses and folders that the operator allows. Raises InputError for any other address.
    """
    try:
        return _allowed(address, allowed)
    except (ValueError, OSError) as error:  # it contains NUL, has a broken host, or is too long for a path
        raise InputError(NOT_ALLOWED) from error


def _allowed(address: str, allowed: tuple[str, ...]) -> str:
    scheme = scheme_of(address)
    if scheme:
        parts = urlsplit(address)
        is_plain = ".." not in unquote(parts.path).split("/") and not parts.username
        if is_plain and any(scheme_of(prefix) and address.startswith(_as_prefix(prefix)) for prefix in allowed):
            return address
    else:
        resolved = Path(address).resolve()
        folders = [Path(prefix).resolve() for prefix in allowed if not scheme_of(prefix)]
        if any(resolved.is_relative_to(folder) for folder in folders):
            if not resolved.is_file():
                raise InputError("There is no such file. Check the path.")
            return str(resolved)
    raise InputError(NOT_ALLOWED)


def check_place(address: str, allowed: tuple[str, ...]) -> None:
    """Raise InputError if a place (a folder, a prefix, a pattern or a file) is not in one of the allowed places."""
    if scheme_of(address):
        check_allowed(address, allowed)
        return
    fixed = Path(re.split(r"[*?\[]", address, maxsplit=1)[0])
    try:
        resolved = (fixed if fixed.is_dir() else fixed.parent).resolve()
    except (ValueError, OSError) as error:  # it contains NUL, or is too long for a path
        raise InputError(NOT_ALLOWED) from error
    folders = [Path(prefix).resolve() for prefix in allowed if not scheme_of(prefix)]
    if ".." in address.split("/") or not any(resolved.is_relative_to(folder) for folder in folders):
        raise InputError(NOT_ALLOWED)


@asynccontextmanager
async def fetch_file(
    address: str, directory: Path, fetchers: dict[str, Fetcher], allowed: tuple[str, ...] | None = None
) -> AsyncIterator[Path]:
    """Yield the path of the file at an address, which exists until the end of the block.

    A file that has to be fetched is saved in `directory`, which is deleted at the end. `allowed` are the places from
    which the file may be read (None: everywhere); they don't restrict `fetchers`. Raises InputError if the file can't
    be fetched, and FetchError if a later attempt may succeed.
    """
    scheme = scheme_of(address)
    if not scheme and allowed is None:
        yield Path(address)
        return
    if scheme and allowed is not None and scheme not in fetchers:
        check_allowed(address, allowed)
    await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)  # left by a process that was killed
    try:
        await asyncio.to_thread(directory.mkdir, mode=0o700, parents=True)
        if not scheme:
            folders = [Path(place) for place in allowed or () if not scheme_of(place)]
            with open_in(folders, Path(address), directory) as path:
                yield path
        else:
            start(directory)
            path = await _download(scheme, address, directory, fetchers)
            finish(directory)
            yield path
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


async def _download(scheme: str, address: str, directory: Path, fetchers: dict[str, Fetcher]) -> Path:
    if scheme in fetchers:
        return await fetchers[scheme](address, directory)
    if scheme in ("http", "https"):
        return await _from_web(address, directory / name_of(address))
    if scheme in BUCKETS:
        return await asyncio.to_thread(_from_bucket, scheme, address, directory / name_of(address))
    raise InputError(f"Audiences can't be read from {scheme}:. Use a file, https://, s3://, gs://, az:// or sftp://.")


@asynccontextmanager
async def fetch_files(
    addresses: Sequence[str],
    directory: Path,
    fetchers: dict[str, Fetcher],
    allowed: tuple[str, ...] | None = None,
) -> AsyncIterator[list[Path]]:
    """Yield the paths of the files at several addresses. Works like `fetch_file` for each of them."""
    try:
        async with AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(fetch_file(address, directory / str(index), fetchers, allowed))
                for index, address in enumerate(addresses)
            ]
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


async def save(response: aiohttp.ClientResponse, path: Path, limit: int = MAX_BYTES) -> Path:
    """Write the body of an answer to a file, and return its path. Raises InputError above `limit` bytes."""
    size = 0
    if "Content-Encoding" not in response.headers:
        expect(path.parent, response.content_length)
    with path.open("wb") as file:
        async for piece in response.content.iter_chunked(CHUNK):
            size += len(piece)
            if size > limit:
                raise InputError(f"The file is too large: it has more than {limit:,} bytes.")
            await asyncio.to_thread(file.write, piece)
    return path


async def _from_web(address: str, path: Path) -> Path:
    host = urlsplit(address).hostname
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE_S)
    try:
        # A redirect could lead to a place that the operator does not allow.
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=network.connector()) as session,
            session.get(address, allow_redirects=False, proxy=network.proxy_for(address)) as response,
        ):
            if response.status >= 500 or response.status == 429:
                raise FetchError(f"{host} answers {response.status}. Try again later.")
            if response.status != 200:
                raise InputError(
                    f"{host} answers {response.status}, not the file. Check the address. If it is a link that expires, "
                    "start a sync with a new one."
                )
            return await save(response, path)
    except (aiohttp.ClientError, TimeoutError) as error:
        if fault := network.certificate_fault(error, str(host)):
            raise InputError(fault) from error
        raise FetchError(f"The file could not be fetched from {host} ({type(error).__name__}). Try again.") from error


def _from_bucket(scheme: str, address: str, path: Path) -> Path:
    with bucket_errors(scheme):
        bucket, name = open_bucket(scheme, address)
        if "*" in name_of(address):
            return _folder_from_bucket(bucket, name, path.with_name("parts"))
        if address.endswith("/"):
            return _folder_from_bucket(bucket, name, path)
        with bucket.open(name, "rb") as remote:
            expect(path.parent, bucket.size(name))
            _copy(remote, path, MAX_BYTES)
    return path


@contextmanager
def bucket_errors(scheme: str, *, writes: bool = False) -> Iterator[None]:
    """Turn the errors of a cloud's library into InputError, or FetchError if a later attempt may succeed.

    `writes` says that the bucket is written, and not read.
    """
    doing, verb, missing = ("Writing to", "write to", "bucket") if writes else ("Reading", "read", "file in the bucket")
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"{doing} {scheme}:// needs more packages. Install them: pip install 'iterable-sync[{BUCKETS[scheme]}]'"
        ) from error
    except FileNotFoundError as error:
        raise InputError(f"There is no such {missing}. Check the address.") from error
    except PermissionError as error:
        raise InputError(f"The bucket does not let this program {verb} it. Check its permissions.") from error
    except SyncError:
        raise
    except Exception as error:  # each cloud's library has errors of its own
        kind = type(error).__name__
        is_refused = _is_refused(error)
        if type(error).__module__ == "builtins" and not isinstance(error, OSError) and not is_refused:
            raise
        if is_refused:
            raise InputError(
                f"The server does not let this program in ({kind}). Check the user name and password, or the cloud's "
                "credentials on this machine."
            ) from error
        raise FetchError(f"The bucket failed to answer ({kind}). Try again.") from error


def _is_refused(error: Exception) -> bool:
    """Whether a library has no credentials for a server, or the server refuses them."""
    # Azure's library raises a ValueError without credentials, and an error with the answer's status
    words = str(error) if type(error) is ValueError else type(error).__name__
    return bool(_NOT_LET_IN.search(words)) or getattr(error, "status_code", None) in (401, 403)


def open_bucket(scheme: str, address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it. Raises ImportError if packages are missing."""
    from fsspec.core import url_to_fs

    # not the connection and the listings of an earlier run: they may be broken, or out of date
    if scheme != "sftp":
        bucket, name = url_to_fs(address, skip_instance_cache=True)
        return bucket, str(name)
    from core.sources.sftp import open_sftp

    return open_sftp(address)


def _folder_from_bucket(bucket: Any, root: str, folder: Path) -> Path:
    """Fetch the parts of an audience: the files below a prefix, or those that a pattern matches. Returns the folder."""
    from core.sources.file_opener import is_part

    files = bucket.glob(root, detail=True) if "*" in root else bucket.find(root, detail=True)
    names = [name for name in sorted(files) if is_part(PurePosixPath(name))]
    if not names:
        raise FileNotFoundError(root)
    folder.mkdir()
    expect(folder.parent, sum(files[name].get("size") or 0 for name in names))
    room = MAX_BYTES
    for index, name in enumerate(names):
        with bucket.open(name, "rb") as remote:
            room -= _copy(remote, folder / f"{index:05}" / name_of(name), room)
    return folder


def _copy(remote: BinaryIO, target: Path, limit: int) -> int:
    """Copy a stream to a file, and return the number of bytes. Raises InputError above `limit` bytes."""
    size = 0
    target.parent.mkdir(exist_ok=True)
    with target.open("wb") as file:
        while piece := remote.read(CHUNK):
            size += len(piece)
            if size > limit:
                raise InputError(f"The audience is too large: it has more than {MAX_BYTES:,} bytes.")
            file.write(piece)
    return size


def _as_prefix(prefix: str) -> str:
    # "https://a.example" must not allow "https://a.example.org"
    return prefix if prefix.endswith("/") else prefix + "/"
