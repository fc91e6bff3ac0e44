"""The members that a run rejected, as the source of another run."""

import csv
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.identity import RejectionReason
from core.runs.lookup import require_run
from core.store import ledger, rejections
from core.store.rejections import Rejection

#: The scheme of the address under which the members that a run rejected are an audience.
REJECTED_SCHEME = "rejected"


# Rejected members that are looked up in the ledger at once.
REJECTED_AT_ONCE = 1_000


async def write_rejected(engine: Engine, address: str, directory: Path) -> Path:
    """Write the members that a run rejected as an audience: the fetcher for `rejected:<run id>`.

    Without those who are on the list by now: as they were when they were rejected, they would be taken off again.
    """
    run_id = address.removeprefix(f"{REJECTED_SCHEME}:")
    path = directory / f"rejected-{run_id}.csv"
    run = await require_run(engine, run_id)
    async with engine.database.read() as db, engine.database.read() as beside:
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("mpid", "email", "customer_id"))
            some: list[Rejection] = []
            async for each in rejections.of_run(db, run_id):
                # of a hash nothing is known here, and without its address a member is another
                if each.member_key is not None and each.reason != RejectionReason.HASHED_IDENTITY:
                    some.append(each)
                if len(some) == REJECTED_AT_ONCE:
                    await _write_rows(rows, beside, run.mapping_id, some)
                    some = []
            await _write_rows(rows, beside, run.mapping_id, some)
    return path


def rejected_in(address: str) -> str | None:
    """The run whose rejected members an address stands for."""
    scheme, _, run_id = address.partition(":")
    return run_id if scheme == REJECTED_SCHEME else None


async def _write_rows(rows: Any, db: AsyncConnection, mapping_id: int, found: list[Rejection]) -> None:
    known = await ledger.by_profile(db, mapping_id, [each.member_key for each in found if each.member_key is not None])
    synced = {profile for _, profile, _, _, certain in known if certain}
    for each in found:
        if each.member_key is not None and each.member_key not in synced:
            rows.writerow(
                (each.member_key if ":" not in each.member_key else "", each.email or "", each.customer_id or "")
            )
