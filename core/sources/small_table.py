"""Small tables as CSV, read without DuckDB: it takes longer to open than a thousand plain rows take in Python.

Only what is surely plain is read here: one header, no quotation marks, one row for each profile, identities that no
rule changes. For any other file the answer is None, and `core.sources.read` reads it in DuckDB, with the same result
or with an error. Recognizing the format, the columns and the audience is the same code in both.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError
from core.sources.audience_ref import choose
from core.sources.compression import COMPRESSIONS
from core.sources.content_digest import state_of
from core.sources.detection import FileFormat, detect_by_head
from core.sources.plain_text import encoding_of, is_untidy
from core.sources.row_flags import LONGEST_WORD, PLAIN_EMAIL_PATTERN, PLAIN_ID_PATTERN
from core.sources.source import Source, SourceFormat
from core.sources.source_file import SourceFile, given_file
from core.sources.sql_expressions import SECONDS_BELOW
from core.sources.staged_rows import LabelCount, audience_of, described
from core.sources.summary_rows import is_no_person
from core.sources.table_columns import (
    AUDIENCE_ID,
    AUDIENCE_NAME,
    CUSTOMER,
    EMAIL,
    IS_ADD,
    MPID,
    STAMP,
    columns_by_meaning,
)
from core.sources.tabular import csv_rows

#: Larger files are not small, in bytes; and longer identities are left to DuckDB, in characters.
MOST_BYTES = 250_000
LONGEST = 256

_PACKED = (b"PK\x03\x04", b"PK\x05\x06", b"PAR1", *COMPRESSIONS)
_EMAIL, _ID = re.compile(PLAIN_EMAIL_PATTERN), re.compile(PLAIN_ID_PATTERN)
_MPID, _STAMP = re.compile(r"-?[1-9][0-9]{0,18}"), re.compile(r"[0-9]{1,17}")
_TRUTH = dict.fromkeys(("true", "t", "1", "yes", "y"), True) | dict.fromkeys(("false", "f", "0", "no", "n"), False)

#: A row of the table `source`: its profile, mpid, whether it is a member, email and customer id.
ProfileRow = tuple[str, int | None, bool, str | None, str | None]


@dataclass(frozen=True, slots=True)
class SmallTable:
    """A small table that was read: its description, a row for each profile, and the digest of its bytes."""

    source: Source
    rows: list[ProfileRow]
    digest: str


class _NotPlainError(Exception):
    """Something in the file is for DuckDB to read, or to refuse."""


def read_small_table(
    path: Path, *, most_rows: int, audience: str | None = None, columns: Mapping[str, str] | None = None
) -> SmallTable | None:
    """Read a plain table of at most `most_rows` rows. Returns None if the file is not surely one, or is faulty.

    `audience` and `columns` are as in `core.sources.read`. Reads the file, so call it in a thread.
    """
    try:
        before = path.stat()
        str(path).encode()  # a name that is no text is refused
        if not path.is_file() or before.st_size > MOST_BYTES:
            return None
        content = path.read_bytes()
        table = _read(given_file(path, columns), content, audience, most_rows)
        return table if state_of(path.stat()) == state_of(before) else None
    except (_NotPlainError, InputError, OSError, ValueError):  # `core.sources.read` says what is wrong
        return None


def _read(file: SourceFile, content: bytes, wanted: str | None, most_rows: int) -> SmallTable:
    _require(not content.startswith(_PACKED) and encoding_of(content) is None and not is_untidy(content))
    detected = detect_by_head(content, file)
    file = detected.file
    layout = file.layout
    is_plain_text = b'"' not in content and b"\0" not in content and not layout.padded and len(layout.delimiter) == 1
    _require(detected.kind is FileFormat.TABLE_CSV and is_plain_text)
    lines = content.decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n").split("\n")[layout.skip :]
    _require("\r" not in lines[0] and 0 < len(lines) - 1 <= most_rows)
    table = _Table(columns_by_meaning(layout.columns, file), layout.columns, lines, layout.delimiter)
    described_rows = csv_rows(file)
    profiles = table.profiles()
    if not described_rows.is_delta:
        table.refuse_summaries()
    count = table.count()
    audience = audience_of(count)
    choose([audience], wanted, file)
    source = described(SourceFormat.TABLE, described_rows, count, audience, people=count.rows)
    return SmallTable(source, profiles, hashlib.sha256(content).hexdigest())


class _Table:
    """The cells of a table, by column."""

    def __init__(self, indexes: dict[str, int], columns: Sequence[str], lines: Sequence[str], delimiter: str) -> None:
        """Take the lines, the first of which is the header. Raises _NotPlainError if one has more or fewer cells."""
        rows = [line.split(delimiter) for line in lines[1:]]
        _require(all(len(row) == len(columns) for row in rows))
        self._rows = len(rows)
        self._cells = {name: [row[index] for row in rows] for name, index in indexes.items()}
        used = sorted(indexes.values())
        header = [columns[index] for index in used]
        _require(all([row[index] for index in used] != header for row in rows))

    def profiles(self) -> list[ProfileRow]:
        """Return a row for each profile. Raises _NotPlainError if an identity is not plain, or two rows share one."""
        mpids = [int(text) if text else None for text in self._plain(MPID, _MPID)]
        emails = [email or None for email in self._plain(EMAIL, _EMAIL)]
        ids = [customer_id or None for customer_id in self._plain(CUSTOMER, _ID)]
        _require(all(mpid is None or -(2**63) <= mpid < 2**63 for mpid in mpids))
        _require("0" not in ids and all(email is None or len(email) > LONGEST_WORD or "@" in email for email in emails))
        are_members = [True] * self._rows
        if IS_ADD in self._cells:
            truths = [_TRUTH.get(cell.lower()) for cell in self._cells[IS_ADD]]
            are_members = [truth for truth in truths if truth is not None]
            _require(len(are_members) == self._rows)
        rows = [
            (_profile(mpid, email, customer_id), mpid, is_member, email, customer_id)
            for mpid, is_member, email, customer_id in zip(mpids, are_members, emails, ids, strict=True)
        ]
        _require(len({profile for profile, *_ in rows}) == len(rows))
        return rows

    def refuse_summaries(self) -> None:
        """Raise _NotPlainError if the first or the last row may be no person."""
        for place in (0, -1):
            identities = (self._cells[name][place] if name in self._cells else "" for name in (MPID, EMAIL, CUSTOMER))
            _require(not is_no_person([cell or None for cell in identities]))

    def count(self) -> LabelCount:
        """Return the count of the rows. Raises _NotPlainError if there are several audiences."""
        label, name = (
            self._only(AUDIENCE_ID if AUDIENCE_ID in self._cells else AUDIENCE_NAME),
            self._only(AUDIENCE_NAME),
        )
        texts = self._plain(STAMP, _STAMP) if STAMP in self._cells else ()
        _require(all(texts))
        stamps = [int(text) for text in texts]
        stamps = [stamp * 1000 if stamp < SECONDS_BELOW else stamp for stamp in stamps]
        with_mpid = sum(cell != "" for cell in self._cells.get(MPID, ()))
        return LabelCount(label, name, self._rows, with_mpid, min(stamps, default=None), max(stamps, default=None))

    def _plain(self, name: str, pattern: re.Pattern[str]) -> Iterable[str]:
        """Return the cells of a column, "" if there is no such column. Raises _NotPlainError for other text."""
        cells = self._cells.get(name)
        if cells is None:
            return [""] * self._rows
        _require(all(not cell or (len(cell) <= LONGEST and pattern.fullmatch(cell)) for cell in cells))
        return cells

    def _only(self, name: str) -> str | None:
        """Return the cell that all rows have in a column, None if it is empty or there is no such column."""
        cells = set(self._cells.get(name, ("",)))
        cell = cells.pop()
        _require(not cells and len(cell) <= LONGEST)
        return cell or None


def _profile(mpid: int | None, email: str | None, customer_id: str | None) -> str:
    """Return the key of a profile, as core/sources/repeated_rows.py makes it. Raises _NotPlainError if it has none."""
    if mpid is not None:
        return str(mpid)
    if customer_id is not None:
        return f"customer:{customer_id}"
    if email is None:
        raise _NotPlainError
    return f"email:{email.lower()}"


def _require(condition: bool) -> None:
    if not condition:
        raise _NotPlainError
