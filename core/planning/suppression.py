"""Members that must not be sent: Iterable rejects them for good, or they asked to be erased. They count as rejected."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from core.identity import UserIdField
from core.iterable import FailureReason
from core.planning.schema import create
from core.planning.small_workspace import SmallWorkspace
from core.planning.workspace import Workspace, insert, run
from core.store.erasures import SuppressionList
from core.store.rejections import ERASED
from core.store.suppressions import KIND

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

# Erased members, by any identity in the source. (Emails are compared in the form in which they would be sent.)
_ERASED = """
INSERT INTO erased_in_source SELECT profile FROM source WHERE member AND (
    sha256($salt || 'mpid:' || mpid) IN (SELECT digest FROM erased_digests)
    OR sha256($salt || 'email:' || lower(trim(email))) IN (SELECT digest FROM erased_digests)
    OR sha256($salt || 'customer:' || customer_id) IN (SELECT digest FROM erased_digests))
"""


# Members in the ledger are not suppressed: a former identity of theirs may have to leave the list.
_SUPPRESSED = """
CREATE TABLE suppressed_in_source AS SELECT member_key, email, {customer_id} AS customer_id FROM desired
WHERE is_counted AND member_key NOT IN (SELECT member_key FROM ledger WHERE mapping_id = $mapping_id)
    AND sha256($salt || $kind || ':' || member_key || chr(10) || coalesce(email, '') || chr(10)
        || coalesce({customer_id}, '')) IN (SELECT digest FROM suppressed_digests)
"""
_REJECT = "INSERT INTO rejected SELECT member_key, email, customer_id, $reason FROM suppressed_in_source"
_DIGEST_BYTES = 32
# Digests that are compared at once: they fit into the smallest memory limit.
HASHES_AT_ONCE = 500_000
_WITH_DIGEST = """
CREATE OR REPLACE {kind} digests_in_source AS
SELECT member_key, unhex(sha256(lower(trim({column})))) AS digest FROM desired WHERE {column} IS NOT NULL
"""
_FORGOTTEN = """
CREATE TABLE forgotten_in_source AS
SELECT member_key, email, user_id, {customer_id} AS customer_id, is_counted FROM desired
WHERE member_key IN (SELECT member_key FROM forgotten_keys)
"""
_FORMER_OF_FORGOTTEN = """
INSERT INTO leavers SELECT member_key, ledger.email, ledger.user_id, false, NULL
FROM forgotten_in_source JOIN ledger USING (member_key)
WHERE ledger.mapping_id = $mapping_id AND (ledger.email IS DISTINCT FROM forgotten_in_source.email
    OR ledger.user_id IS DISTINCT FROM forgotten_in_source.user_id)
