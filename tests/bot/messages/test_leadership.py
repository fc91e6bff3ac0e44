"""One process on a database is the leader and posts to Slack; another one takes over when it ends."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.app import message_providers
from bot.messages.leadership import NAME, LeaderLease
from bot.messages.limits import MessagingLimits
from bot.messages.reconciler import MessageReconciler
from core.engine import Engine, open_engine
from core.settings import Settings
from core.store import leases
from tests.bot.slack.following import LONG, ended, start
from tests.bot.slack.harness import workspace
from tests.core.harness import people


async def open_another(stack: AsyncExitStack, directory: Path, database_url: str | None = None) -> Engine:
    """Open the engine of another process on the same database."""
    settings = Settings(
        data_dir=directory / "data",
        database_url=SecretStr(database_url) if database_url else None,
        _env_file=None,  # type: ignore[call-arg]
    )
    return await stack.enter_async_context(open_engine(settings, "other"))


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[AsyncExitStack]:
    """Resources that are closed at the end, while the directory still exists."""
    async with AsyncExitStack() as resources:
        yield resources


async def is_held(engine: Engine) -> bool:
    """Return whether a process holds the lease."""
    async with engine.database.read() as db:
        return await LeaderLease(engine).is_held(db)


async def test_lease_is_held_until_it_is_given_back(tmp_path: Path, database_url: str, stack: AsyncExitStack) -> None:
    """A process keeps the lease until it gives it back, and no other process gets it before."""
    first, second = [await open_another(stack, tmp_path, database_url) for _ in range(2)]
    assert await LeaderLease(first).take()
    assert not await LeaderLease(second).take()
    await LeaderLease(second).give_back()
    assert [await is_held(first), await is_held(second)] == [True, False]
    assert await LeaderLease(first).take()
    await LeaderLease(first).give_back()
    assert [await is_held(first), await is_held(second)] == [False, False]
    assert await LeaderLease(second).take()
    assert not await LeaderLease(first).take()


async def test_lease_of_a_dead_process_is_taken(tmp_path: Path, database_url: str, stack: AsyncExitStack) -> None:
    """The first process that asks gets the lease of a process that no longer exists."""
    async with AsyncExitStack() as dead_process:
        assert await LeaderLease(await open_another(dead_process, tmp_path, database_url)).take()
    first, second = [await open_another(stack, tmp_path, database_url) for _ in range(2)]
    assert await LeaderLease(first).take()
    assert not await LeaderLease(second).take()


@pytest.mark.parametrize("before", [None, "ended"])
async def test_one_of_two_processes_takes_a_free_lease(
    tmp_path: Path, database_url: str, stack: AsyncExitStack, before: str | None
) -> None:
    """If two processes see a free lease at the same time, the faster one gets it."""
    database = (await open_another(stack, tmp_path, database_url)).database
    if before is not None:
        async with database.write() as db:
            assert await leases.take(db, NAME, before, instead_of=None)
    taken = []
    for process in ("one", "two"):
        async with database.write() as db:
            taken.append(await leases.take(db, NAME, process, instead_of=before))
    async with database.read() as db:
        assert (taken, await leases.holder(db, NAME)) == ([True, False], "one")


async def test_only_the_leader_posts(stack: AsyncExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process holds the lease, the bot posts nothing, even if it believes that it holds the lease."""
    other = LeaderLease(await open_another(stack, tmp_path))
    assert await other.take()
    bot = await stack.enter_async_context(workspace(tmp_path))
    mapping = await bot.mapping(await bot.connection())
    await ended(bot, await start(bot, tmp_path, mapping, people(range(3))))
    follower = MessageReconciler(bot.services, message_providers(bot.services, MessagingLimits()))

    assert await follower.reconcile_once()
    assert not follower._tasks

    async def take_without_check(_: LeaderLease) -> bool:
        return True

    with monkeypatch.context() as patch:
        patch.setattr(LeaderLease, "take", take_without_check)
        assert not await follower.reconcile_once()
        for task in list(follower._tasks.values()):
            await task

    assert not bot.slack.calls("chat.postMessage")
    await other.give_back()
    await bot.slack.wait_for_message("marketing", "Synced", timeout=LONG)
    assert len(bot.slack.calls("chat.postMessage")) == 1
