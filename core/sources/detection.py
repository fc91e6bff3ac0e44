"""The format of a file, by its first bytes and not by its name."""

import json
from dataclasses import dataclass, replace
from enum import Enum, auto

from core.sources import csv_format, download_csv, error_location, table_columns
from core.sources.duckdb_errors import BROKEN_JSON
from core.sources.source_file import SourceFile
from core.sources.unreadable import refuse_unreadable

ACCEPTED = (
    "mParticle's audience downloads (ZIP or CSV), its bucket and stream exports (JSON objects), "
    "and tables (CSV, Excel, Parquet or JSON) with a column for email, customer id or mpid"
)

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_PARQUET = b"PAR1"
_BOM = b"\xef\xbb\xbf"


class FileFormat(Enum):
    """The format of a file's bytes. The content of a ZIP is not known before it is opened; FORMATS has the others."""

    ZIP = auto()
    PARQUET = auto()
    DOWNLOAD_CSV = auto()
    TABLE_CSV = auto()
    BUCKET_JSON = auto()
    STREAM_JSON = auto()
    TABLE_JSON = auto()


@dataclass(frozen=True)
class FormatDescription:
    """A format, described for people."""

    title: str
    recognized_by: str
    written_by: str


#: The formats that can contain the members of an audience.
FORMATS = {
    FileFormat.DOWNLOAD_CSV: FormatDescription(
        "audience download: ZIP, or the CSV inside it",
        "columns `mpid`, `identityvalue`, `identitytype`",
        "*Download* in mParticle",
    ),
    FileFormat.BUCKET_JSON: FormatDescription(
        "bucket export", "JSON objects with `IsAddRequest`", "mParticle's output to Google Cloud Storage"
    ),
    FileFormat.STREAM_JSON: FormatDescription(
        "stream export", "JSON objects with `IsMember`", "mParticle's output to Amazon Kinesis Firehose"
    ),
    FileFormat.TABLE_CSV: FormatDescription(
        "table as text or workbook",
        "a header with a column for email, customer id or mpid",
        "a query, a spreadsheet (CSV, `.xlsx`), Redshift `UNLOAD`, Snowflake `COPY INTO`, PostgreSQL `COPY`",
    ),
    FileFormat.TABLE_JSON: FormatDescription(
        "table as JSON", "other JSON objects, one after the other or in an array", "BigQuery, Snowflake"
    ),
    FileFormat.PARQUET: FormatDescription(
        "table as Parquet", "its first bytes", "a warehouse, Spark, pandas; mParticle's export to BigQuery"
    ),
}


@dataclass(frozen=True)
class DetectedFile:
    """A file with its format and its layout."""

    kind: FileFormat
    file: SourceFile


def detect(file: SourceFile) -> DetectedFile:
    """Return the format of a file, by its content. Raises InputError if it has none of the formats.

    The file is not compressed, and its text is UTF-8 (core/sources/file_opener.py).
    """
    with file.path.open("rb") as stream:
        return detect_by_head(stream.read(csv_format.HEAD), file)


def detect_by_head(head: bytes, file: SourceFile) -> DetectedFile:
    """Return the format of a file, by its first bytes: `csv_format.HEAD` of them, or all. As `detect`."""
    if head.startswith(_ZIP):
        return DetectedFile(FileFormat.ZIP, file)
    if head.startswith(_PARQUET):
        return DetectedFile(FileFormat.PARQUET, file)
    if file.name.lower().endswith((".zip", ".parquet")):
        raise file.error("is not the kind of file that its name says: it is damaged or misnamed. Download it again.")
    refuse_unreadable(head, file)
    if b"\0" in head:
        csv_format.refuse_nul(file)
    if not head.removeprefix(_BOM).strip():
        if len(head) == csv_format.HEAD:
            raise file.error("begins with 1 MB of white space: this is not an audience. Export it again.")
        raise file.error("is empty. Export it again.")
    start = head.removeprefix(_BOM).lstrip()[:1]
    if start in (b"{", b"["):
        return _json(head, replace(file, is_array=start == b"["))
    return _csv(head, file)


def _csv(head: bytes, file: SourceFile) -> DetectedFile:
    csv_format.refuse_endless_line(file)
    chosen = [name.casefold() for _, name in file.chosen_columns]

    def meaning(column: str) -> str | None:
        return "chosen" if column.strip().casefold() in chosen else _meaning(column)

    csv_file = replace(file, layout=csv_format.layout(head, file, meaning))
    if skip := csv_file.layout.skip:
        note = f"Line {skip + 1} is the header; the lines above it were ignored."
        csv_file = replace(csv_file, notes=tuple(dict.fromkeys((*file.notes, note))))
    if download_csv.is_download_header(csv_file.layout.columns):
        return DetectedFile(FileFormat.DOWNLOAD_CSV, csv_file)
    return DetectedFile(FileFormat.TABLE_CSV, csv_file)


def _meaning(column: str) -> str | None:
    return download_csv.meaning(column) or table_columns.meaning(column)


def _json(head: bytes, file: SourceFile) -> DetectedFile:
    text = head.decode(errors="ignore").removeprefix("\ufeff").lstrip().removeprefix("[").lstrip()
    if file.is_array and text.startswith("]"):
        return DetectedFile(FileFormat.TABLE_JSON, file)
    try:
        first, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        first = None
    if first is None:
        line, column = error_location.json_break(file.path) if not file.is_array else (1, None)
        if line is None:
            raise file.error("the first object is longer than 1 MB: this is not an audience.", line=1)
        raise file.error(BROKEN_JSON, line=line, column=column)
    if not isinstance(first, dict):
        raise file.error(f"is a JSON array, but not of objects. Accepted are {ACCEPTED}.")
    if "IsAddRequest" in first:
        return DetectedFile(FileFormat.BUCKET_JSON, file)
    if "IsMember" in first:
        return DetectedFile(FileFormat.STREAM_JSON, file)
    return DetectedFile(FileFormat.TABLE_JSON, file)
