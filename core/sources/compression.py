"""Compressed files: recognized by their first bytes, and unpacked with the same limits as archives."""

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

from core.sources.duckdb_errors import disk_errors
from core.sources.source_file import SourceFile, refuse_bomb

# How many times a file may be compressed. People compress twice by mistake; more is a bomb.
MOST_LAYERS = 3
_CHUNK = 1 << 20
_SUFFIX = re.compile(r"\.(gz|gzip|bz2|xz|zst|zstd)$", re.IGNORECASE)
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)

Opener = Callable[[Path], AbstractContextManager[Any]]


def _open_zstd(path: Path) -> AbstractContextManager[Any]:
    import pyarrow as pa  # takes a moment, and no other compression needs it

    stream: AbstractContextManager[Any] = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
    return stream


#: The first bytes of compressed files, with the name of the compression and the function that opens them.
COMPRESSIONS: dict[bytes, tuple[str, Opener]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\x00": ("xz", lzma.open),
    b"\x28\xb5\x2f\xfd": ("zstd", _open_zstd),
}


def decompress(file: SourceFile, folder: Path) -> SourceFile:
    """Decompress a file into `folder` and return the result, or the file itself if it is not compressed.

    Raises InputError if the file is damaged, a bomb, or compressed too many times, and SettingsError if the disk is
    full.
    """
    for layer in range(MOST_LAYERS + 1):
        compression = _compression(file.path)
        if compression is None:
            return file
        if layer == MOST_LAYERS:
            raise file.error(
                "is compressed several times: this is not an audience. Unpack it, and give the file inside."
            )
        file = _unpack(file, folder / f"{file.path.name[-40:]}.{layer}", *compression)
    return file


def _compression(path: Path) -> tuple[str, Opener] | None:
    with path.open("rb") as stream:
        start = stream.read(8)
    return next((compression for magic, compression in COMPRESSIONS.items() if start.startswith(magic)), None)


def _unpack(file: SourceFile, target: Path, name: str, opener: Opener) -> SourceFile:
    packed_size, size = file.path.stat().st_size, 0
    with disk_errors(), target.open("wb") as unpacked:
        try:
            stream = opener(file.path)
        except _DAMAGE:
            stream = None
        if stream is None:
            raise _damage_error(file, name)
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
    raise _damage_error(file, name)


def _damage_error(file: SourceFile, name: str) -> Exception:
    return file.error(f"is not a complete {name} file: it was cut off or damaged. Fetch it again.")
