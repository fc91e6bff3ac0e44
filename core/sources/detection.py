"""What a file is, by its first bytes. Its name is not asked."""

import json
from dataclasses import dataclass, replace
from enum import Enum, auto

from core.sources import csv_format, download_csv, error_location, tabular
from core.sources.duckdb_errors import BROKEN_JSON
from core.sources.source_file import SourceFile

ACCEPTED = (
    "mParticle's audience downloads (ZIP or CSV), its bucket and stream exports (JSON objects), "
    "and tables (CSV or Parquet) with a column for email, customer id or mpid"
)

_GZIP = b"\x1f\x8b"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_PARQUET = b"PAR1"
_BOM = b"\xef\xbb\xbf"


class FileFormat(Enum):
    """What the bytes of a file are; a ZIP still has to be opened to tell its shape."""

    ZIP = auto()
    PARQUET = auto()
    DOWNLOAD_CSV = auto()
    TABLE_CSV = auto()
    BUCKET_JSON = auto()
    STREAM_JSON = auto()


@dataclass(frozen=True)
class DetectedFile:
    """What a file is, and the file with the layout that was found."""

    kind: FileFormat
    file: SourceFile


def detect(file: SourceFile) -> DetectedFile:
    """Tell what a file is from its content, or refuse it with an `InputError`."""
    with file.path.open("rb") as stream:
        head = stream.read(csv_format.HEAD)
    if head.startswith(_ZIP):
        return DetectedFile(FileFormat.ZIP, file)
    if head.startswith(_PARQUET):
        return DetectedFile(FileFormat.PARQUET, file)
    if head.startswith(_GZIP):
        raise file.error("is compressed with gzip. Unpack it first.")
    if file.name.lower().endswith((".zip", ".parquet")):
        raise file.error("is not what its name says: the file is damaged, or only named so. Download it again.")
    csv_format.check_text(head, file)
    if not head.removeprefix(_BOM).strip():
        if len(head) == csv_format.HEAD:
            raise file.error("begins with 1 MB of white space: this is not an audience. Export it again.")
        raise file.error("is empty. Export it again.")
    start = head.removeprefix(_BOM).lstrip()[:1]
    if start in (b"{", b"["):
        return DetectedFile(_json_kind(head, file), file)
    return _csv(head, file)


def _csv(head: bytes, file: SourceFile) -> DetectedFile:
    csv_format.refuse_endless_line(file)
    found = replace(file, layout=csv_format.layout(head, file, _meaning))
    if download_csv.fits(found.layout.columns):
        return DetectedFile(FileFormat.DOWNLOAD_CSV, found)
    return DetectedFile(FileFormat.TABLE_CSV, found)


def _meaning(column: str) -> str | None:
    return download_csv.meaning(column) or tabular.meaning(column)


def _json_kind(head: bytes, file: SourceFile) -> FileFormat:
    text = head.decode(errors="ignore").removeprefix("\ufeff").lstrip()
    if text.startswith("["):
        raise file.error(f"is a JSON array. Accepted are {ACCEPTED}.")
    try:
        first, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        first = None
    if first is None:
        line, column = error_location.json_break(file.path)
        if line is None:
            raise file.error("the first object is longer than 1 MB: this is not an audience.", line=1)
        raise file.error(BROKEN_JSON, line=line, column=column)
    if "IsAddRequest" in first:
        return FileFormat.BUCKET_JSON
    if "IsMember" in first:
        return FileFormat.STREAM_JSON
    raise file.error(f"holds JSON objects, but not those of an audience. Accepted are {ACCEPTED}.")
