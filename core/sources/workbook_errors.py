"""The cells of a workbook that hold an error such as `#N/A`. The reader of workbooks returns them as empty cells."""

import re
import zlib
from html import unescape
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile

# What openxml's SpreadsheetML calls sheets, relationships and cells (ECMA-376 part 1, 18.2.19, 18.3.1.4).
_SHEET = re.compile(r'<(?:\w+:)?sheet\s[^>]*?name="([^"]*)"[^>]*?\w+:id="([^"]*)"')
_RELATIONSHIP = re.compile(r"<(?:\w+:)?Relationship\s[^>]*>")
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
_ERROR = re.compile(
    rb'<(?:\w+:)?c\s(?=[^>]*\bt="e")[^>]*\br="([A-Z]{1,3})([0-9]+)"[^>]*>(?:(?!</(?:\w+:)?c>).)*?'
    rb"<(?:\w+:)?v>([^<]*)<",
    re.DOTALL,
)
CHUNK = 1 << 20
# In bytes: no cell with an error is longer.
LONGEST_CELL = 16 << 10
#: What Python's library raises for an archive that is damaged, or packed in a way that it doesn't know.
DAMAGE = (BadZipFile, EOFError, NotImplementedError, zlib.error)


def error_cells(path: Path, sheet: str) -> dict[tuple[int, int], str]:
    """Return the errors in a sheet by row (from 1) and column (from 0). Empty if the workbook names no part for it.

    Raises one of DAMAGE if the workbook can't be unpacked.
    """
    errors: dict[tuple[int, int], str] = {}
    with ZipFile(path) as archive:
        part = _part(archive, sheet)
        if part is None:
            return errors
        with archive.open(part) as stream:
            rest = b""
            while piece := stream.read(CHUNK):
                text = rest + piece
                for column, row, value in _ERROR.findall(text):
                    errors[int(row), _number(column.decode())] = unescape(value.decode(errors="replace"))
                rest = text[-LONGEST_CELL:]
    return errors


def _part(archive: ZipFile, sheet: str) -> str | None:
    try:
        book = archive.read("xl/workbook.xml").decode(errors="replace")
        relationships = archive.read("xl/_rels/workbook.xml.rels").decode(errors="replace")
    except KeyError:
        return None
    targets: dict[str | None, str] = {}
    for element in _RELATIONSHIP.findall(relationships):
        attributes = dict(_ATTRIBUTE.findall(element))
        targets[attributes.get("Id")] = attributes.get("Target", "")
    for name, key in _SHEET.findall(book):
        if unescape(name) == sheet:
            target = targets.get(key, "")
            part = target.lstrip("/") if target.startswith("/") else str(PurePosixPath("xl") / target)
            return part if part in archive.namelist() else None
    return None


def _number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1
