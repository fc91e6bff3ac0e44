"""Text in the form that DuckDB's strict reader accepts: UTF-8, one kind of line end, one header, standard quoting.

Most files have this form and are read directly. Others are copied in this form. The lines of a copy keep their numbers,
so that an error names the line of the original file.
"""

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from core.sources.duckdb_errors import disk_errors
from core.sources.source_file import SourceFile
from core.sources.summary_rows import ROW_COUNT, RULE

CHUNK = 1 << 20
LONGEST_LINE = 1 << 22
# In bytes: longer last lines are no number of rows.
LONGEST_LAST_LINE = 1 << 10
#: Bytes that are not UTF-8 become these characters, from Unicode's last plane for private use. Columns that are used
#: must not contain them. (Characters of the first such plane occur: Macs write U+F700 for an arrow key.)
UNDECODABLE_FIRST, UNDECODABLE_LAST = 0x10F700, 0x10F7FF
UNDECODABLE = re.compile(f"[{chr(UNDECODABLE_FIRST)}-{chr(UNDECODABLE_LAST)}]")

_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def _private(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    undecodable = error.object[error.start : error.end]
    return "".join(chr(UNDECODABLE_FIRST + byte) for byte in undecodable), error.end


codecs.register_error("private_use", _private)


def encoding_of(head: bytes) -> str | None:
    """Return the encoding of a text in UTF-16 or UTF-32, with or without a byte order mark; otherwise None."""
    for mark, encoding in _BOMS.items():
        if head.startswith(mark):
            return None if encoding == "utf-8-sig" else encoding
    start = head[:64]
    if len(start) > 2 and not any(start[1::2]) and any(start[::2]):
        return "utf-16-le"
    if len(start) > 2 and not any(start[::2]) and any(start[1::2]):
        return "utf-16-be"
    return None


def is_untidy(head: bytes) -> bool:
    """Return whether the head of a text shows that the strict reader needs a normalized copy."""
    pairs, feeds, returns = head.count(b"\r\n"), head.count(b"\n"), head.count(b"\r")
    is_mixed = bool(returns) and (pairs != feeds or pairs != returns) and bool(feeds)
    return is_mixed or head.find(codecs.BOM_UTF8, 1) >= 0


def tidy(file: SourceFile, folder: Path, encoding: str | None = None, header: str = "") -> SourceFile:
    """Write a normalized copy of a text into `folder`, and return it: UTF-8, line feeds, and only the first header.

    `encoding` is that of the file, if it is not UTF-8. `header` is the header line, which may be repeated.
    """
    target = folder / f"{file.path.name[-40:]}.text"
    with file.path.open("rb") as stream:
        head = stream.read(CHUNK)
    has_feeds = b"\n" in head
    with (
        disk_errors(),
        file.path.open(encoding=encoding or "utf-8-sig", errors="private_use", newline="") as source,
        target.open("w", encoding="utf-8", errors="replace", newline="") as plain,
    ):
        is_first = True
        for piece in _normalize_lines(source, "" if not has_feeds and encoding is None else " "):
            plain.write(_without_headers(piece, header, file.layout.skip, is_first=is_first) if header else piece)
            is_first = False
    ends_with = _cut_row_count(target) if header else ""
    note = f"The last line was ignored: “{ends_with}” is no person."
    return replace(file, path=target, notes=(*file.notes, note) if ends_with else file.notes)


def _without_headers(piece: str, header: str, skip: int, *, is_first: bool) -> str:
    """Return a piece of a text with blank lines in place of repeated headers, and of a ruled line below the header."""
    start = 0
    if is_first:
        start = piece.find(f"\n{header}\n") + 1 if skip else 0
        below = start + len(header) + 1
        end = piece.find("\n", below)
        if end > below and RULE.fullmatch(piece, below, end):
            piece = piece[:below] + piece[end:]
    return piece[:start] + piece[start:].replace(f"\n{header}\n", "\n\n")


def _cut_row_count(path: Path) -> str:
    """Cut the number of rows off the end of a text, and return its line; "" if the text ends otherwise."""
    with path.open("r+b") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - LONGEST_LAST_LINE))
        end = stream.read().rstrip()
        line = end[end.rfind(b"\n") + 1 :]
        text = line.decode(errors="replace").strip()
        if not ROW_COUNT.fullmatch(text):
            return ""
        stream.truncate(max(0, size - LONGEST_LAST_LINE) + len(end) - len(line))
    return text if text.isprintable() else "Ctrl-Z"


def _normalize_lines(source: TextIO, lone_return: str) -> Iterator[str]:
    """Yield the pieces of a text with line feeds as line ends. Text in quotation marks stays unchanged.

    A lone CR becomes `lone_return`, or a line end if that is "".
    """
    is_quoted, carry = False, ""
    while piece := source.read(CHUNK):
        piece = carry + piece
        end = len(piece.rstrip("\r"))
        piece, carry = piece[:end], piece[end:]
        normalized, is_quoted = _normalize_piece(piece, is_quoted, lone_return)
        yield normalized
    yield _normalize_piece(carry, is_quoted, lone_return)[0]


def _normalize_piece(piece: str, is_quoted: bool, lone_return: str) -> tuple[str, bool]:
    parts = piece.split('"')
    for index, part in enumerate(parts):
        if (index % 2 == 1) == is_quoted and ("\r" in part or "\ufeff" in part):
            text = part.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\ufeff", "")
            parts[index] = text.replace("\r", lone_return or "\n")
    return '"'.join(parts), is_quoted ^ (len(parts) % 2 == 0)


def unescape(file: SourceFile, folder: Path) -> SourceFile:
    """Write a copy with standard quoting into `folder`, and return it.

    In the file, backslashes escape separators, as in the output of Redshift's UNLOAD and PostgreSQL's COPY.
    """
    target = folder / f"{file.path.name[-40:]}.escaped"
    delimiter = file.layout.delimiter[0]
    with (
        disk_errors(),
        file.path.open(encoding="utf-8", newline="") as source,
        target.open("w", encoding="utf-8", newline="") as plain,
    ):
        writer = csv.writer(plain, delimiter=delimiter, lineterminator="\n")
        lines = (line.replace("\\N", "\\\\N") for line in iter(lambda: source.readline(LONGEST_LINE), ""))
        for cells in csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, escapechar="\\"):
            writer.writerow(cells)
    return replace(file, path=target)
