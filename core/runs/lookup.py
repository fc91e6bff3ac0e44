"""Load a run, or say that there is none."""

from core.engine import Engine
from core.errors import InputError
from core.models.run import Run
from core.store import mappings, runs
from core.store.mappings import AudienceMapping


async def load_run(engine: Engine, run_id: str) -> tuple[Run, AudienceMapping]:
    async with engine.database.read() as db:
        run = await runs.by_id(db, run_id)
        mapping = await mappings.by_id(db, run.mapping_id) if run is not None else None
    if run is None or mapping is None:
        raise InputError(f'There is no run "{run_id}".')
    return run, mapping
