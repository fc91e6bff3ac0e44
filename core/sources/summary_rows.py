"""Rows of a table that are no people: a total below it, the number of rows that a program appends, a ruled line.

Only the first row and the last ones are looked at: further up, a person may have such an id.
"""

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from core.sources.duckdb_errors import query
from core.sources.staged_rows import StagedRows

if TYPE_CHECKING:
    import duckdb

# So many rows at the end can be summaries.
LAST_ROWS = 5
_TOTAL = r"((grand|sub)[ -]?)?totals?|totale|sum|summe|gesamt(summe)?|insgesamt|count|row count|anzahl"
_NUMBER = r"[0-9][0-9.,\u00a0 ]*"
_LABELLED = re.compile(rf"({_TOTAL})\s*[:=]?\s*({_NUMBER})?", re.IGNORECASE)
# What programs append: psql `(2 rows)`, sqlcmd `(2 rows affected)`, SQL*Plus `2 rows selected.`, mysql
# `2 rows in set (0.00 sec)`; `\.` ends the data of PostgreSQL's COPY, and Ctrl-Z that of old programs.
ROW_COUNT = re.compile(rf"\(?{_NUMBER} (rows?|records?)( selected| affected| in set.*)?\)?\.?|\\\.|\x1a", re.IGNORECASE)
#: A line of signs between the header and the rows, or below them.
RULE = re.compile(r"[-=+|:,;\s]*[-=]{3}[-=+|:,;\s]*")


def is_summary(text: str) -> bool:
    """Return whether a cell's text is a total, a number of rows or a ruled line."""
    plain = text.strip()
    return any(pattern.fullmatch(plain) for pattern in (_LABELLED, ROW_COUNT, RULE))


def remove_summary_rows(con: "duckdb.DuckDBPyConnection", rows: StagedRows, first: int) -> int:
    """Remove summaries from the rows on the stage that have this or a higher place, and return how many there were."""
    last = query(con, "SELECT max(rowid) FROM stage", rows.file)[0][0]
    if last is None or last < first:
        return 0
    cells = query(
        con,
        "SELECT rowid, mpid, email, customer_id FROM stage "
        f"WHERE rowid = {first} OR (rowid > {first} AND rowid > {last - LAST_ROWS}) ORDER BY rowid DESC",
        rows.file,
    )
    places = {place for place, *identities in takewhile(lambda row: is_no_person(row[1:]), cells)}
    if is_no_person(cells[-1][1:]) and all(RULE.fullmatch(text) for text in cells[-1][1:] if text is not None):
        places.add(first)
    if places:
        query(con, f"DELETE FROM stage WHERE rowid IN ({', '.join(map(str, places))})", rows.file)
    return len(places)


def is_no_person(identities: Sequence[object]) -> bool:
    """Return whether a row with this mpid and these other identities (None: none) is a summary."""
    mpid, *cells = identities
    texts = [str(cell) for cell in cells if cell is not None]
    return mpid is None and not any("@" in text for text in texts) and any(map(is_summary, texts))
