"""Text as DuckDB's strict reader takes it: UTF-8, one kind of line end, one header, standard quoting.

Most files are so, and are never copied. One that is not is written anew, each line in its place, so that the number of
a line in an error is that of the file which a person has.
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

CHUNK = 1 << 20
LONGEST_LINE = 1 << 22
#: Bytes that are no UTF-8 become these characters, of Unicode's last plane for private use: a column that counts must
#: not hold them. (Those of the first plane occur: Macs write U+F700 for an arrow key.)
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
    bad = error.object[error.start : error.end]
    return "".join(chr(UNDECODABLE_FIRST + byte) for byte in bad), error.end


codecs.register_error("private_use", _private)


def encoding_of(head: bytes) -> str | None:
    """The encoding of a text that is not UTF-8: UTF-16 or UTF-32, with a byte order mark or without. Else None."""
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
    """Whether the head of a text shows that it has to be written anew before it is read."""
    pairs, feeds, returns = head.count(b"\r\n"), head.count(b"\n"), head.count(b"\r")
    is_mixed = bool(returns) and (pairs != feeds or pairs != returns) and bool(feeds)
    return is_mixed or head.find(codecs.BOM_UTF8, 1) >= 0


def tidied(file: SourceFile, folder: Path, encoding: str | None = None, header: str = "") -> SourceFile:
    """Write a text anew into `folder`: as UTF-8, with line feeds, and without headers but the first.

    `encoding` is that of the file, if it is not UTF-8; `header` is the line that may be repeated.
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
        for piece in _lines_fixed(source, "" if not has_feeds and encoding is None else " "):
            plain.write(piece.replace(f"\n{header}\n", "\n\n") if header else piece)
    return replace(file, path=target)


def _lines_fixed(source: TextIO, instead: str) -> Iterator[str]:
    """The pieces of a text with its line ends made alike; a lone CR becomes `instead`, or a line end if that is "".

    What stands in quotation marks stays as it is.
    """
    is_quoted, carry = False, ""
    while piece := source.read(CHUNK):
        piece = carry + piece
        end = len(piece.rstrip("\r"))
        piece, carry = piece[:end], piece[end:]
        fixed, is_quoted = _fixed(piece, is_quoted, instead)
        yield fixed
    yield _fixed(carry, is_quoted, instead)[0]


def _fixed(piece: str, is_quoted: bool, instead: str) -> tuple[str, bool]:
    parts = piece.split('"')
    for place, part in enumerate(parts):
        if (place % 2 == 1) == is_quoted and ("\r" in part or "\ufeff" in part):
            text = part.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\ufeff", "")
            parts[place] = text.replace("\r", instead or "\n")
    return '"'.join(parts), is_quoted ^ (len(parts) % 2 == 0)


def without_backslashes(file: SourceFile, folder: Path) -> SourceFile:
    """Write a text anew in which backslashes escape separators, as Redshift's UNLOAD and PostgreSQL's COPY write it."""
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
