"""A real file system is full: the error says so, and the run succeeds once there is room."""

import contextlib
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr

from core.engine import open_engine
from core.errors import SettingsError
from core.runs import list_people, worker
from core.settings import Settings
from core.store import runs
from tests.core.harness import QUICK, RunStatus, Sync, people, syncing
from tests.core.storage import fill, small_disk

MEGABYTE = 1_000_000
#: Five megabytes. A table of two of its columns has room next to it.
AUDIENCE = b"mpid,email,note\n" + (b"1,p1@example.com," + b"-" * 80 + b"\n") * 50_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB."""
    with small_disk(tmp_path / "data", 12) as mounted:
        yield mounted


@pytest.fixture
async def sync(tmp_path: Path, disk: Path) -> AsyncIterator[Sync]:
    """An engine whose data directory is that file system."""
    async with syncing(tmp_path, retry_policy=QUICK) as opened:
        yield opened


def files_in(directory: Path) -> list[Path]:
    """The entries of a directory."""
    return sorted(directory.iterdir())


async def fail(sync: Sync, run_id: str) -> str:
    """Execute a run that can't succeed, and check that it leaves no files. Returns its error."""
    message = ""
    try:
        await worker.start(sync.engine, run_id)
    except SettingsError as error:  # not even the failure could be recorded
        message = error.message
    run = (await sync.outcome(run_id)).run
    assert run.status is not RunStatus.SUCCEEDED
    for kind in ("work", "fetched"):
        assert not list((sync.engine.settings.data_dir / kind).glob("*"))
    return run.error or message


@pytest.mark.extended
@pytest.mark.parametrize("room", [0, 40_000, 200_000])
async def test_no_room_for_the_database(sync: Sync, disk: Path, room: int) -> None:
    """A run without room for SQLite's log fails, says how to free space, and sends nothing that is not recorded."""
    await sync.mirror(people(range(5)))
    run_id = await sync.submit(sync.mirror_file(people(range(2, 9_000))))
    filler = fill(disk, but=room)
    assert "Free some space" in await fail(sync, run_id)
    filler.unlink()
    assert (await sync.mirror(people(range(2, 60)), approved=True)).run.status is RunStatus.SUCCEEDED
    assert sync.emails() == {f"p{n}@example.com" for n in range(2, 60)}


@pytest.mark.extended
async def test_no_room_for_planning(sync: Sync, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run without room for temporary files fails with a clear error, and has sent nothing."""
    monkeypatch.setattr(list_people, "MEMORY_MB", (32,))
    run_id = await sync.submit(sync.mirror_file(people(range(150_000))))
    filler = fill(disk, but=MEGABYTE)
    # which of them meets the full disk first depends on the time that each takes: reading, planning, or the database
    sentence = await fail(sync, run_id)
    assert any(each in sentence for each in ("no room to read", "Planning needs more room", "The disk is full"))
    filler.unlink()
    assert sync.emails() == set()
    assert (await sync.mirror(people(range(10)))).run.status is RunStatus.SUCCEEDED


@pytest.mark.extended
async def test_no_room_for_comparing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run with room to read the audience, but not to compare it with the ledger, fails with a clear error."""
    with small_disk(tmp_path / "data", 80) as disk:
        async with syncing(tmp_path, retry_policy=QUICK) as sync:
            await sync.mirror(people(range(100_000)))
            monkeypatch.setattr(list_people, "MEMORY_MB", (32,))
            run_id = await sync.submit(sync.mirror_file(people(range(10))), approved=True)
            filler = fill(disk, but=MEGABYTE)
            assert "Planning needs more room" in await fail(sync, run_id)
            filler.unlink()
            assert len(sync.emails()) == 100_000
            assert await worker.resume(sync.engine, run_id) is RunStatus.SUCCEEDED
            assert len(sync.emails()) == 10


@pytest.mark.extended
async def test_no_room_for_an_archive(sync: Sync, disk: Path) -> None:
    """A run without room to unpack a ZIP file fails with a clear error, and removes what it unpacked."""
    path = sync.directory / "audience.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("audience.csv", AUDIENCE)
    run_id = await sync.submit(path)
    filler = fill(disk, but=2 * MEGABYTE)
    assert "no room to read the audience" in await fail(sync, run_id)
    filler.unlink()
    status = await worker.resume(sync.engine, run_id)
    assert status is RunStatus.SUCCEEDED, (await sync.outcome(run_id)).run.error
    assert sync.emails() == {"p1@example.com"}


async def test_no_room_for_a_fetched_file(sync: Sync, disk: Path) -> None:
    """A run without room for a file from the web fails with a clear error, and removes the partial file."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=AUDIENCE)

    app = web.Application()
    app.router.add_get("/audience.csv", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        address = f"http://127.0.0.1:{runner.addresses[0][1]}/audience.csv"
        run_id = await sync.submit(Path("unused"))
        async with sync.engine.database.write() as db:
            request = (await sync.outcome(run_id)).run.request.model_copy(update={"path": address})
            await runs.change(db, run_id, request=request.model_dump_json())
        filler = fill(disk, but=2 * MEGABYTE)
        assert "disk is full" in await fail(sync, run_id)
        filler.unlink()
        assert await worker.resume(sync.engine, run_id) is RunStatus.SUCCEEDED
        assert sync.emails() == {"p1@example.com"}
    finally:
        await runner.cleanup()


async def test_no_room_for_the_secret_key(disk: Path) -> None:
    """A first start without room for the secret key fails, and leaves no file that a later start takes for a key."""
    settings = Settings(data_dir=disk, _env_file=None)  # type: ignore[call-arg]
    filler = fill(disk)
    with pytest.raises(SettingsError, match="The disk is full"):
        async with open_engine(settings, "test"):
            pass
    assert {file.name for file in files_in(disk)} == {filler.name, "iterable-sync.sqlite"}
    filler.unlink()
    async with open_engine(settings, "test") as engine:
        assert engine.vault.decrypt(engine.vault.encrypt("a key")) == "a key"


async def test_no_room_for_a_new_database(disk: Path) -> None:
    """A first start without room for the tables fails, and says to free some space."""
    key = SecretStr("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
    settings = Settings(data_dir=disk, secret_key=key, _env_file=None)  # type: ignore[call-arg]
    filler = fill(disk, but=20_000)
    with pytest.raises(SettingsError, match="Free some space"):
        async with open_engine(settings, "test"):
            pass
    filler.unlink()
    async with open_engine(settings, "test"):
        pass


async def test_no_room_while_stopping(tmp_path: Path, disk: Path) -> None:
    """A program that could not record its end counts as ended at the next start."""
    settings = Settings(data_dir=disk, _env_file=None)  # type: ignore[call-arg]
    with contextlib.suppress(Exception):
        async with open_engine(settings, "first"):
            filler = fill(disk)
    filler.unlink()
    async with open_engine(settings, "second") as engine:
        await engine.presence.reap_dead_workers()
        async with engine.database.read() as db:
            assert (await db.exec_driver_sql("SELECT count(*) FROM workers")).scalar_one() == 1
