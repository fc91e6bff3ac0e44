"""Lookup of runs that must exist."""

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.errors import NotFoundError
from core.models.run import Run
from core.store import mappings, runs
from core.store.mappings import AudienceMapping

# An error shows so many characters of an id, because people may type any text.
_SHOWN_LENGTH = 40


async def require(db: AsyncConnection, run_id: str) -> Run:
    """Return a run, read in this transaction. Raises NotFoundError if there is none."""
    run = await runs.by_id(db, run_id)
    if run is None:
        raise NotFoundError(f'There is no run "{run_id[:_SHOWN_LENGTH]}".', run_id=run_id)
    return run


async def require_run(engine: Engine, run_id: str) -> Run:
    """Return the current state of a run. Raises NotFoundError if there is none."""
    async with engine.database.read() as db:
        return await require(db, run_id)


async def require_run_with_mapping(engine: Engine, run_id: str) -> tuple[Run, AudienceMapping]:
    """Return the current state of a run, and its mapping. Raises NotFoundError if there is no such run."""
    async with engine.database.read() as db:
        run = await require(db, run_id)
        mapping = await mappings.by_id(db, run.mapping_id)
    assert mapping is not None  # runs are deleted with their mapping
    return run, mapping
