"""Of all processes on a database only one talks to Slack by itself, and it is another one as soon as that one ends."""

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


async def another(stack: AsyncExitStack, directory: Path, database_url: str | None = None) -> Engine:
    """The engine of another process on the same database."""
    settings = Settings(
        data_dir=directory / "data",
        database_url=SecretStr(database_url) if database_url else None,
        _env_file=None,  # type: ignore[call-arg]
    )
    return await stack.enter_async_context(open_engine(settings, "other"))


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[AsyncExitStack]:
    """What is to be closed at the end, while the directory still exists."""
    async with AsyncExitStack() as it:
        yield it


async def is_held(engine: Engine) -> bool:
    """Whether a process has the lease."""
    async with engine.database.read() as db:
        return await LeaderLease(engine).is_held(db)


async def test_one_has_it_until_it_gives_it_back(tmp_path: Path, database_url: str, stack: AsyncExitStack) -> None:
    """The holder keeps the lease, and no other process can take or release it before the holder releases it."""
    one, two = [await another(stack, tmp_path, database_url) for _ in range(2)]
    assert await LeaderLease(one).take()
    assert not await LeaderLease(two).take()
    await LeaderLease(two).give_back()
    assert [await is_held(one), await is_held(two)] == [True, False]
    assert await LeaderLease(one).take()
    await LeaderLease(one).give_back()
    assert [await is_held(one), await is_held(two)] == [False, False]
    assert await LeaderLease(two).take()
    assert not await LeaderLease(one).take()


async def test_it_is_taken_from_who_ended_without_a_word(
    tmp_path: Path, database_url: str, stack: AsyncExitStack
) -> None:
    """The lease of a dead process goes to the first process that takes it."""
    async with AsyncExitStack() as until_it_ends:
        assert await LeaderLease(await another(until_it_ends, tmp_path, database_url)).take()
    one, two = [await another(stack, tmp_path, database_url) for _ in range(2)]
    assert await LeaderLease(one).take()
    assert not await LeaderLease(two).take()


@pytest.mark.parametrize("before", [None, "who ended"])
async def test_one_of_two_who_see_it_free_at_once(
    tmp_path: Path, database_url: str, stack: AsyncExitStack, before: str | None
) -> None:
    """Of two processes that have both seen that its holder is dead, one gets the lease."""
    database = (await another(stack, tmp_path, database_url)).database
    if before is not None:
        async with database.write() as db:
            assert await leases.take(db, NAME, before, instead_of=None)
    taken = []
    for process in ("one", "two"):
        async with database.write() as db:
            taken.append(await leases.take(db, NAME, process, instead_of=before))
    async with database.read() as db:
        assert (taken, await leases.holder(db, NAME)) == ([True, False], "one")


async def test_without_it_nothing_is_said(
    stack: AsyncExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another process has the lease the bot posts nothing, not even if it had the lease a moment ago; then
    it says what there is to say."""
    other = LeaderLease(await another(stack, tmp_path))
    assert await other.take()
    here = await stack.enter_async_context(workspace(tmp_path))
    mapping = await here.mapping(await here.connection())
    await ended(here, await start(here, tmp_path, mapping, people(range(3))))
    follower = MessageReconciler(here.services, message_providers(here.services, MessagingLimits()))

    assert await follower.reconcile_once()
    assert not follower._tasks

    async def believes(_: LeaderLease) -> bool:
        return True

    with monkeypatch.context() as patched:
        patched.setattr(LeaderLease, "take", believes)
        assert not await follower.reconcile_once()
        for task in list(follower._tasks.values()):
            await task

    assert not here.slack.calls("chat.postMessage")
    await other.give_back()
    await here.slack.wait_for_message("marketing", "Synced", timeout=LONG)
    assert len(here.slack.calls("chat.postMessage")) == 1
