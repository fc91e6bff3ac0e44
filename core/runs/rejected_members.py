"""Rejected members of a run, as the source of another run."""

import csv
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.identity import RejectionReason
from core.runs.lookup import require_run
from core.store import ledger, rejections
from core.store.rejections import Rejection

#: The scheme of an audience's address that means the rejected members of a run: `rejected:<run id>`.
REJECTED_SCHEME = "rejected"
# How many rejected members are looked up in the ledger at once.
REJECTED_AT_ONCE = 1_000


async def write_rejected(engine: Engine, address: str, directory: Path) -> Path:
    """Write the rejected members of a run to a CSV file, and return its path: the fetcher for `rejected:<run id>`.

    Members that were synced since are left out, because their rejected identity would replace the current one. Raises
    NotFoundError if there is no such run.
    """
    run_id = address.removeprefix(f"{REJECTED_SCHEME}:")
    path = directory / f"rejected-{run_id}.csv"
    run = await require_run(engine, run_id)
    async with engine.database.read_rows() as db, engine.database.read() as lookup_db:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("mpid", "email", "customer_id"))
            chunk: list[Rejection] = []
            async for rejection in rejections.of_run(db, run_id):
                # hashes are not stored, and without its email a member would become another subscriber
                if rejection.member_key is not None and rejection.reason != RejectionReason.HASHED_IDENTITY:
                    chunk.append(rejection)
                if len(chunk) == REJECTED_AT_ONCE:
                    await _write_rows(writer, lookup_db, run.mapping_id, chunk)
                    chunk = []
            await _write_rows(writer, lookup_db, run.mapping_id, chunk)
    return path


def rejected_in(address: str) -> str | None:
    """Return the run whose rejected members an address means, or None if it is another kind of address."""
    scheme, _, run_id = address.partition(":")
    return run_id if scheme == REJECTED_SCHEME else None


async def _write_rows(writer: Any, db: AsyncConnection, mapping_id: int, rejected: list[Rejection]) -> None:
    keyed = [(rejection.member_key, rejection) for rejection in rejected if rejection.member_key is not None]
    known = await ledger.by_profile(db, mapping_id, [member_key for member_key, _ in keyed])
    synced = {member_key for _, member_key, _, _, certain in known if certain}
    for member_key, rejection in keyed:
        if member_key not in synced:
            mpid = "" if ":" in member_key else member_key
            writer.writerow((mpid, rejection.email or "", rejection.customer_id or ""))
