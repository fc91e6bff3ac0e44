"""Measure a large ledger on PostgreSQL: what a batch and a plan cost when the table has tens of millions of rows.

    python -m tests.campaigns.large_ledger --millions 1 10 30 60 [--partitions 16]

With `--partitions`, the table is partitioned by mapping first, as docs/explanation/scale.md suggests for very large ones.
Each mapping has a million members. After each number of rows the campaign looks up and stores a batch's thousand members
of mappings drawn at random, and reads all rows of one mapping, as planning does.
"""

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Sequence

from sqlalchemy import text

from core.models.batch import BatchEntry
from core.planning.workspace import LINES
from core.store import ledger
from core.store.database import Database
from core.store.ledger_export import lines_of
from core.store.migrate import migrate
from tests.benchmarks.durable_postgresql import new_database, postgresql
from tests.core.store.seeds import add_connection, add_mapping

MILLION = 1_000_000
BATCH = 1_000
BATCHES = 30
# Member keys look like mpids, and come in no order: the index is written as real audiences write it.
_FILL = """
INSERT INTO ledger (mapping_id, profile, email, user_id, certain)
SELECT :mapping_id, (n * 7919 % 4294967291 + 100000000000)::text, 'person' || n || '@example.com', 'customer-' || n, true
FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n
"""
# Foreign keys are not copied with the rest of a table.
_PARTITION = """
ALTER TABLE ledger RENAME TO whole;
CREATE TABLE ledger (LIKE whole INCLUDING ALL) PARTITION BY HASH (mapping_id);
ALTER TABLE ledger ADD FOREIGN KEY (mapping_id) REFERENCES mappings (id) ON DELETE CASCADE;
DROP TABLE whole
"""
_ADD_PARTITION = (
    "CREATE TABLE ledger_{number} PARTITION OF ledger FOR VALUES WITH (MODULUS {count}, REMAINDER {number})"
)
# (A table without partitions is not in such a tree.)
_SIZE = """
SELECT coalesce(sum(pg_total_relation_size(relid)), pg_total_relation_size('ledger')) FROM pg_partition_tree('ledger')
"""


def member(number: int) -> BatchEntry:
    """Return the member that `_FILL` stores for a number."""
    key = str(number * 7919 % 4_294_967_291 + 100_000_000_000)
    return BatchEntry("a", key, f"person{number}@example.com", f"customer-{number}")


async def measure(url: str, millions: Sequence[int], generator: random.Random, partitions: int) -> None:
    """Fill the ledger step by step, and print the figures of each. `partitions`: how many it has (0: it is one table)."""
    database = Database(url)
    await migrate(database)
    if partitions:
        await _partition(database, partitions)
    connection = await add_connection(database)
    mapping_ids: list[int] = []
    for step in millions:
        began = time.monotonic()
        while len(mapping_ids) < step:
            mapping_ids.append(await _fill(database, connection, len(mapping_ids)))
        filled_s = time.monotonic() - began
        lookups, writes = [], []
        for _ in range(BATCHES):
            looked_up, written = await _touch(database, mapping_ids, generator)
            lookups.append(looked_up)
            writes.append(written)
        read_s, read_bytes = await _read(database, generator.choice(mapping_ids))
        print(
            f"{step} million rows, {await _gigabytes(database):.1f} GB, filled in {filled_s:.0f} s: "
            f"{BATCH} members looked up in {_spread(lookups)}, stored in {_spread(writes)}; "
            f"a mapping of a million read in {read_s:.1f} s ({read_bytes / MILLION:.0f} MB)",
            flush=True,
        )
    await database.close()


async def _partition(database: Database, count: int) -> None:
    async with database.write() as db:
        for statement in (
            *_PARTITION.split(";"),
            *(_ADD_PARTITION.format(number=n, count=count) for n in range(count)),
        ):
            await db.execute(text(statement))


async def _fill(database: Database, connection: int, number: int) -> int:
    mapping = await add_mapping(database, connection, list_id=2000 + number, audience=f"Audience {number}")
    values = {"mapping_id": mapping.id, "first": number * MILLION, "last": (number + 1) * MILLION - 1}
    async with database.write() as db:
        await db.execute(text(_FILL), values)
    return mapping.id


async def _touch(database: Database, mapping_ids: Sequence[int], generator: random.Random) -> tuple[float, float]:
    """Look up and store the members of one batch. Returns how long each took, in seconds."""
    place = generator.randrange(len(mapping_ids))
    numbers = generator.sample(range(place * MILLION, (place + 1) * MILLION), BATCH)
    members = [member(number) for number in numbers]
    began = time.monotonic()
    async with database.read() as db:
        known = await ledger.by_profile(db, mapping_ids[place], [each.member_key for each in members])
    looked_up = time.monotonic()
    assert len(known) == BATCH
    async with database.write() as db:
        await ledger.upsert(db, mapping_ids[place], members, certain=True)
    return looked_up - began, time.monotonic() - looked_up


async def _read(database: Database, mapping_id: int) -> tuple[float, int]:
    began = time.monotonic()
    async with database.read_rows() as db:
        size = sum([len(piece) async for piece in lines_of(db, mapping_id, LINES)])
    return time.monotonic() - began, size


async def _gigabytes(database: Database) -> float:
    async with database.read() as db:
        size = (await db.execute(text(_SIZE))).scalar_one()
    return int(size) / 1e9


def _spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.0f} ms (at most {max(seconds) * 1000:.0f})"


def main() -> None:
    """Run the campaign on a new database, and remove it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 10, 30, 60], help="rows at each measurement")
    parser.add_argument("--partitions", type=int, default=0, help="partitions of the table, by mapping (0: none)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with postgresql() as server:
        asyncio.run(
            measure(new_database(server), arguments.millions, random.Random(arguments.seed), arguments.partitions)
        )


if __name__ == "__main__":
    main()
