"""Members whom Iterable has refused for good: they count as rejected, and cost no request."""

import duckdb
import pyarrow as pa

from core.identity import UserIdField
from core.iterable import FailureReason
from core.planning.live_source import _STRING
from core.planning.workspace import insert, run
from core.store.erasures import SuppressionList
from core.store.rejections import ERASED
from core.store.suppressions import KIND

# Who was forgotten, by any identity that the source has of them. (An email is looked at as it would be sent.)
_FORGOTTEN = """
CREATE TABLE forgotten_here AS SELECT profile FROM source WHERE member AND (
    sha256($salt || 'mpid:' || mpid) IN (SELECT digest FROM digests)
    OR sha256($salt || 'email:' || lower(trim(email))) IN (SELECT digest FROM digests)
    OR sha256($salt || 'customer:' || customer_id) IN (SELECT digest FROM digests))
"""


# A member that the ledger knows is compared as any other: a former identity may have to leave the list.
_BARRED_HERE = """
CREATE TABLE barred_here AS SELECT profile, email, {customer_id} AS customer_id FROM desired
WHERE counted AND profile NOT IN (SELECT profile FROM ledger WHERE mapping_id = $mapping_id)
    AND sha256($salt || $kind || ':' || profile || chr(10) || email || chr(10) || coalesce({customer_id}, ''))
        IN (SELECT digest FROM barred)
"""
_REFUSE = "INSERT INTO refused SELECT profile, email, customer_id, $reason FROM barred_here"
_CUSTOMER_ID = {UserIdField.CUSTOMER_ID: "user_id", UserIdField.MPID: "NULL::VARCHAR"}


async def reject_suppressed(
    con: duckdb.DuckDBPyConnection, mapping_id: int, field: UserIdField, barred: SuppressionList | None
) -> None:
    """Move those who would be sent as they were refused from `desired` to `refused`."""
    if barred is not None:
        await run(con, _refuse_barred, con, mapping_id, field, barred)


def _refuse_barred(
    con: duckdb.DuckDBPyConnection, mapping_id: int, field: UserIdField, barred: SuppressionList
) -> None:
    con.execute("CREATE TABLE barred (digest VARCHAR)")
    insert(con, "barred", pa.schema([("digest", pa.string())]), [(digest,) for digest in barred.digests])
    values = {"mapping_id": mapping_id, "salt": barred.salt, "kind": KIND}
    con.execute(_BARRED_HERE.format(customer_id=_CUSTOMER_ID[field]), values)
    con.execute(_REFUSE, {"reason": FailureReason.FORGOTTEN.value})
    con.execute("DELETE FROM desired WHERE profile IN (SELECT profile FROM barred_here)")


async def exclude_erased(con: duckdb.DuckDBPyConnection, forgotten: SuppressionList | None) -> None:
    """Leave out of a file's `source` who asked to be forgotten."""
    await run(con, _leave_out_forgotten, con, forgotten)


async def reject_erased(con: duckdb.DuckDBPyConnection) -> int:
    """Count those left out as rejected, without saying who they are. Returns how many."""
    found: int = await run(con, _refuse_forgotten, con)
    return found


def _leave_out_forgotten(con: duckdb.DuckDBPyConnection, forgotten: SuppressionList | None) -> None:
    if forgotten is None:
        con.execute("CREATE TABLE forgotten_here (profile VARCHAR)")
        return
    con.execute("CREATE TABLE digests (digest VARCHAR)")
    insert(con, "digests", pa.schema([("digest", _STRING)]), [(digest,) for digest in forgotten.digests])
    con.execute(_FORGOTTEN, {"salt": forgotten.salt})
    con.execute("DELETE FROM source WHERE profile IN (SELECT profile FROM forgotten_here)")


def _refuse_forgotten(con: duckdb.DuckDBPyConnection) -> int:
    con.execute("INSERT INTO refused SELECT NULL, NULL, NULL, $reason FROM forgotten_here", {"reason": ERASED})
    return int(con.execute("SELECT count(*) FROM forgotten_here").fetchall()[0][0])
