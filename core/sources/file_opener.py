"""From what a person gives to the files that are read.

Folders are listed, archives and compressed files unpacked, sheets and texts in other encodings written as UTF-8 text.

A file that is plain already is not copied.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path, PurePosixPath

import duckdb

from core.sources import bucket_export, csv_format, zip_archive
from core.sources.compression import COMPRESSIONS, MOST_LAYERS, decompressed
from core.sources.plain_text import encoding_of, is_untidy, tidied
from core.sources.scratch import scratch
from core.sources.source_file import SourceFile, UnpackLimit, is_pattern, readable
from core.sources.workbook import LARGEST_WORKBOOK, sheet_as_csv

ZIP = (b"PK\x03\x04", b"PK\x05\x06")
# Files of an audience in one folder.
MOST_PARTS = 10_000


class Opener:
    """Opens the files of one audience. What is unpacked lies in a folder of its own until the stack is closed."""

    def __init__(self, con: duckdb.DuckDBPyConnection, stack: ExitStack) -> None:
        self._con = con
        self._stack = stack
        self._folder: Path | None = None
        self._number = 0

    def folder(self, file: SourceFile) -> Path:
        """A new directory in the one for what is unpacked."""
        if self._folder is None:
            self._folder = self._stack.enter_context(scratch(self._con, file))
        self._number += 1
        folder = self._folder / str(self._number)
        folder.mkdir()
        return folder

    def unwrapped(self, file: SourceFile) -> SourceFile:
        """The file without the packing around it: decompressed, and out of a ZIP that holds nothing but another ZIP.

        A ZIP of an audience stays one. From here on what is unpacked is counted.
        """
        file = replace(file, limit=UnpackLimit(file.path.stat().st_size))
        for _ in range(MOST_LAYERS):
            file = self._decompressed(file)
            if not _starts_with(file.path, ZIP):
                break
            with zip_archive.opened(file) as archive:
                names = archive.data_names()
                if archive.is_workbook or archive.manifest() is not None or len(names) != 1:
                    break
                (part,) = self._extracted(file, archive, names)
            if not _starts_with(part.path, ZIP):
                break
            file = part
        return file

    def plain_files(self, file: SourceFile, layers: int = 0) -> list[SourceFile]:
        """The plain files of one that is no folder and no download with a manifest; `layers` of ZIPs are around it."""
        file = self._decompressed(file)
        if not _starts_with(file.path, ZIP):
            return [self.plain_text(file)]
        if layers == MOST_LAYERS:
            raise file.error("is packed several times: this is not an audience. Unpack it, and give the file inside.")
        with zip_archive.opened(file) as archive:
            if archive.is_workbook:
                return [self._sheet(file, archive)]
            names = archive.data_names()
            if not names:
                raise file.error("holds 0 CSV files and no manifest.json: this is not an audience. Download it again.")
            parts = self._extracted(file, archive, names)
        return [
            plain for part in parts if part.path.stat().st_size for plain in self.plain_files(part, layers + 1)
        ] or [parts[0]]

    def plain_text(self, file: SourceFile) -> SourceFile:
        """The file with its text as UTF-8; itself if its head shows nothing else."""
        with file.path.open("rb") as stream:
            head = stream.read(csv_format.HEAD)
        encoding = encoding_of(head)
        is_text = not head.startswith((b"PAR1", *ZIP)) and (encoding is not None or b"\0" not in head)
        is_json = head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith((b"{", b"["))
        if is_text and (encoding is not None or (is_untidy(head) and not is_json)):
            return tidied(file, self.folder(file), encoding)
        return file

    def plainly_named(self, file: SourceFile) -> SourceFile:
        """The file under a path that DuckDB doesn't take for a pattern."""
        if not is_pattern(file.path):
            return file
        link = self.folder(file) / "file"
        link.symlink_to(file.path)
        return replace(file, path=link)

    def is_download(self, file: SourceFile) -> bool:
        """Whether a file is a ZIP with mParticle's manifest."""
        if not _starts_with(file.path, ZIP):
            return False
        with zip_archive.opened(file) as archive:
            return archive.manifest() is not None

    def _decompressed(self, file: SourceFile) -> SourceFile:
        return decompressed(file, self.folder(file)) if _starts_with(file.path, tuple(COMPRESSIONS)) else file

    def _extracted(self, file: SourceFile, archive: zip_archive.Archive, names: Sequence[str]) -> list[SourceFile]:
        """Unpack members of a ZIP into a new folder."""
        if file.limit is not None:
            file.limit.add(archive.unpacked_size, file)
        folder, parts = self.folder(file), []
        for place, name in enumerate(names):
            archive.extract(name, folder / str(place))
            part_name = readable(PurePosixPath(name).name)
            parts.append(replace(file, path=folder / str(place), name=part_name, archive=file.archive or file.name))
        return parts

    def _sheet(self, file: SourceFile, archive: zip_archive.Archive) -> SourceFile:
        if archive.unpacked_size > LARGEST_WORKBOOK:
            raise file.error("is a workbook that is too large to be read. Save the sheet as CSV (UTF-8).")
        csv_file, notes = sheet_as_csv(file, self.folder(file), file.sheet)
        return replace(csv_file, notes=(*file.notes, *notes))


def parts_of(file: SourceFile) -> list[SourceFile]:
    """The files in a folder that are parts of an audience, in the order of their names."""
    found: list[SourceFile] = []
    for path in _files_below(file.path):
        if len(found) == MOST_PARTS:
            raise file.error(f"holds more than {MOST_PARTS:,} files: this is not an audience.")
        found.append(replace(file, path=path, name=readable(path.name), archive=file.name))
    if not found:
        raise file.error("is a folder without a file of an audience in it.")
    return found


def is_part(path: PurePosixPath) -> bool:
    """Whether a file in a folder, a bucket or a ZIP is part of the audience, and not a mark or a list of files."""
    name = path.name.lower()
    return not (
        name.startswith(("_", ".", "manifest"))
        or name.endswith((".crc", ".md5", "manifest"))
        or "__macosx" in (part.lower() for part in path.parts)
        or bucket_export.is_validation(name)
    )


def _files_below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        relative = PurePosixPath(path.relative_to(folder))
        hidden = any(part.startswith((".", "_")) for part in relative.parts)
        if path.is_file() and not hidden and is_part(relative) and path.stat().st_size:
            yield path


def _starts_with(path: Path, magics: tuple[bytes, ...]) -> bool:
    with path.open("rb") as stream:
        return stream.read(8).startswith(magics)
