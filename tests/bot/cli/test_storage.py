"""The database fails under `serve`: Slack gets its acknowledgements, mParticle is asked to retry, and work resumes
later."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from bot.serve import serving
from core import lease
from core.engine import Engine, open_engine
from core.errors import StorageError
from core.live import worker as live_working
from core.runs import worker
from core.store import database as database_module
from core.store import live_mappings as store
from sandbox.iterable import Running
from sandbox.iterable import running as iterable_running
from sandbox.mparticle import MParticle, RefusedError
from sandbox.slack import Slack
from tests.bot.slack.harness import BRISK, local_slack, settings_for
from tests.core.databases import furnish, sampled
from tests.core.harness import QUICK, until
from tests.core.storage import disk_of, lock_of, read_only
from tests.firehosing import LIST, TOKEN, VIPS, person


@dataclass
class Serving:
    """The bot, with a local Slack, Iterable and mParticle, and its database."""

    engine: Engine
    slack: Slack
    iterable: Running
    mparticle: MParticle

    @property
    def file(self) -> Path:
        return self.engine.settings.data_dir / "iterable-sync.sqlite"

    async def wait_for_upload(self) -> None:
        """Wait until all changes are uploaded to the list."""

        async def is_uploaded() -> bool:
            async with self.engine.database.read() as db:
                (mapping,) = await store.everyone(db)
                status = await store.status(db, mapping.id, time.time())
                return not status.backlog and not await store.unended(db, mapping.id)

        await until(is_uploaded)

    def emails(self) -> set[str]:
        return {email or "" for email, _ in self.iterable.state.members(LIST)}


@contextlib.asynccontextmanager
async def serve(directory: Path) -> AsyncIterator[Serving]:
    """Run everything that `serve` runs, with a local Slack, a local Iterable and a local mParticle."""
    async with contextlib.AsyncExitStack() as stack:
        iterable = await stack.enter_async_context(iterable_running(bulk_per_second=0))
        slack = await stack.enter_async_context(local_slack())
        more: dict[str, Any] = {
            "firehose_token": SecretStr(TOKEN),
            "firehose_approval": "none",
            "firehose_gather_s": 0.02,
            "firehose_merge_window_s": 0.0,
        }
        settings = settings_for(slack, iterable, directory, **more)
        furnish(settings)
        engine = await stack.enter_async_context(open_engine(settings, "test", retry_policy=QUICK))
        services = await stack.enter_async_context(serving(engine, pace=BRISK))
        await slack.wait_connected()
        address = f"{services.address}/mparticle/firehose/{TOKEN}"
        account = {"apiKey": iterable.key, "userIdField": "customerId"}
        mparticle = await stack.enter_async_context(MParticle(address, settings=account, attempts=1))
        yield Serving(engine, slack, iterable, mparticle)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten all waits."""
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.1)
    monkeypatch.setattr(worker, "POLL_INTERVAL_S", 0.05)
    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(live_working, "RETRY_S", 0.05)


@contextlib.asynccontextmanager
async def break_database(bot: Serving, how: str) -> AsyncIterator[None]:
    """Make the database unwritable for the length of the block."""
    if how == "locked":
        async with lock_of(bot.engine.database) as lock:
            lock.begin()
            yield
    elif how == "read-only":
        async with read_only(bot.engine.database):
            yield
    else:
        async with disk_of(bot.engine.database, 0):
            yield


@pytest.mark.parametrize("how", sampled(["locked", "read-only", "full"], 3))
async def test_database_that_can_not_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str) -> None:
    """While the database is unwritable, mParticle retries, Slack gets acknowledgements, and no part stops."""
    caplog.set_level(logging.WARNING)
    async with serve(tmp_path) as bot:
        await bot.mparticle.add(VIPS, person(1))
        await bot.wait_for_upload()
        many = [person(number) for number in range(2, 400)]
        async with break_database(bot, how):

            async def is_refused() -> bool:
                try:
                    await bot.mparticle.add(VIPS, *many)
                except RefusedError as refused:
                    return "503" in str(refused)
                return False

            await until(is_refused)
            assert (await bot.slack.marketer.command("/iterable-sync help")).ok
            assert (await bot.slack.marketer.command("/iterable-sync status")).ok

            async def could_not_beat() -> bool:
                return how == "full" or any("record the heartbeat" in each.getMessage() for each in caplog.records)

            await until(could_not_beat)
            assert not bot.engine.stopping.is_set()
        await bot.mparticle.add(VIPS, *many)
        await bot.wait_for_upload()
        assert bot.emails() == {f"p{number}@example.com" for number in range(1, 400)}


@pytest.mark.extended
async def test_many_messages_while_the_database_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages that wait together for a lock are refused together, not one wait after the other."""
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 1.0)  # thirty waits take longer than a busy machine needs
    async with serve(tmp_path) as bot:
        await bot.mparticle.add(VIPS, person(0))
        await bot.wait_for_upload()
        async with break_database(bot, "locked"):
            began = time.monotonic()
            sends = [bot.mparticle.add(VIPS, person(number)) for number in range(1, 31)]
            answers = await asyncio.gather(*sends, return_exceptions=True)
            duration_s = time.monotonic() - began
        refused = [answer for answer in answers if isinstance(answer, RefusedError)]
        assert len(refused) >= 29  # one may have been faster than the lock
        assert duration_s < 30 * database_module.BUSY_TIMEOUT_S


@pytest.mark.extended
@pytest.mark.parametrize("replaced", sampled([False, True]))
async def test_database_is_deleted(tmp_path: Path, replaced: bool) -> None:
    """If the database file is removed or replaced, `serve` stops with a sentence and takes no more changes."""
    with pytest.raises(StorageError, match="removed or replaced"):  # noqa: PT012  # raised at the end
        async with serve(tmp_path) as bot:
            await bot.mparticle.add(VIPS, person(1))
            await bot.wait_for_upload()
            kept = bot.file.with_suffix(".kept")
            bot.file.rename(kept)
            if replaced:
                bot.file.write_bytes(kept.read_bytes())
            with pytest.raises((RefusedError, aiohttp.ClientError)):  # it may have stopped listening
                await bot.mparticle.add(VIPS, person(2))
            async with asyncio.timeout(60):
                await bot.engine.stopping.wait()
            kept.rename(bot.file)
