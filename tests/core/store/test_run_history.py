"""The sizes of lists after the last syncs of mappings."""

from core.models.run import RunStatus
from core.store import run_history, runs
from core.store.database import Database
from core.store.run_history import ListSizes
from tests.core.store.seeds import add_mapping, add_run


async def test_sizes_of_the_last_syncs(database: Database) -> None:
    """Each mapping has the sizes after its last successful syncs, oldest first; other runs and unknown sizes are left
    out."""
    mapping, other = await add_mapping(database), await add_mapping(database, 1, list_id=1002)
    ended = []
    for each, status, size in (
        (mapping, RunStatus.SUCCEEDED, 1),
        (mapping, RunStatus.SUCCEEDED, 2),
        (mapping, RunStatus.FAILED, None),
        (mapping, RunStatus.SUCCEEDED, 3),
        (other, RunStatus.SUCCEEDED, 9),
        (mapping, RunStatus.SUCCEEDED, None),
    ):
        run_id = await add_run(database, each)
        async with database.write() as db:
            await runs.set_status(db, run_id, status)
            if size is not None:
                await runs.set_list_size(db, run_id, size)
            run = await runs.by_id(db, run_id)
        assert run is not None
        assert run.finished_at is not None
        ended.append(run.finished_at)
    async with database.read() as db:
        sizes = await run_history.list_sizes(db, [mapping.id, other.id, 99], 3)
        assert await run_history.list_sizes(db, [], 3) == {}
    assert sizes == {
        mapping.id: ListSizes(ended[5], ((ended[1], 2), (ended[3], 3))),
        other.id: ListSizes(ended[4], ((ended[4], 9),)),
    }
