"""Cleaning the identities on the stage. DuckDB removes words for "nothing"; other identities that are not plain pass
through Python.
"""

from typing import TYPE_CHECKING

from core.sources.duckdb_errors import query
from core.sources.plain_text import UNDECODABLE
from core.sources.raw_identity import clean_customer_id, clean_email, visible
from core.sources.row_flags import IS_WORD, RowFlag, identity_flags
from core.sources.source_file import SourceFile
from core.sources.sql_expressions import blank_as_null
from core.sources.staged_rows import EMAIL, OTHER

if TYPE_CHECKING:
    import duckdb

# Rows that pass through Python at once.
CHUNK = 20_000

# On a stage of rows with one identity each: its email, and its customer id.
_LONG = (f"if(kind = {EMAIL}, value, NULL)", f"if(kind > {EMAIL}, value, NULL)")
_WIDE = ("email", "customer_id")


def _assignment(name: str) -> str:
    return f"{name} = CASE WHEN {IS_WORD.format(name)} THEN NULL ELSE {blank_as_null(name)} END"


_LOOK_CLOSER = f"""
    UPDATE stage SET {{assignments}},
        flags = (flags - {RowFlag.IRREGULAR.value}) | {{flags}}
    WHERE flags & {RowFlag.IRREGULAR.value} <> 0
"""
_LOOK_CLOSER_WIDE = _LOOK_CLOSER.format(assignments=", ".join(map(_assignment, _WIDE)), flags=identity_flags(*_WIDE))
_LOOK_CLOSER_LONG = _LOOK_CLOSER.format(
    assignments=_assignment("value").replace("CASE WHEN ", f"CASE WHEN kind = {OTHER} THEN value WHEN ", 1),
    flags=identity_flags(*_LONG),
)
_ANY_IRREGULAR = f"SELECT 1 FROM stage WHERE flags & {RowFlag.IRREGULAR.value} <> 0 LIMIT 1"
_IRREGULAR_ROWS = f"SELECT rowid, {{columns}} FROM stage WHERE flags & {RowFlag.IRREGULAR.value} <> 0 ORDER BY rowid"
_CLEANED = {"place": "BIGINT", "email": "VARCHAR", "customer_id": "VARCHAR", "flags": "UTINYINT"}
_CLEANED_TABLE = f"CREATE OR REPLACE TABLE cleaned ({', '.join(f'{name} {kind}' for name, kind in _CLEANED.items())})"
_UPDATE = """
    UPDATE stage SET email = cleaned.email, customer_id = cleaned.customer_id,
        flags = (stage.flags - 2) | cleaned.flags
    FROM cleaned WHERE stage.rowid = cleaned.place
"""
_UPDATE_LONG = """
    UPDATE stage SET value = coalesce(cleaned.email, cleaned.customer_id), flags = (stage.flags - 2) | cleaned.flags
    FROM cleaned WHERE stage.rowid = cleaned.place
"""


def clean_staged_rows(con: "duckdb.DuckDBPyConnection", file: SourceFile, *, is_long: bool) -> None:
    """Clean the identities of the irregular rows on the stage. `is_long`: each row contains one identity."""
    if not query(con, _ANY_IRREGULAR, file):  # which the next statement takes ten milliseconds to find out
        return
    from core.sources.arrow import arrow_table

    query(con, _LOOK_CLOSER_LONG if is_long else _LOOK_CLOSER_WIDE, file)
    columns = ", ".join(_LONG if is_long else _WIDE)
    query(con, _CLEANED_TABLE, file)
    rows = con.cursor().execute(_IRREGULAR_ROWS.format(columns=columns))
    while chunk := rows.fetchmany(CHUNK):
        cleaned = [(place, *_cleaned(email, customer_id)) for place, email, customer_id in chunk]
        con.register("cleaned_chunk", arrow_table(_CLEANED, cleaned))
        query(con, "INSERT INTO cleaned SELECT * FROM cleaned_chunk", file)
        con.unregister("cleaned_chunk")
    query(con, _UPDATE_LONG if is_long else _UPDATE, file)
    query(con, "DROP TABLE cleaned", file)


def _cleaned(email: str | None, customer_id: str | None) -> tuple[str | None, str | None, int]:
    flags = RowFlag(0)
    clean, clean_id = clean_email(email), clean_customer_id(customer_id)
    if email is not None and clean is None and visible(email):
        flags |= RowFlag.NULL_EMAIL
    elif email is not None and clean is not None and clean != email.strip():
        flags |= RowFlag.CLEANED
    if customer_id is not None and clean_id is None and visible(customer_id):
        flags |= RowFlag.NULL_ID
    if UNDECODABLE.search(f"{email}{customer_id}"):
        flags |= RowFlag.SUSPICIOUS
    if clean_id is not None and clean_id.endswith(".0"):
        flags |= RowFlag.DECIMAL_ID
    if clean_id == "0":
        flags |= RowFlag.ZERO_ID
    return clean, clean_id, flags.value
