"""The place of an error in a file. Reads the file in pieces, and only after an error."""

import codecs
import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TextIO

from core.sources.source_file import SourceFile

CHUNK = 1 << 20
# In characters. A longer object is broken, or too long to be read.
LONGEST_OBJECT = 1 << 22
# In characters. No audience has a longer line, and such a line may not fit into memory.
LONGEST_LINE = 1 << 22
# At least one line has to end in every block of this many bytes.
STRIDE = 1 << 23
_SPACE = re.compile(r"[ \t\r\n]*")
_LINE_END = re.compile(rb"[\r\n]")


def chunks(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes, a mebibyte at a time."""
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def is_parquet(path: Path) -> bool:
    """Return whether a file begins like a Parquet file."""
    with path.open("rb") as stream:
        return stream.read(4) == b"PAR1"


def is_json(path: Path) -> bool:
    """Return whether a file begins like a file of JSON objects."""
    with path.open("rb") as stream:
        return stream.read(CHUNK).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{")


def not_utf8(path: Path) -> int | None:
    """Return the line of the first byte that is not UTF-8, or None."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, pending = 1, b""
    for chunk in chunks(path):
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError as exc:
            return line + (pending + chunk)[: exc.start].count(b"\n")
        line += chunk.count(b"\n")
        pending = decoder.getstate()[0]
    return line if pending else None


def nul(path: Path) -> tuple[int, int] | None:
    """Return the line and column of the first NUL byte, or None."""
    line, before = 1, 0
    for chunk in chunks(path):
        offset = chunk.find(b"\0")
        head = chunk if offset < 0 else chunk[:offset]
        line += head.count(b"\n")
        before = len(head) - head.rfind(b"\n") - 1 if b"\n" in head else before + len(head)
        if offset >= 0:
            return line, before + 1
    return None


def endless_line(path: Path) -> int | None:
    """Return the first line of 16 MB or more, or None. Only such a line is sure to cover a whole block of STRIDE bytes.

    The first bytes of a block usually contain a line end, so most of the file is not read.
    """
    with path.open("rb") as stream:
        for start in range(0, path.stat().st_size - STRIDE + 1, STRIDE):
            stream.seek(start)
            if _LINE_END.search(stream.read(4096)) or any(_LINE_END.search(part) for part in _parts(stream, STRIDE)):
                continue
            stream.seek(0)
            return 1 + sum(part.count(b"\n") for part in _parts(stream, start))
    return None


def _parts(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the next `size` bytes (fewer at the end), a mebibyte at a time."""
    while size > 0 and (part := stream.read(min(CHUNK, size))):
        size -= len(part)
        yield part


def csv_line_of_record(file: SourceFile, record: int) -> int | None:
    """Return the line at which the n-th record begins. To DuckDB, a quoted line end is part of its record."""
    if not any(b'"' in chunk for chunk in chunks(file.path)):
        return record
    return _csv_line(file, record, blank=True)


def csv_line_of_row(file: SourceFile, row: int) -> int | None:
    """Return the line at which the n-th data row begins. Blank lines are not rows."""
    return _csv_line(file, row + 1, blank=False)


def _csv_line(file: SourceFile, record: int, *, blank: bool) -> int | None:
    """Return the line at which the n-th record begins. The header is the first. `blank`: blank lines count."""
    skipped = file.layout.skip
    with file.path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        rows = csv.reader(
            _lines(stream), delimiter=file.layout.delimiter[0], skipinitialspace=len(file.layout.delimiter) > 1
        )
        line = 1
        try:
            for cells in rows:
                is_header = line > skipped + 1 and is_repeated_header(cells, file.layout.columns)
                record -= blank or (line > skipped and not is_header and any(cell.strip() for cell in cells))
                if record == 0:
                    return line
                line = rows.line_num + 1
        except csv.Error:
            return line
    return None


def is_repeated_header(cells: Sequence[str], columns: Sequence[str]) -> bool:
    """Return whether a row repeats the header, as in a file that was concatenated from parts."""
    return [cell.strip("\ufeff ") for cell in cells] == list(columns)


def _lines(stream: TextIO) -> Iterator[str]:
    while line := stream.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise csv.Error
        yield line


def json_line(path: Path, value: int) -> int | None:
    """Return the line at which the n-th value of a JSON file begins, or None."""
    for number, (line, _column, good) in enumerate(_json_values(path), start=1):
        if number == value:
            return line
        if not good:
            return None
    return None


def json_break(path: Path) -> tuple[int | None, int | None]:
    """Return the line and column at which a JSON file is broken; (None, None) if it is not."""
    for line, column, good in _json_values(path):
        if not good:
            return line, column
    return None, None


def _json_values(path: Path) -> Iterator[tuple[int, int, bool]]:
    """Yield the line and column of each value, and whether it is an object. For a broken value: where it breaks."""
    decoder = json.JSONDecoder()
    text, start, line, column, ended = "", 0, 1, 1, False
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        while True:
            space = _SPACE.match(text, start)
            begin = space.end() if space else start
            line, column = _advance(text, start, begin, line, column)
            start = begin
            if start == len(text):
                text, start, ended = stream.read(CHUNK), 0, False
                if not text:
                    return
                continue
            try:
                value, end = decoder.raw_decode(text, start)
            except (ValueError, RecursionError) as exc:
                if not ended and len(text) - start < LONGEST_OBJECT:
                    more = stream.read(max(CHUNK, len(text) - start))
                    text, start, ended = text[start:] + more, 0, not more
                    continue
                stop = exc.pos if isinstance(exc, json.JSONDecodeError) else start
                yield *_advance(text, start, stop, line, column), False
                return
            yield line, column, isinstance(value, dict)
            line, column = _advance(text, start, end, line, column)
            start = end


def _advance(text: str, start: int, stop: int, line: int, column: int) -> tuple[int, int]:
    lines = text.count("\n", start, stop)
    if not lines:
        return line, column + stop - start
    return line + lines, stop - text.rfind("\n", start, stop)
