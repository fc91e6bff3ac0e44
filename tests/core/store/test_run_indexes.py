"""With 100,000 runs on record, what is asked again and again is found by indexes."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import clock, freezes, live_work, run_turns, runs, workers
from core.store.database import Database
from tests.core.store.seeds import add_mapping, add_run

RUNS = 100_000

# Of 100 runs, one failed and the others succeeded. The details of the last ten are kept.
_NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :runs)",
    "postgresql": "WITH numbers(n) AS (SELECT generate_series(1, CAST(:runs AS integer)))",
}
_FILL = """
INSERT INTO runs (id, mapping_id, connection_id, list_id, status, phase, mode, user_id, rate, request, attempt,
    members, "left", added, updated, removed, unchanged, duplicates, rejected, requests, retries, throttled,
    created_at, finished_at, purged)
{numbers}
SELECT 'old ' || n, mapping_id + 1, connection_id, n % 10, CASE n % 100 WHEN 0 THEN 'failed' ELSE 'succeeded' END, '',
    mode, user_id, rate, request, attempt, members, "left", added, updated, removed, unchanged, duplicates, rejected,
    requests, retries, throttled, n, n, CASE WHEN n < :runs - 10 THEN {true} ELSE {false} END
FROM numbers, runs WHERE runs.id = :like
"""

Query = Callable[[AsyncConnection], Awaitable[Any]]


async def fill(database: Database) -> int:
    """Store the runs, and one that is queued. Returns the id of the queued run's mapping."""
    mapping = await add_mapping(database)
    run_id = await add_run(database, mapping)
    dialect = database.engine.dialect.name
    true, false = ("1", "0") if dialect == "sqlite" else ("true", "false")
    async with database.write() as db:
        other = "INSERT INTO mappings (connection_id, list_id, mode, created_at) SELECT connection_id, 7, mode, 0 FROM"
        await db.execute(text(f"{other} mappings"))
        statement = _FILL.format(numbers=_NUMBERS[dialect], true=true, false=false)
        await db.execute(text(statement), {"runs": RUNS, "like": run_id})
    if not database.is_sqlite:  # it has no statistics unless a person asks for them
        async with database.write() as db:
            await db.execute(text("ANALYZE"))
    return mapping.id


async def add_many(database: Database) -> None:
    """Store many lists, which no process holds, and mappings, none live."""
    await add_mapping(database)
    dialect = database.engine.dialect.name
    async with database.write() as db:
        for into in (
            "mappings (connection_id, list_id, mode, created_at) {numbers} SELECT connection_id, n + 10000, mode, 0",
            "lists (connection_id, list_id, name, revision) {numbers} SELECT connection_id, n + 10000, 'L', 0",
        ):
            statement = (
                f"INSERT INTO {into.format(numbers=_NUMBERS[dialect])} FROM numbers, (SELECT * FROM mappings LIMIT 1) m"
            )
            await db.execute(text(statement), {"runs": RUNS})
    if not database.is_sqlite:
        async with database.write() as db:
            await db.execute(text("ANALYZE"))


@pytest.fixture
async def explained(database: Database) -> Callable[[Query], Awaitable[str]]:
    """Returns how the database finds what a query of the store asks for."""
    plans: list[str] = []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            how = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
            cursor.execute(f"{how} {statement}", parameters)
            plans.append("\n".join(str(row) for row in cursor.fetchall()))

    async def of(query: Query) -> str:
        plans.clear()
        async with database.read() as db:
            await query(db)
        return "\n".join(plans)

    event.listen(database.engine.sync_engine, "before_cursor_execute", explain)
    return of


async def test_runs_are_found_by_indexes(database: Database, explained: Callable[[Query], Awaitable[str]]) -> None:
    """What workers and Slack ask for every few seconds does not read all runs that there ever were."""
    mapping_id = await fill(database)
    async with database.read() as db:
        now = await clock.now(db)
    asked: dict[str, tuple[str, Query]] = {
        "unfinished of a mapping": ("mapping_id_created_at", lambda db: runs.unfinished(db, mapping_id=mapping_id)),
        "orphaned": ("status", runs.orphaned),
        "latest": ("created_at", lambda db: runs.latest(db, 100)),
        "latest of a mapping": ("mapping_id_created_at", lambda db: runs.latest_of(db, [mapping_id], 20)),
        "expired": ("finished_at", lambda db: runs.expired(db, RUNS + 1.0, RUNS - 1.0, 5)),
        "active": ("status", run_turns.active),
        "a freeze that is over": ("frozen", freezes.any_over),
        "shown lately": ("finished_at", lambda db: runs.unshown(db, ended_after=now - 60)),
        "undone": ("undo_of", lambda db: runs.undo_candidates(db, [1], ended_after=now - 60, limit=100)),
    }
    for name, (index, query) in asked.items():
        plan = await explained(query)
        assert f"runs_{index}_ix" in plan, f"{name}: {plan}"
        assert not re.search(r"SCAN runs(?! USING)|Seq Scan on runs", plan), f"{name}: {plan}"


async def test_rare_rows_are_found_by_indexes(database: Database, explained: Callable[[Query], Awaitable[str]]) -> None:
    """What processes hold, and which mappings are live, is not looked for among all lists and mappings."""
    await add_many(database)
    asked: dict[str, Query] = {
        "lists_held_by_worker": workers.survey,
        "mappings_live": lambda db: live_work.pending(db, 2.0, 1_000),
    }
    for index, query in asked.items():
        plan = await explained(query)
        assert f"{index}_ix" in plan, plan
        assert not re.search(r"SCAN (lists|mappings)(?! USING)|Seq Scan on (lists|mappings)", plan), plan