"""
_CUSTOMER_ID = {UserIdField.CUSTOMER_ID: "user_id", UserIdField.MPID: "NULL::VARCHAR"}


async def reject_suppressed(
    con: Workspace, mapping_id: int, field: UserIdField, suppressed: SuppressionList | None
) -> None:
    """Move members from `desired` to `rejected` if Iterable has rejected exactly these identities for good."""
    if suppressed is not None:
        await run(con, _reject_suppressed, con, mapping_id, field, suppressed)


def _reject_suppressed(con: Workspace, mapping_id: int, field: UserIdField, suppressed: SuppressionList) -> None:
    con.execute(create("suppressed_digests"))
    insert(con, "suppressed_digests", [(digest,) for digest in suppressed.digests])
    values = {"mapping_id": mapping_id, "salt": suppressed.salt, "kind": KIND}
    con.execute(_SUPPRESSED.format(customer_id=_CUSTOMER_ID[field]), values)
    con.execute(_REJECT, {"reason": FailureReason.FORGOTTEN.value})
    con.execute("DELETE FROM desired WHERE member_key IN (SELECT member_key FROM suppressed_in_source)")


async def reject_forgotten(
    con: Workspace,
    mapping_id: int,
    field: UserIdField,
    emails: Path | None,
    user_ids: Path | None,
) -> None:
    """Move members from `desired` to `rejected` whose email or user id Iterable has forgotten.

    `emails` and `user_ids` are files with the SHA-256 of the values, trimmed and in lower case, 32 bytes each; None:
    there are none. A former identity of such a member leaves the list.
    """
    for column, path in (("email", emails), ("user_id", user_ids)):
        if path is not None and path.stat().st_size:
            await run(con, _reject_forgotten, con, mapping_id, field, column, path)


def _reject_forgotten(con: Workspace, mapping_id: int, field: UserIdField, column: str, path: Path) -> None:
    con.execute("DROP TABLE IF EXISTS forgotten_keys")
    con.execute("DROP TABLE IF EXISTS forgotten_in_source")
    con.execute("CREATE TABLE forgotten_keys (member_key VARCHAR)")
    if isinstance(con, SmallWorkspace):
        con.insert("forgotten_keys", ["member_key"], _find_few(con, column, path))
    else:
        _find_forgotten(con, column, path)
    con.execute(_FORGOTTEN.format(column=column, customer_id=_CUSTOMER_ID[field]))
    con.execute(
        "INSERT INTO rejected SELECT member_key, email, customer_id, $reason FROM forgotten_in_source WHERE is_counted",
        {"reason": FailureReason.FORGOTTEN.value},
    )
    con.execute(_FORMER_OF_FORGOTTEN, {"mapping_id": mapping_id})
    con.execute("DELETE FROM desired WHERE member_key IN (SELECT member_key FROM forgotten_in_source)")


def _find_forgotten(con: "duckdb.DuckDBPyConnection", column: str, path: Path) -> None:
    """Fill the table `forgotten_keys` with the members whose digest is in a file."""
    # a table saves hashing the members once more for each part of the file
    kind = "VIEW" if path.stat().st_size <= HASHES_AT_ONCE * _DIGEST_BYTES else "TABLE"
    con.execute(_WITH_DIGEST.format(kind=kind, column=column))
    for digests in _read_digests(path):
        con.register("forgotten_digests", digests)
        con.execute(
            "INSERT INTO forgotten_keys "
            "SELECT member_key FROM digests_in_source WHERE digest IN (SELECT digest FROM forgotten_digests)"
        )
        con.unregister("forgotten_digests")
    con.execute(f"DROP {kind} digests_in_source")


def _find_few(con: SmallWorkspace, column: str, path: Path) -> list[tuple[str]]:
    """Return the keys of the members whose digest is in a file."""
    query = f"SELECT sha256(lower(trim({column}))), member_key FROM desired WHERE {column} IS NOT NULL"
    members = [(bytes.fromhex(digest), key) for digest, key in con.execute(query).fetchall()]
    matching = find_digests(path, [digest for digest, _ in members])
    return [(key,) for digest, key in members if digest in matching]


def find_digests(path: Path, digests: Collection[bytes]) -> set[bytes]:
    """Return those of a few digests that are in a file."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(list(digests), pa.binary(_DIGEST_BYTES))
    matching: set[bytes] = set()
    for some in _read_digests(path):
        matching.update(some["digest"].filter(pc.is_in(some["digest"], value_set=wanted)).to_pylist())
    return matching


def _read_digests(path: Path) -> Iterator["pa.Table"]:
    """Yield the digests of a file, as tables with the column `digest`."""
    import pyarrow as pa

    with path.open("rb") as file:
        while chunk := file.read(HASHES_AT_ONCE * _DIGEST_BYTES):
            buffers = [None, pa.py_buffer(chunk)]
            digests = pa.Array.from_buffers(pa.binary(_DIGEST_BYTES), len(chunk) // _DIGEST_BYTES, buffers)
            yield pa.table({"digest": digests})


async def exclude_erased(con: Workspace, erased: SuppressionList | None) -> None:
    """Delete the members from `source` that asked to be erased, and list them in `erased_in_source`."""
    await run(con, _exclude_erased, con, erased)


async def reject_erased(con: Workspace) -> int:
    """Add the erased members to `rejected`, without their identities. Returns their number."""
    return await run(con, _reject_erased, con)


def _exclude_erased(con: Workspace, erased: SuppressionList | None) -> None:
    con.execute(create("erased_in_source", "erased_digests"))
    if erased is None:
        return
    insert(con, "erased_digests", [(digest,) for digest in erased.digests])
    con.execute(_ERASED, {"salt": erased.salt})
    con.execute("DELETE FROM source WHERE profile IN (SELECT member_key FROM erased_in_source)")


def _reject_erased(con: Workspace) -> int:
    con.execute("INSERT INTO rejected SELECT NULL, NULL, NULL, $reason FROM erased_in_source", {"reason": ERASED})
    return int(con.execute("SELECT count(*) FROM erased_in_source").fetchall()[0][0])
