"""The whole ledger of a mapping in the workspace, and the number of people that it has on the list."""

from core.planning.small_workspace import SmallWorkspace
from core.planning.workspace import Workspace, load_ledger, run, scalar
from core.store.database import Database

# A person with several profiles has a row in the ledger for each. Hashes find the few who may have several, in a third
# of the memory; their identities decide.
_COUNT_PEOPLE = """
WITH people AS NOT MATERIALIZED (SELECT coalesce(email, user_id) AS person FROM ledger WHERE mapping_id = {mapping_id}),
    repeated AS ({repeated})
SELECT (SELECT count(person) FROM people) - (
    SELECT count(person) - count(DISTINCT person) FROM people WHERE hash(person) IN (SELECT key FROM repeated))
"""
_REPEATED = "SELECT hash(person) AS key FROM people GROUP BY 1 HAVING count(*) > 1"
#: Up to so many rows, repeated hashes are found at once. For 50 million, DuckDB would need more than its first limit.
AT_ONCE = 5_000_000
_KEYS = """
CREATE TABLE person_keys AS SELECT hash(coalesce(email, user_id)) AS key FROM ledger WHERE mapping_id = {mapping_id};
CREATE TABLE repeated_keys (key UBIGINT)
"""
_ADD_REPEATED = """
INSERT INTO repeated_keys SELECT key FROM person_keys WHERE key % {parts} = {part} GROUP BY key HAVING count(*) > 1
"""


async def load_whole_ledger(con: Workspace, database: Database, mapping_id: int, mapping_ids: list[int]) -> int:
    """Load the ledger of these mappings, and return how many people one of them has on its list."""
    await load_ledger(con, database, mapping_ids)
    return await run(con, count_people, con, mapping_id)


def count_people(con: Workspace, mapping_id: int) -> int:
    """Return how many people a mapping has on its list, according to the ledger in the workspace."""
    repeated, parts = _REPEATED, 1
    if not isinstance(con, SmallWorkspace):
        parts = -(-scalar(con, f"SELECT count(*) FROM ledger WHERE mapping_id = {mapping_id}") // AT_ONCE)
    if parts > 1:
        con.execute(_KEYS.format(mapping_id=mapping_id))
        for part in range(parts):
            con.execute(_ADD_REPEATED.format(parts=parts, part=part))
        repeated = "SELECT key FROM repeated_keys"
    people = scalar(con, _COUNT_PEOPLE.format(mapping_id=mapping_id, repeated=repeated))
    if parts > 1:
        con.execute("DROP TABLE person_keys; DROP TABLE repeated_keys")
    return people
