"""The CSV file of rejected members.

A spreadsheet shows it correctly, and a corrected file can be synced: it has the columns `email`, `customer_id` and
`mpid`, and the characters that make a cell text are removed when it is read (core/sources/raw_identity.py).
"""

import re

from core.models.data_fields import FIELD_WORDS
from core.reporting.rejection_reasons import explain
from core.store.rejections import Rejection

CSV_HEADER = ("profile", "email", "customer_id", "reason", "what_it_means", "what_to_do", "mpid")

#: The encoding of the file. Without a byte order mark, Excel reads UTF-8 as Windows-1252.
CSV_ENCODING = "utf-8-sig"

# Characters that spreadsheets skip before a formula: control characters, spaces of any width, a byte order mark.
_SKIPPED = (
    r"[\x00-\x20\x7f-\xa0\u00ad\u061c\u115f\u1160\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]*"
)
# A cell that begins with one of these is a formula; the wide ones count in spreadsheets set to an East Asian language.
_SIGN = r"[=+\-@\uff1d\uff0b\uff0d\uff20\ufe62\ufe63\ufe66\ufe6b\u2212]"
_FORMULA = re.compile(rf"{_SKIPPED}{_SIGN}|[\t\r\n]")
# A cell can also begin after each of these, because a spreadsheet's separator depends on country and settings.
_INNER = re.compile(rf"([,;|\t\r\n\"]{_SKIPPED})(?={_SIGN})")

# Digits that a spreadsheet would round and show as 1.23E+18, or whose leading zeros it would remove.
_LONG_NUMBER = re.compile(r"-?[0-9]{12,}|0[0-9]+")

# A negative number is no formula; many mpids are negative.
_NEGATIVE = re.compile(r"-[0-9]+")
_INTEGER = re.compile(r"-?[0-9]+")


def csv_row(rejection: Rejection) -> tuple[str, ...]:
    """Return the row of a rejection under CSV_HEADER, with formulas escaped."""
    cells = (rejection.member_key, rejection.email, rejection.customer_id, rejection.reason)
    explanation = explain(rejection.reason)
    meaning = explanation.meaning
    if rejection.words and rejection.words.startswith(FIELD_WORDS):
        meaning = rejection.words
    elif rejection.words:
        meaning += f' Iterable said: "{rejection.words}"'
    mpid = rejection.member_key if rejection.member_key and _INTEGER.fullmatch(rejection.member_key) else ""
    return (*(harmless(cell or "") for cell in cells), harmless(meaning), explanation.remedy, harmless(mpid))


def harmless(cell: str) -> str:
    """Return a cell with formulas escaped, and numbers that would be rounded: a leading apostrophe makes them text."""
    if _LONG_NUMBER.fullmatch(cell):
        return f"'{cell}"
    if _NEGATIVE.fullmatch(cell):
        return cell
    text = cell.lstrip("\t\r\n")
    inner = cell[: len(cell) - len(text)] + _INNER.sub(r"\1'", text)
    return f"'{inner}" if _FORMULA.match(cell) else inner
