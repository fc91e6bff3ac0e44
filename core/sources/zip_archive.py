"""Opening a ZIP that nobody vouches for: what it holds is looked at before a byte of it is unpacked."""

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

# A download has a CSV for each variant and a manifest.
MOST_MEMBERS = 1_000
# The list of members at the end of a ZIP, in bytes: 1,000 of them with long names.
LONGEST_DIRECTORY = 1 << 20
# 2 kB for each of the files that there can be. JSON takes many times its size in memory.
LARGEST_MANIFEST = 2 << 20

TWICE = "holds two files of the same name. Download the audience again."
CUT_OFF = "is not a whole ZIP file: it was cut off or damaged. Download it again."

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_END = struct.Struct("<4s4H2LH")
# Large archives have a second, larger record of the end, and a pointer to it, in front of the first.
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
def opened(file: SourceFile) -> Iterator["Archive"]:
    """The ZIP, if it is one and harmless."""
    _refuse_large_directory(file)
    with _damage_refused(file):
        archive = zipfile.ZipFile(file.path)
    with archive:
        yield Archive(archive, file)


@contextmanager
def _damage_refused(file: SourceFile) -> Iterator[None]:
    """Turn what a damaged ZIP leads to into one error; a place outside the file is an invalid argument."""
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
    """The members of a ZIP that matter: CSV files and the manifest."""

    def __init__(self, archive: zipfile.ZipFile, file: SourceFile) -> None:
        self._archive = archive
        self._file = file
        members = [member for member in archive.infolist() if not member.filename.endswith("/")]
        for member in members:
            _refuse_harmful(member, file)
        _refuse_bomb(members, file)
        kept = [member for member in members if not _is_litter(member.filename)]
        self._members = {member.filename: member for member in kept}
        if len(self._members) < len(kept):
            raise file.error(TWICE)
        self.is_workbook = any(name.startswith("xl/") for name in self._members)
        self.unpacked_size = sum(member.file_size for member in members)

    def csv_names(self) -> list[str]:
        """The members that are CSV files."""
        return [name for name in self._members if name.lower().endswith(".csv")]

    def data_names(self) -> list[str]:
        """The members that may be parts of an audience, in the order of their names."""
        return sorted(name for name in self._members if not _is_mark(name))

    def manifest(self) -> bytes | None:
        """The manifest, if there is one."""
        found = [
            member for name, member in self._members.items() if PurePosixPath(name).name.lower() == "manifest.json"
        ]
        if len(found) > 1:
            raise self._file.error(TWICE)
        if found and found[0].file_size > LARGEST_MANIFEST:
            raise self._file.error("the manifest is larger than 2 MB: this is not an audience download.")
        return self._read(found[0]) if found else None

    def extract(self, name: str, target: Path) -> None:
        """Unpack a member into a file."""
        member = self._members[name]
        with disk_errors(), _damage_refused(self._file):
            if member.file_size > shutil.disk_usage(target.parent).free:
                raise SettingsError(NO_ROOM)
            with self._archive.open(member) as packed, target.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, 1 << 20)

    def _read(self, member: zipfile.ZipInfo) -> bytes:
        # not ZipFile.read, which unpacks all that there is, however much more than was declared
        with _damage_refused(self._file), self._archive.open(member) as packed:
            return packed.read(LARGEST_MANIFEST)


def _refuse_harmful(member: zipfile.ZipInfo, file: SourceFile) -> None:
    parts = PurePosixPath(member.filename.replace("\\", "/")).parts
    if ".." in parts or member.filename.startswith(("/", "\\")) or _DRIVE.match(member.filename):
        raise file.error("holds a file whose path leads out of the ZIP. This is not from mParticle: don't open it.")
    if member.flag_bits & 0x1:
        raise file.error("is encrypted. Unpack it, and give the CSV file.")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise file.error("is packed in a way that is not read here. Unpack it, and give the CSV file.")


def _refuse_bomb(members: list[zipfile.ZipInfo], file: SourceFile) -> None:
    if len(members) > MOST_MEMBERS:
        raise file.error(f"holds more than {MOST_MEMBERS:,} files: this is not an audience download.")
    unpacked = sum(member.file_size for member in members)
    packed = min(sum(member.compress_size for member in members), file.path.stat().st_size)
    refuse_bomb(unpacked, packed, file)


def _refuse_large_directory(file: SourceFile) -> None:
    """Look at the last record of the ZIP, so that no list of a million members is read."""
    with file.path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _END.size - 0xFFFF - _LARGE_POINTER.size - _LARGE_END.size))
        tail = stream.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) - place < _END.size:
        raise file.error(CUT_OFF) from None
    _, _, _, _, members, length, _, _ = _END.unpack_from(tail, place)
    large = place - _LARGE_POINTER.size - _LARGE_END.size
    if large >= 0 and tail.startswith(b"PK\x06\x07", large + _LARGE_END.size):
        _, _, _, _, _, _, _, members, length, _ = _LARGE_END.unpack_from(tail, large)
    if members > MOST_MEMBERS or length > LONGEST_DIRECTORY:
        raise file.error(f"holds more than {MOST_MEMBERS:,} files: this is not an audience download.")


def _is_mark(name: str) -> bool:
    """What a program that exports adds: a mark that it has ended, a list of its files, a checksum."""
    plain = PurePosixPath(name).name.lower()
    return not plain or plain.startswith(("_", "manifest")) or plain.endswith((".crc", ".md5", "manifest"))


def _is_litter(name: str) -> bool:
    """What macOS adds to a ZIP."""
    path = PurePosixPath(name)
    return path.parts[:1] == ("__MACOSX",) or path.name.startswith(".")
