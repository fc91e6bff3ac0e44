"""The head of a CSV file: encoding, separator, header; and the SQL that reads the rest."""

import csv
import io
import re
from collections.abc import Callable, Sequence

from core.sources import error_location
from core.sources.duckdb_errors import LONG_ROW, NOT_UTF8
from core.sources.source_file import CsvLayout, SourceFile
from core.sources.sql_expressions import literal

# How much of a file is looked at to recognise it; also the longest header.
HEAD = 1 << 20
# A header of more columns than this belongs to no audience, and costs DuckDB seconds.
MOST_COLUMNS = 2_000
TOO_WIDE = "has {} columns: an audience has a handful. Export only those that are needed."
DELIMITERS = (",", ";", "\t", "|")
_LINE_END = re.compile(r"\r\n|\r|\n")
_QUOTED = re.compile(r'"[^"]*"')


def check_text(head: bytes, file: SourceFile) -> None:
    """Refuse what is not UTF-8 text, as far as the head of a file shows."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or _every_other_nul(head):
        raise file.error("is encoded in UTF-16. Save it again with the encoding UTF-8.")
    if b"\0" in head:
        refuse_nul(file)
    bad = not_utf8_in(head)
    if bad is not None:
        raise file.error(NOT_UTF8, line=bad)


def refuse_nul(file: SourceFile) -> None:
    """Refuse a file for its first NUL byte."""
    line, column = error_location.nul(file.path) or (None, None)
    raise file.error("holds a NUL byte: it is damaged, or not a text file. Export it again.", line=line, column=column)


def not_utf8_in(head: bytes) -> int | None:
    """The line of the first byte in the head of a file that can't be UTF-8."""
    try:
        head.decode()
    except UnicodeDecodeError as exc:
        if exc.end == len(head) == HEAD and exc.reason == "unexpected end of data":
            return None
        return head.count(b"\n", 0, exc.start) + 1
    return None


def layout(head: bytes, file: SourceFile, meanings: Callable[[str], object]) -> CsvLayout:
    """How a CSV file is laid out, by its header; `meanings` tells the columns that mean something here."""
    text = head.decode(errors="ignore").removeprefix("\ufeff")
    blank = _blank_lines(text, file)
    best = max(
        (_cells(text, blank, delimiter) for delimiter in DELIMITERS),
        key=lambda found: (sum(meanings(cell) is not None for cell in found[1]), len(found[1])),
    )
    delimiter, columns = best
    if not columns:
        raise file.error("the first line is not a header: a name in it is too long. Export it again.", line=blank + 1)
    if len(columns) > MOST_COLUMNS:
        raise file.error(TOO_WIDE.format(len(columns)))
    rows = [row for row in _LINE_END.split(_QUOTED.sub("quoted", text)) if row.strip()][:2]
    spaced = [row.count(delimiter + " ") for row in rows]
    if len(columns) > 1 and spaced[-1] == rows[-1].count(delimiter) == len(columns) - 1:
        return CsvLayout(delimiter + " ", columns, blank)
    return CsvLayout(delimiter, columns, blank, padded=any(spaced))


def refuse_endless_line(file: SourceFile) -> None:
    """Refuse a line that doesn't fit DuckDB's buffer, and that it would drop without a word at the end of a file."""
    line = error_location.endless_line(file.path)
    if line is not None:
        raise file.error(LONG_ROW, line=line)


def scan(file: SourceFile, wanted: Sequence[str], types: Sequence[str]) -> str:
    """`read_csv` over a file; columns that mean nothing get names of their own."""
    shape = file.layout
    columns = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in zip(wanted, types, strict=True))
    return (
        f"read_csv({file.sql}, auto_detect=false, header=true, "
        f"skip={shape.skip}, delim={literal(shape.delimiter)}, quote='\"', escape='\"', strict_mode=true, "
        f"compression='none', hive_partitioning=false, columns={{{columns}}})"
    )


def _blank_lines(text: str, file: SourceFile) -> int:
    """How many lines there are in front of the header."""
    lines = _LINE_END.split(text)
    for blank, line in enumerate(lines):
        if line.strip():
            if blank == len(lines) - 1 and len(text.encode()) >= HEAD - 8:
                raise file.error("the first line is longer than 1 MB: this is not an audience.", line=blank + 1)
            return blank
    raise file.error("is empty. Export it again.")


def _cells(text: str, blank: int, delimiter: str) -> tuple[str, tuple[str, ...]]:
    stream = io.StringIO(text, newline="")
    for _ in range(blank):
        stream.readline()
    try:
        cells = next(csv.reader(stream, delimiter=delimiter, skipinitialspace=True))
    except (csv.Error, StopIteration):
        return delimiter, ()
    return delimiter, tuple(cell.strip() for cell in cells)


def _every_other_nul(head: bytes) -> bool:
    start = head[:64]
    return len(start) > 2 and (not any(start[1::2]) or not any(start[::2]))
