"""Rows for tests of the store."""

from typing import Any

from core.identity import UserIdField
from core.iterable import DataCenter
from core.models.batch import Phase
from core.models.run import RunRequest
from core.store import connections, lists, mappings, runs
from core.store.batches import Draft
from core.store.database import Database
from core.store.mappings import AudienceMapping

LIST = 1001


def draft(phase: Phase, size: int, members: str = "[]") -> Draft:
    """A batch of a plan."""
    return Draft(phase=phase, sent_size=size, counted_size=size, members=members)


async def add_connection(database: Database, name: str = "shop", **changed: Any) -> int:
    """Store a connection and return its id."""
    values: dict[str, Any] = {
        "api_key": b"encrypted",
        "key_last4": "1234",
        "rate_limit_key": "digest",
        "data_center": DataCenter.US,
        "user_id_field": UserIdField.CUSTOMER_ID,
        "requests_per_second": 5.0,
    }
    async with database.write() as db:
        return await connections.add(db, name=name, **{**values, **changed})


async def add_mapping(
    database: Database, connection_id: int | None = None, *, list_id: int = LIST, audience: str | None = "VIPs"
) -> AudienceMapping:
    """Store a mapping, by default of a new connection, and return it."""
    if connection_id is None:
        connection_id = await add_connection(database)
    async with database.write() as db:
        if await lists.get(db, connection_id, list_id) is None:
            await lists.add(db, connection_id, list_id, "Newsletter", 1_735_689_600_000)
        mapping_id = await mappings.add(
            db, connection_id=connection_id, list_id=list_id, audience_id=None, audience_name=audience
        )
        mapping = await mappings.by_id(db, mapping_id)
    assert mapping is not None
    return mapping


async def add_run(
    database: Database, mapping: AudienceMapping, *, worker: str | None = None, is_live: bool = False
) -> str:
    """Store a run of a mapping and return its id."""
    run_id = runs.new_id()
    async with database.write() as db:
        await runs.add(
            db,
            run_id=run_id,
            mapping=mapping,
            mode="mirror",
            user_id_field="customerId",
            rate=5.0,
            request=RunRequest(path="audience.csv"),
            worker_id=worker,
            is_live=is_live,
        )
    return run_id
