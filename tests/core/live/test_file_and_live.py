"""A file and live changes of one audience: what the file says of a person is as old as that person's row."""

import time
from pathlib import Path

from core.models.run import RunRequest, RunStatus, SyncMode
from core.runs.executor import execute
from core.runs.submission import submit
from core.store import connections, runs
from sandbox.mparticle import Profile
from sandbox.mparticle.downloads import Scanned, write_download
from tests.core.live.test_live import addresses, connection_id, start
from tests.firehosing import LIST, VIPS, Live, firehosing, person

HOUR_MS = 3_600_000


async def synced(service: Live, file: Path) -> str:
    """Sync a file to the list as a whole audience, approved; returns the run's id."""
    async with service.engine.database.read() as db:
        connection = await connections.by_id(db, await connection_id(service))
    assert connection is not None
    asked = RunRequest(path=str(file), mode=SyncMode.MIRROR, approved=True)
    run_id = (await submit(service.engine, connection, LIST, asked)).run_id
    assert await execute(service.engine, run_id) is RunStatus.SUCCEEDED
    return run_id


def download(path: Path, began_ms: int, *scanned: tuple[Profile, float]) -> Path:
    """A download whose profiles were scanned so many hours after the export began."""
    rows = [Scanned(profile, began_ms + int(hours * HOUR_MS)) for profile, hours in scanned]
    return write_download(path, {VIPS: rows}, made_ms=began_ms + 6 * HOUR_MS)


async def test_changes_during_a_long_export(tmp_path: Path) -> None:
    """Who left or joined while a six-hour export ran stays so; what the export saw later than a change counts."""
    async with firehosing(tmp_path) as service:
        began = time.time_ns() // 1_000_000 - 7 * HOUR_MS
        await start(service)
        await service.mparticle.add(VIPS, *map(person, (1, 2, 3, 5)), at=began - HOUR_MS)
        await service.mparticle.delete(VIPS, person(2), at=began + 3 * HOUR_MS)  # after its row was scanned
        await service.mparticle.delete(VIPS, person(3), at=began + 1 * HOUR_MS)  # before its row was scanned
        await service.mparticle.add(
            VIPS, person(4), at=began + 2 * HOUR_MS
        )  # after it would have been scanned, perhaps
        await service.settled()
        rows = ((person(1), 0.0), (person(2), 0.5), (person(3), 5.0), (person(6), 6.0))
        run_id = await synced(service, download(tmp_path / "vips.zip", began, *rows))
        assert service.emails() == addresses(1, 3, 4, 6)  # 5 had joined before the export began, and is absent
        async with service.engine.database.read() as db:
            run = await runs.by_id(db, run_id)
        assert run is not None
        assert (run.counters.missing, run.counters.added, run.counters.removed) == (0, 2, 1)


async def test_manifest_tells_the_oldest(tmp_path: Path) -> None:
    """Absence is as old as the manifest's minimum, also if no row of the file is."""
    async with firehosing(tmp_path) as service:
        began = time.time_ns() // 1_000_000 - 7 * HOUR_MS
        await start(service)
        await service.mparticle.add(VIPS, person(1), person(4), at=began + HOUR_MS)
        await service.settled()
        file = download(tmp_path / "vips.zip", began, (person(1), 6.0), (person(2), 6.0))
        await synced(service, _with_minimum(file, began))
        assert service.emails() == addresses(1, 2, 4)


def _with_minimum(file: Path, minimum: int) -> Path:
    import json
    import zipfile

    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(parts["manifest.json"])
    parts["manifest.json"] = json.dumps({**manifest, "min_timestamp_ms": minimum}).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file
