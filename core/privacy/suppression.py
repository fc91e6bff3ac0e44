"""Suppression of members that Iterable rejects permanently, across runs."""

from core.engine import Engine
from core.iterable import FailureReason
from core.models.run import Run
from core.store import rejections, suppressions
from core.store.rejections import Rejection

# How many members are written in one transaction.
CHUNK_SIZE = 1_000


async def suppress_rejected(engine: Engine, run: Run) -> None:
    """Suppress the members that Iterable rejected permanently in a run: later runs do not send the same identities."""
    for chunk in await _rejected_permanently(engine, run.id):
        async with engine.database.write() as db:
            await suppressions.add(db, engine.vault, run.connection_id, chunk)


async def lift_suppression(engine: Engine, run: Run, rejected_by: str) -> None:
    """Lift the suppression of the members that a run rejected, so that the next run retries them."""
    for chunk in await _rejected_permanently(engine, rejected_by):
        async with engine.database.write() as db:
            await suppressions.remove(db, engine.vault, run.connection_id, chunk)


async def _rejected_permanently(engine: Engine, run_id: str) -> list[list[Rejection]]:
    """Return the rejections of a run for forgotten people, which are permanent, in chunks."""
    async with engine.database.read_rows() as db:
        rejected = [rejection async for rejection in rejections.of_run(db, run_id, FailureReason.FORGOTTEN)]
    return [rejected[start : start + CHUNK_SIZE] for start in range(0, len(rejected), CHUNK_SIZE)]
