"""Compressed files: told by their first bytes, and unpacked with the limits that archives have."""

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from core.sources.duckdb_errors import disk_errors
from core.sources.source_file import SourceFile, refuse_bomb

# How often a file may be compressed: twice is a mistake that people make, more is a bomb.
MOST_LAYERS = 3
_CHUNK = 1 << 20
_SUFFIX = re.compile(r"\.(gz|gzip|bz2|xz|zst|zstd)$", re.IGNORECASE)
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)

Opener = Callable[[Path], AbstractContextManager[Any]]


def _open_zstd(path: Path) -> AbstractContextManager[Any]:
    stream: AbstractContextManager[Any] = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
    return stream


#: What a compressed file begins with, what the compression is called, and how it is opened.
COMPRESSIONS: dict[bytes, tuple[str, Opener]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\x00": ("xz", lzma.open),
    b"\x28\xb5\x2f\xfd": ("zstd", _open_zstd),
}


def decompressed(file: SourceFile, folder: Path) -> SourceFile:
    """The file that a compressed file holds, unpacked into `folder`; the file itself if it is not compressed."""
    for layer in range(MOST_LAYERS + 1):
        compression = _compression(file.path)
        if compression is None:
            return file
        if layer == MOST_LAYERS:
            raise file.error(
                "is compressed several times: this is not an audience. Unpack it, and give the file inside."
            )
        file = _unpacked(file, folder / f"{file.path.name[-40:]}.{layer}", *compression)
    return file


def _compression(path: Path) -> tuple[str, Opener] | None:
    with path.open("rb") as stream:
        start = stream.read(8)
    return next((how for magic, how in COMPRESSIONS.items() if start.startswith(magic)), None)


def _unpacked(file: SourceFile, target: Path, name: str, opener: Opener) -> SourceFile:
    packed_size, size = file.path.stat().st_size, 0
    with disk_errors(), target.open("wb") as unpacked:
        try:
            stream = opener(file.path)
        except _DAMAGE:
            stream = None
        if stream is None:
            raise _damaged(file, name)
        with stream:
            while piece := _read(stream, file, name):
                size += len(piece)
                refuse_bomb(size, packed_size, file)
                if file.limit is not None:
                    file.limit.add(len(piece), file)
                unpacked.write(piece)
    return replace(file, path=target, name=_SUFFIX.sub("", file.name) or file.name)


def _read(stream: Any, file: SourceFile, name: str) -> bytes:
    try:
        return bytes(stream.read(_CHUNK))
    except _DAMAGE:
        pass
    raise _damaged(file, name)


def _damaged(file: SourceFile, name: str) -> Exception:
    return file.error(f"is not a whole {name} file: it was cut off or damaged. Fetch it again.")
