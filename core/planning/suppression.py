"""Members whom Iterable has refused for good: they count as rejected, and cost no request."""

import duckdb
import pyarrow as pa

from core.identity import UserIdField
from core.iterable import FailureReason
from core.planning.workspace import insert, run
from core.store.erasures import SuppressionList
from core.store.suppressions import KIND

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
