"""Notes for people about the rows of an audience: how many identities were ignored or cleaned."""

from typing import TYPE_CHECKING

from core.sources.duckdb_errors import query
from core.sources.row_flags import RowFlag
from core.sources.staged_rows import LabelCount, StagedRows

if TYPE_CHECKING:
    import duckdb

_DECIMAL = (
    "every customer id ends with .0: a program took them for numbers with decimals, and may have changed them. Export "
    "them as text or as whole numbers."
)


def refuse_decimal_ids(con: "duckdb.DuckDBPyConnection", rows: StagedRows, count: LabelCount, chosen: str = "") -> None:
    """Raise InputError if all customer ids end with `.0`: pandas writes whole numbers so in a column with gaps."""
    if count.flags & RowFlag.DECIMAL_ID:
        decimal = f"count(*) FILTER (WHERE flags & {RowFlag.DECIMAL_ID.value} <> 0)"
        ids, decimals = query(con, f"SELECT count(customer_id), {decimal} FROM staged {chosen}", rows.file)[0]
        if ids == decimals:
            raise rows.file.error(_DECIMAL)


def row_notes(con: "duckdb.DuckDBPyConnection", rows: StagedRows, count: LabelCount, chosen: str = "") -> list[str]:
    """Return notes on how many rows had a word for "nothing", or an address that was cleaned.

    If several members have the customer id 0, it is removed from them, with a note.
    """
    flags = count.flags
    notes = []
    if count.summaries:
        is_one = count.summaries == 1
        notes.append(
            f"{count.summaries} {'row was' if is_one else 'rows were'} ignored, at the end of the table or right below "
            f"its header: {'it contains' if is_one else 'they contain'} a total or a line, and no person."
        )
    if flags & (RowFlag.NULL_ID | RowFlag.NULL_EMAIL | RowFlag.NULL_MPID | RowFlag.CLEANED):
        kinds = (RowFlag.NULL_ID, RowFlag.NULL_EMAIL, RowFlag.NULL_MPID, RowFlag.CLEANED)
        counted = ", ".join(f"count(*) FILTER (WHERE flags & {flag.value} <> 0)" for flag in kinds)
        ids, emails, mpids, cleaned = query(con, f"SELECT {counted} FROM staged {chosen}", rows.file)[0]
        words = "NULL, or another word for nothing,"
        notes += [
            f"{_members(number)} {words} as {name}; it was ignored."
            for number, name in ((ids, "customer id"), (emails, "email"))
            if number
        ]
        if mpids:
            notes.append(f"{_members(mpids)} no mpid: it is 0, NULL or another word for nothing; it was ignored.")
        if cleaned:
            notes.append(
                f"{cleaned:,} email {'address was' if cleaned == 1 else 'addresses were'} cleaned of invisible "
                "characters, or of signs around the address."
            )
    if flags & RowFlag.ZERO_ID and (note := _remove_zero_ids(con, rows, chosen)):
        notes.append(note)
    return notes


def _remove_zero_ids(con: "duckdb.DuckDBPyConnection", rows: StagedRows, chosen: str) -> str | None:
    """Remove the customer id 0 if several members have it, and return a note.

    Then a program wrote 0 for members without an id. A single member may really have the id 0.
    """
    zeros = f"FROM staged {chosen}{' AND' if chosen else 'WHERE'} customer_id = '0'"
    people = "SELECT count(DISTINCT coalesce(mpid::VARCHAR, lower(email), '')) " + zeros
    if query(con, people, rows.file)[0][0] < 2:
        return None
    number = query(con, f"SELECT count(*) {zeros}", rows.file)[0][0]
    column = "value" if rows.is_long else "customer_id"
    query(con, f"UPDATE stage SET {column} = NULL WHERE rowid IN (SELECT place {zeros})", rows.file)
    return f"{_members(number)} 0 as customer id, so it identifies none of them; it was ignored."


def _members(number: int) -> str:
    return "1 member has" if number == 1 else f"{number:,} members have"
