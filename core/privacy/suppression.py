"""Members whom Iterable refuses for good, remembered across runs."""

from core.engine import Engine
from core.iterable import FailureReason
from core.models.run import Run
from core.store import rejections, suppressions
from core.store.rejections import Rejection

# Members refused for good that are remembered in one transaction.
BARRED_A_WRITE = 1_000


async def suppress_rejected(engine: Engine, this: Run) -> None:
    """Remember whom Iterable refuses for good: the next run does not send them again as they are."""
    for some in await _refused_for_good(engine, this.id):
        async with engine.database.write() as db:
            await suppressions.add(db, engine.vault, this.connection_id, some)


async def lift_suppression(engine: Engine, this: Run, rejected_by: str) -> None:
    """Whoever was rejected by a run is tried again: a person has asked for that."""
    for some in await _refused_for_good(engine, rejected_by):
        async with engine.database.write() as db:
            await suppressions.remove(db, engine.vault, this.connection_id, some)


async def _refused_for_good(engine: Engine, run_id: str) -> list[list[Rejection]]:
    """Whom Iterable refused in a run as people who were forgotten, which is final; in pieces."""
    async with engine.database.read() as db:
        found = [each async for each in rejections.of_run(db, run_id, FailureReason.FORGOTTEN)]
    return [found[begin : begin + BARRED_A_WRITE] for begin in range(0, len(found), BARRED_A_WRITE)]
