"""A process that writes the run log is killed at any point: each run is in the log once."""

import shutil
from pathlib import Path

import pytest

from core.identity import UserIdField
from core.run_log import export
from core.store import clock, run_log, runs
from tests.core.crashing import job
from tests.core.harness import Sync, person, syncing
from tests.core.run_log.dying import write_and_die
from tests.core.run_log.harness import files, manifests, rows, turn_on

_WRITTEN = ("changes", "rejections", "runs", "manifests", "the record")
_EVENTS = [f"{when} {what}" for what in _WRITTEN for when in ("before", "after")]


async def _due(sync: Sync) -> list[str]:
    async with sync.engine.database.read() as db:
        return await run_log.due(db, await clock.now(db), 10)


@pytest.mark.extended
async def test_killed_at_any_point(tmp_path: Path) -> None:
    """Whatever was written last when the process died, the next one leaves each row once. A run in `runs` is whole."""
    async with syncing(tmp_path) as sync:
        place = await turn_on(sync.engine, tmp_path)
        shutil.rmtree(place)  # so that the run waits
        run = (await sync.mirror([person(1), person(2, email="a@forgotten.test")])).run
        async with sync.engine.database.read() as db:
            log = await run_log.get(db)
        assert log is not None
        died_at = []
        for at in range(1, len(_EVENTS) + 1):
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            writing = job(sync, tmp_path, UserIdField.CUSTOMER_ID, report=tmp_path / "report")
            died_at.append(await write_and_die(writing, at, runs=[run.id]))
            if rows(place, "runs"):
                assert len(rows(place, "changes")) == 2
                assert len(rows(place, "rejections")) == 1
            assert manifests(place) == [] or rows(place, "runs")
            assert await _due(sync) == ([] if died_at[-1] == "after the record" else [run.id])

            async with sync.engine.database.write() as db:
                await run_log.change(db, next_at=0.0)
            await export.write_due(sync.engine)
            assert rows(place, "changes", "member, outcome") == [("1", "accepted"), ("2", "rejected")]
            assert rows(place, "rejections", "member") == [("2",)]
            assert rows(place, "runs", "run_id") == [(run.id,)]
            tables = {f"{table}/{run.id}.parquet" for table in ("changes", "rejections", "runs")}
            assert files(place) == {*tables, f"manifests/{run.id}.json"}
            async with sync.engine.database.write() as db:
                await runs.change(db, run.id, is_log_due=True)
        assert died_at == _EVENTS
