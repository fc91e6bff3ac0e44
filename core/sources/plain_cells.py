"""Plain cells: the text of a small CSV file, split, and the columns whose values no rule changes."""

import re
from collections.abc import Sequence

from core.sources.compression import COMPRESSIONS
from core.sources.csv_format import HEAD
from core.sources.detection import DetectedFile, detect_by_head
from core.sources.plain_text import encoding_of, is_untidy
from core.sources.row_flags import LONGEST_WORD, PLAIN_EMAIL_PATTERN, PLAIN_ID_PATTERN
from core.sources.source_file import CsvLayout, SourceFile
from core.sources.sql_expressions import SECONDS_BELOW

#: Longer values are left to DuckDB, in characters.
LONGEST = 256

_OTHER_FORMATS = (b"PAR1", *COMPRESSIONS)


def _column(pattern: str) -> re.Pattern[str]:
    """Return the pattern of a whole column, a line for each cell: empty, or of this pattern.

    One search costs a tenth of a search in each cell. Lines are atomic, so that none is tried in two ways.
    """
    return re.compile(rf"(?>(?:{pattern})?\n)*+")


_EMAIL, _ID = _column(PLAIN_EMAIL_PATTERN), _column(PLAIN_ID_PATTERN)
_MPID, _STAMP = _column("-?[1-9][0-9]{0,18}"), _column("[0-9]{1,17}")

#: A row of the table `source`: its profile, mpid, whether it is a member, email and customer id.
ProfileRow = tuple[str, int | None, bool, str | None, str | None]


class NotPlainError(Exception):
    """Something in a file is for DuckDB to read, or to refuse."""


def require(condition: bool) -> None:
    """Raise NotPlainError if something is not plain."""
    if not condition:
        raise NotPlainError


def detect_plain(content: bytes, file: SourceFile) -> DetectedFile:
    """Return the format of a text. Raises NotPlainError if it needs a normalized copy, and InputError."""
    require(not content.startswith(_OTHER_FORMATS) and encoding_of(content) is None and not is_untidy(content))
    require(b'"' not in content and b"\0" not in content)
    return detect_by_head(content[:HEAD], file)


def columns_of(content: bytes, layout: CsvLayout) -> list[list[str]]:
    """Return the cells below the header, by column. Raises NotPlainError if a row has more or fewer than the header.

    There is at least one row. Raises UnicodeDecodeError if the text is not UTF-8.
    """
    text = content.decode("utf-8-sig").replace("\r\n", "\n")
    lines, width = text.removesuffix("\n").split("\n")[layout.skip + 1 :], len(layout.columns)
    require("\r" not in text and not layout.padded)
    require({line.count(layout.delimiter) for line in lines} == {width - 1})
    cells = layout.delimiter.join(lines).split(layout.delimiter)  # a list for each row would take longer
    return [cells[column::width] for column in range(width)]


def mpids(cells: Sequence[str]) -> list[int | None]:
    """Return the mpids in a column. Raises NotPlainError if DuckDB would write one in another way."""
    _require_plain(cells, _MPID)
    numbers = [int(cell) if cell else None for cell in cells]
    known = [number for number in numbers if number is not None]
    require(not known or -(2**63) <= min(known) <= max(known) < 2**63)
    return numbers


def emails(cells: Sequence[str]) -> list[str | None]:
    """Return the emails in a column. Raises NotPlainError if one may have to be cleaned."""
    _require_plain(cells, _EMAIL)
    require(all(not cell or len(cell) > LONGEST_WORD or "@" in cell for cell in cells))
    return [cell or None for cell in cells]


def customer_ids(cells: Sequence[str]) -> list[str | None]:
    """Return the customer ids in a column. Raises NotPlainError if one may have to be cleaned, or counted."""
    _require_plain(cells, _ID)
    require("0" not in cells)
    return [cell or None for cell in cells]


def stamps(cells: Sequence[str]) -> list[int]:
    """Return the time stamps in a column, in milliseconds. Raises NotPlainError if one is missing or no number."""
    require(all(cells))
    _require_plain(cells, _STAMP)
    numbers = map(int, cells)
    return [number * 1000 if number < SECONDS_BELOW else number for number in numbers]


def _require_plain(cells: Sequence[str], pattern: re.Pattern[str]) -> None:
    require(max(map(len, cells), default=0) <= LONGEST)
    require(not cells or pattern.fullmatch("\n".join(cells) + "\n") is not None)
