"""The CSV file of rejected members."""

import re

from core.reporting.rejection_reasons import explain
from core.store.rejections import Rejection

CSV_HEADER = ("profile", "email", "customer_id", "reason", "what_it_means")


# Spreadsheets skip these in front of a formula: control characters, spaces of any width, a byte order mark.
_SKIPPED = (
    r"[\x00-\x20\x7f-\xa0\u00ad\u061c\u115f\u1160\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]*"
)


# A cell that begins so is a formula to a spreadsheet; the wide signs are to one that is set to an East Asian language.
_SIGN = r"[=+\-@\uff1d\uff0b\uff0d\uff20\ufe62\ufe63\ufe66\ufe6b\u2212]"


_FORMULA = re.compile(rf"{_SKIPPED}{_SIGN}|[\t\r\n]")


# A cell can begin behind each of these too: what a spreadsheet takes for a separator depends on country and settings.
_INNER = re.compile(rf"([,;|\t\r\n\"]{_SKIPPED})(?={_SIGN})")


# But a negative number, as many mpids are, is only a number.
_NEGATIVE = re.compile(r"-[0-9]+")


def csv_row(rejection: Rejection) -> tuple[str, ...]:
    """Return the row of a rejection under CSV_HEADER, harmless to a spreadsheet."""
    cells = (rejection.member_key, rejection.email, rejection.customer_id, rejection.reason)
    meaning = explain(rejection.reason).meaning
    if rejection.words:
        meaning += f' Iterable said: "{rejection.words}"'
    return (*(_harmless(cell or "") for cell in cells), _harmless(meaning))


def _harmless(cell: str) -> str:
    """An apostrophe in front of a formula makes it text."""
    if _NEGATIVE.fullmatch(cell):
        return cell
    text = cell.lstrip("\t\r\n")
    inner = cell[: len(cell) - len(text)] + _INNER.sub(r"\1'", text)
    return f"'{inner}" if _FORMULA.match(cell) else inner
