"""The head of a CSV file: encoding, separator, header; and the SQL that reads the rest."""

import csv
import io
import re
from collections.abc import Callable, Sequence

from core.sources import error_location
from core.sources.duckdb_errors import LONG_ROW
from core.sources.source_file import CsvLayout, SourceFile
from core.sources.sql_expressions import literal

# How much of a file is looked at to recognise it; also the longest header.
HEAD = 1 << 20
# A header of more columns than this belongs to no audience, and costs DuckDB seconds.
MOST_COLUMNS = 2_000
TOO_WIDE = "has {} columns: an audience has a handful. Export only those that are needed."
DELIMITERS = (",", ";", "\t", "|")
# So many lines above the header are looked through.
MOST_TITLE_LINES = 30
_DATA = re.compile(r"@|^[-+]?[0-9]")
_LINE_END = re.compile(r"\r\n|\r|\n")
_QUOTED = re.compile(r'"[^"]*"')


def refuse_nul(file: SourceFile) -> None:
    """Refuse a file for its first NUL byte."""
    line, column = error_location.nul(file.path) or (None, None)
    raise file.error("holds a NUL byte: it is damaged, or not a text file. Export it again.", line=line, column=column)


def layout(head: bytes, file: SourceFile, meanings: Callable[[str], object]) -> CsvLayout:
    """How a CSV file is laid out, by its header; `meanings` tells the columns that mean something here."""
    text = head.decode(errors="private_use").removeprefix("\ufeff")
    blank = _header_line(text, _blank_lines(text, file), meanings)
    best = max(
        (_cells(text, blank, delimiter) for delimiter in DELIMITERS),
        key=lambda candidate: (sum(meanings(cell) is not None for cell in candidate[1]), len(candidate[1])),
    )
    delimiter, columns = best
    if not columns:
        raise file.error("the first line is not a header: a name in it is too long. Export it again.", line=blank + 1)
    if len(columns) > MOST_COLUMNS:
        raise file.error(TOO_WIDE.format(len(columns)))
    rows = [row for row in _LINE_END.split(_QUOTED.sub("quoted", text))[blank:] if row.strip()][:2]
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


def _header_line(text: str, first: int, meanings: Callable[[str], object]) -> int:
    """How many lines there are in front of the header, of which the first has something in it.

    Above it may be a title, comments, or Excel's `sep=;`. A line further down is taken for the header only if it has a
    column that means something, and no cell that looks like data.
    """
    for line, row in enumerate(_LINE_END.split(text)[: first + MOST_TITLE_LINES]):
        for delimiter in DELIMITERS if line >= first else ():
            cells = [cell.strip().strip('"') for cell in row.split(delimiter)]
            is_header = any(meanings(cell) is not None for cell in cells)
            if is_header and (line == first or not any(_DATA.search(cell) for cell in cells)):
                return line
    return first


def _cells(text: str, blank: int, delimiter: str) -> tuple[str, tuple[str, ...]]:
    stream = io.StringIO(text, newline="")
    for _ in range(blank):
        stream.readline()
    try:
        cells = next(csv.reader(stream, delimiter=delimiter, skipinitialspace=True))
    except (csv.Error, StopIteration):
        return delimiter, ()
    return delimiter, tuple(cell.strip() for cell in cells)
