"""ZIP archives from untrusted sources: the list of members is checked before a byte is unpacked."""

import errno
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from core.errors import SettingsError
from core.sources.duckdb_errors import NO_ROOM, disk_errors
from core.sources.source_file import SourceFile, refuse_bomb

# A download has a manifest, and a CSV for each variant.
MOST_MEMBERS = 1_000
# The list of members at the end of a ZIP, in bytes: 1,000 of them with long names.
LONGEST_DIRECTORY = 1 << 20
# In bytes: 2 kB for each file. JSON takes many times its size in memory.
LARGEST_MANIFEST = 2 << 20

TWICE = "contains two files with the same name. Download the audience again."
CUT_OFF = "is not a complete ZIP file: it was cut off or damaged. Download it again."

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_END = struct.Struct("<4s4H2LH")
# Large archives have a second, larger end record, and a pointer to it, before the first.
_LARGE_END = struct.Struct("<4sQ2H2L4Q")
_LARGE_POINTER = struct.Struct("<4sLQL")
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ArithmeticError,
    EOFError,
    LookupError,
    RuntimeError,
    ValueError,
)


@contextmanager
def open_archive(file: SourceFile) -> Iterator["Archive"]:
    """Open a ZIP for the block. Raises InputError if it is damaged, encrypted, or harmful."""
    _refuse_large_directory(file)
    with _refuse_damage(file):
        archive = zipfile.ZipFile(file.path)
    with archive:
        yield Archive(archive, file)


@contextmanager
def _refuse_damage(file: SourceFile) -> Iterator[None]:
    """Raise InputError for any exception that a damaged ZIP causes. (An offset outside the file gives EINVAL.)"""
    try:
        yield
    except _DAMAGE:
        pass
    except OSError as exc:
        if exc.errno != errno.EINVAL:
            raise
    else:
        return
    raise file.error(CUT_OFF) from None


class Archive:
    """The members of a ZIP that are used: data files and the manifest."""

    def __init__(self, archive: zipfile.ZipFile, file: SourceFile) -> None:
        self._archive = archive
        self._file = file
        members = [member for member in archive.infolist() if not member.filename.endswith("/")]
        for member in members:
            _refuse_harmful(member, file)
        _refuse_bomb(members, file)
        exported = [member for member in members if not _is_macos_file(member.filename)]
        self._members = {member.filename: member for member in exported}
        if len(self._members) < len(exported):
            raise file.error(TWICE)
        self.is_workbook = any(name.startswith("xl/") for name in self._members)
        self.unpacked_size = sum(member.file_size for member in members)

    def csv_names(self) -> list[str]:
        """Return the names of the CSV files."""
        return [name for name in self._members if name.lower().endswith(".csv")]

    def data_names(self) -> list[str]:
        """Return the names of the members that may be parts of an audience, in order."""
        return sorted(name for name in self._members if not _is_marker(name))

    def manifest(self) -> bytes | None:
        """Return the content of the manifest, or None. Raises InputError if it is too large or not unique."""
        manifests = [
            member for name, member in self._members.items() if PurePosixPath(name).name.lower() == "manifest.json"
        ]
        if len(manifests) > 1:
            raise self._file.error(TWICE)
        if manifests and manifests[0].file_size > LARGEST_MANIFEST:
            raise self._file.error("the manifest is larger than 2 MB: this is not an audience download.")
        return self._read(manifests[0], LARGEST_MANIFEST) if manifests else None

    def read(self, name: str, most: int) -> bytes:
        """Return the content of a member, or its first `most` bytes. Raises InputError if it is damaged."""
        return self._read(self._members[name], most)

    def extract(self, name: str, target: Path) -> None:
        """Unpack a member into a file. Raises InputError if it is damaged, and SettingsError if the disk is full."""
        member = self._members[name]
        with disk_errors(), _refuse_damage(self._file):
            if member.file_size > shutil.disk_usage(target.parent).free:
                raise SettingsError(NO_ROOM)
            with self._archive.open(member) as packed, target.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, 1 << 20)

    def _read(self, member: zipfile.ZipInfo, most: int) -> bytes:
        # not ZipFile.read, which unpacks everything, even if it is more than the ZIP declares
        with _refuse_damage(self._file), self._archive.open(member) as packed:
            return packed.read(most)


def _refuse_harmful(member: zipfile.ZipInfo, file: SourceFile) -> None:
    parts = PurePosixPath(member.filename.replace("\\", "/")).parts
    if ".." in parts or member.filename.startswith(("/", "\\")) or _DRIVE.match(member.filename):
        raise file.error("contains a file whose path leads out of the ZIP. This is not from mParticle: don't open it.")
    if member.flag_bits & 0x1:
        raise file.error("is encrypted. Unpack it, and give the CSV file.")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise file.error("uses a compression that is not supported. Unpack it, and give the CSV file.")


def _refuse_bomb(members: list[zipfile.ZipInfo], file: SourceFile) -> None:
    if len(members) > MOST_MEMBERS:
        raise file.error(f"contains more than {MOST_MEMBERS:,} files: this is not an audience download.")
    unpacked = sum(member.file_size for member in members)
    packed = min(sum(member.compress_size for member in members), file.path.stat().st_size)
    refuse_bomb(unpacked, packed, file)


def _refuse_large_directory(file: SourceFile) -> None:
    """Raise InputError for too many members. Reads the end record only, not a list of a million members."""
    with file.path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _END.size - 0xFFFF - _LARGE_POINTER.size - _LARGE_END.size))
        tail = stream.read()
    offset = tail.rfind(b"PK\x05\x06")
    if offset < 0 or len(tail) - offset < _END.size:
        raise file.error(CUT_OFF) from None
    _, _, _, _, members, length, _, _ = _END.unpack_from(tail, offset)
    large = offset - _LARGE_POINTER.size - _LARGE_END.size
    if large >= 0 and tail.startswith(b"PK\x06\x07", large + _LARGE_END.size):
        _, _, _, _, _, _, _, members, length, _ = _LARGE_END.unpack_from(tail, large)
    if members > MOST_MEMBERS or length > LONGEST_DIRECTORY:
        raise file.error(f"contains more than {MOST_MEMBERS:,} files: this is not an audience download.")


def _is_marker(name: str) -> bool:
    """Return whether an export program added the file: a success marker, a list of files, a checksum."""
    plain = PurePosixPath(name).name.lower()
    return not plain or plain.startswith(("_", "manifest")) or plain.endswith((".crc", ".md5", "manifest"))


def _is_macos_file(name: str) -> bool:
    """Return whether macOS added the file to the ZIP."""
    path = PurePosixPath(name)
    return path.parts[:1] == ("__MACOSX",) or path.name.startswith(".")
