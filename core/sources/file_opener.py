"""Preparation of an audience's files for the reader.

Folders are listed, archives and compressed files are unpacked, and sheets and texts in other encodings are written as
UTF-8 text. A file that is plain UTF-8 text already is not copied.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from core.sources import bucket_export, csv_format, zip_archive
from core.sources.compression import COMPRESSIONS, MOST_LAYERS, decompress
from core.sources.plain_text import encoding_of, is_untidy, tidy
from core.sources.scratch import scratch
from core.sources.source_file import SourceFile, UnpackLimit, is_pattern, readable
from core.sources.workbook import LARGEST_WORKBOOK, sheet_as_csv

if TYPE_CHECKING:
    import duckdb

ZIP = (b"PK\x03\x04", b"PK\x05\x06")
# The largest number of files of an audience in a folder.
MOST_PARTS = 10_000


class Opener:
    """Opens the files of one audience. Unpacked files are in a temporary folder, until `stack` is closed."""

    def __init__(self, con: "duckdb.DuckDBPyConnection", stack: ExitStack) -> None:
        self._con = con
        self._stack = stack
        self._folder: Path | None = None
        self._number = 0

    def folder(self, file: SourceFile) -> Path:
        """Create a directory in the temporary folder, and return it."""
        if self._folder is None:
            self._folder = self._stack.enter_context(scratch(self._con, file))
        self._number += 1
        folder = self._folder / str(self._number)
        folder.mkdir()
        return folder

    def unwrap(self, file: SourceFile) -> SourceFile:
        """Return a file without its outer packing: decompressed, and taken out of ZIPs that contain nothing else.

        A download with a manifest and a ZIP of parts are not unpacked. From here on, the limit for unpacked bytes
        applies. Raises InputError.
        """
        file = replace(file, limit=UnpackLimit(file.path.stat().st_size))
        for _ in range(MOST_LAYERS):
            file = self._decompress(file)
            if not _starts_with(file.path, ZIP):
                break
            with zip_archive.open_archive(file) as archive:
                names = archive.data_names()
                if archive.is_workbook or archive.manifest() is not None or len(names) != 1:
                    break
                (file,) = self._extract(file, archive, names)
        return file

    def plain_files(self, file: SourceFile, layers: int = 0) -> list[SourceFile]:
        """Return the plain files in a file that is neither a folder nor a download with a manifest.

        `layers` is the number of ZIPs around the file. Raises InputError if it contains no data or has too many layers.
        """
        file = self._decompress(file)
        if not _starts_with(file.path, ZIP):
            return [self.plain_text(file)]
        if layers == MOST_LAYERS:
            raise file.error("is packed several times: this is not an audience. Unpack it, and give the file inside.")
        with zip_archive.open_archive(file) as archive:
            if archive.is_workbook:
                return [self._sheet(file, archive)]
            names = archive.data_names()
            if not names:
                raise file.error(
                    "contains no CSV file and no manifest.json: this is not an audience. Download it again."
                )
            parts = self._extract(file, archive, names)
        return [
            plain for part in parts if part.path.stat().st_size for plain in self.plain_files(part, layers + 1)
        ] or [parts[0]]

    def plain_text(self, file: SourceFile) -> SourceFile:
        """Return the file as UTF-8 text: a copy if its first bytes show another form, otherwise the file itself."""
        with file.path.open("rb") as stream:
            head = stream.read(csv_format.HEAD)
        encoding = encoding_of(head)
        is_text = not head.startswith((b"PAR1", *ZIP)) and (encoding is not None or b"\0" not in head)
        is_json = head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith((b"{", b"["))
        if is_text and (encoding is not None or (is_untidy(head) and not is_json)):
            return tidy(file, self.folder(file), encoding)
        return file

    def plainly_named(self, file: SourceFile) -> SourceFile:
        """Return the file under a path that DuckDB does not take for a pattern: a link, if its own path looks like one.

        Escaping a pattern is not enough: DuckDB then lists the directory, and fails on other files in it.
        """
        if not is_pattern(file.path):
            return file
        link = self.folder(file) / "file"
        link.symlink_to(file.path)
        return replace(file, path=link)

    def is_download(self, file: SourceFile) -> bool:
        """Return whether a file is a ZIP with mParticle's manifest."""
        if not _starts_with(file.path, ZIP):
            return False
        with zip_archive.open_archive(file) as archive:
            return archive.manifest() is not None

    def _decompress(self, file: SourceFile) -> SourceFile:
        return decompress(file, self.folder(file)) if _starts_with(file.path, tuple(COMPRESSIONS)) else file

    def _extract(self, file: SourceFile, archive: zip_archive.Archive, names: Sequence[str]) -> list[SourceFile]:
        """Unpack members of a ZIP into a new folder, and return them as files."""
        if file.limit is not None:
            file.limit.add(archive.unpacked_size, file)
        folder, parts = self.folder(file), []
        for index, name in enumerate(names):
            archive.extract(name, folder / str(index))
            part_name = readable(PurePosixPath(name).name)
            parts.append(replace(file, path=folder / str(index), name=part_name, archive=file.archive or file.name))
        return parts

    def _sheet(self, file: SourceFile, archive: zip_archive.Archive) -> SourceFile:
        if archive.unpacked_size > LARGEST_WORKBOOK:
            raise file.error("is a workbook that is too large to read. Save the sheet as CSV (UTF-8).")
        csv_file, notes = sheet_as_csv(file, self.folder(file), file.sheet)
        return replace(csv_file, notes=(*file.notes, *notes))


def parts_of(file: SourceFile) -> list[SourceFile]:
    """Return the files in a folder that are parts of an audience, in the order of their names. Raises InputError."""
    parts: list[SourceFile] = []
    for path in _files_below(file.path):
        if len(parts) == MOST_PARTS:
            raise file.error(f"contains more than {MOST_PARTS:,} files: this is not an audience.")
        parts.append(replace(file, path=path, name=readable(path.name), archive=file.name))
    if not parts:
        raise file.error("is a folder that contains no file of an audience.")
    return parts


def is_part(path: PurePosixPath) -> bool:
    """Return whether a file in a folder, bucket or ZIP is part of the audience, and not a marker or a list of files."""
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
