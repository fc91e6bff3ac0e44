"""CSV files: separator and header, from the first bytes, and the SQL that reads the rows."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from core.sources import error_location
from core.sources.duckdb_errors import LONG_ROW
from core.sources.source_file import CsvLayout, SourceFile
from core.sources.sql_expressions import literal

# Bytes that are read to recognize a file. A header can't be longer.
HEAD = 1 << 20
# No audience has more columns than this, and they cost DuckDB seconds.
MOST_COLUMNS = 2_000
TOO_WIDE = "has {} columns. An audience has only a few: export those that are needed."
DELIMITERS = (",", ";", "\t", "|")
# The header is searched for in this many lines after the first line with text.
MOST_TITLE_LINES = 30
_DATA = re.compile(r"@|^[-+]?[0-9]")
_LINE_END = re.compile(r"\r\n|\r|\n")
_QUOTED = re.compile(r'"[^"]*"')


def refuse_nul(file: SourceFile) -> None:
    """Raise InputError with the place of the file's first NUL byte."""
    line, column = error_location.nul(file.path) or (None, None)
    raise file.error(
        "contains a NUL byte: it is damaged, or not a text file. Export it again.", line=line, column=column
    )


def layout(head: bytes, file: SourceFile, meanings: Callable[[str], object]) -> CsvLayout:
    """Return the layout of a CSV file, by its header. Raises InputError if it has none.

    `meanings` returns None for columns that are ignored.
    """
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
    below = islice(_lines(_QUOTED.sub("quoted", text)), blank, None)
    rows = list(islice((row for row in below if row.strip()), 2))
    spaced = [row.count(delimiter + " ") for row in rows]
    if len(columns) > 1 and spaced[-1] == rows[-1].count(delimiter) == len(columns) - 1:
        return CsvLayout(delimiter + " ", columns, blank)
    return CsvLayout(delimiter, columns, blank, padded=any(spaced))


def refuse_endless_line(file: SourceFile) -> None:
    """Raise InputError for a line beyond DuckDB's buffer, which DuckDB silently drops at the end of a file."""
    line = error_location.endless_line(file.path)
    if line is not None:
        raise file.error(LONG_ROW, line=line)


def scan(file: SourceFile, names: Sequence[str], types: Sequence[str]) -> str:
    """Return the `read_csv` call for a file, with these names and types for its columns."""
    layout = file.layout
    columns = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in zip(names, types, strict=True))
    return (
        f"read_csv({file.sql}, auto_detect=false, header=true, "
        f"skip={layout.skip}, delim={literal(layout.delimiter)}, quote='\"', escape='\"', strict_mode=true, "
        f"compression='none', hive_partitioning=false, columns={{{columns}}})"
    )


def _blank_lines(text: str, file: SourceFile) -> int:
    """Return the number of blank lines at the beginning. Raises InputError if there is no other line."""
    lines = _lines(text)
    for blank, line in enumerate(lines):
        if line.strip():
            if len(text.encode()) >= HEAD - 8 and next(lines, None) is None:
                raise file.error("the first line is longer than 1 MB: this is not an audience.", line=blank + 1)
            return blank
    raise file.error("is empty. Export it again.")


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of a text. Few are needed of a long one."""
    start = 0
    for end in _LINE_END.finditer(text):
        yield text[start : end.start()]
        start = end.end()
    yield text[start:]


def _header_line(text: str, first: int, meanings: Callable[[str], object]) -> int:
    """Return the number of lines before the header. `first` is the number of lines before the first line with text.

    The header may follow a title, comments, or Excel's `sep=;`. A line further down counts as the header only if it has
    a column with a meaning, and no cell that looks like data.
    """
    for line, row in enumerate(islice(_lines(text), first + MOST_TITLE_LINES)):
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
