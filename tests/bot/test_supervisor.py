"""Parts that run at the same time: if one ends, all end, and the failure is reported."""

import asyncio
from dataclasses import dataclass, field
from typing import cast

import pytest

from bot import supervisor as module
from bot.supervisor import ServiceFailedError, first_of, supervise
from core.engine import Engine
from core.errors import SettingsError


@dataclass
class Stoppable:
    """The part of the engine that the supervisor needs."""

    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def engine(self) -> Engine:
        """Return this object as an engine."""
        return cast(Engine, self)


async def test_parts_end_with_the_block() -> None:
    """At the end of the block the supervisor stops the parts and waits for them."""
    stoppable, ended = Stoppable(), []

    async def part() -> None:
        await stoppable.stopping.wait()
        ended.append("part")

    async with supervise(stoppable.engine, part=part):
        assert not ended

    assert ended == ["part"]


async def test_failed_part_stops_the_others_cleanly() -> None:
    """The other parts finish their work before the failure is raised, which names the part without the error's
    message."""
    stoppable, ended = Stoppable(), []

    async def careful() -> None:
        await stoppable.stopping.wait()
        await asyncio.sleep(0.01)
        ended.append("careful")

    async def broken() -> None:
        raise ValueError("ada@example.com")

    with pytest.raises(ServiceFailedError, match=r"The follower stopped unexpectedly \(ValueError\)") as caught:
        async with supervise(stoppable.engine, careful=careful, follower=broken):
            await stoppable.stopping.wait()

    assert ended == ["careful"]
    assert isinstance(caught.value.__cause__, ValueError)


async def test_part_that_returns_too_early() -> None:
    """A part that ends although nothing stopped it is a failure."""
    stoppable = Stoppable()

    async def short() -> None:
        return

    with pytest.raises(ServiceFailedError, match="The worker stopped unexpectedly, so everything was stopped"):
        async with supervise(stoppable.engine, worker=short):
            await asyncio.Event().wait()


async def test_known_error_is_raised_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the project is raised as it is, even if another part does not stop."""
    monkeypatch.setattr(module, "GRACE_S", 0.01)
    stoppable = Stoppable()

    async def refused() -> None:
        raise SettingsError("SLACK_BOT_TOKEN was revoked.")

    async def stubborn() -> None:
        await asyncio.Event().wait()

    with pytest.raises(SettingsError, match="was revoked"):
        async with supervise(stoppable.engine, slack=refused, stubborn=stubborn):
            await stoppable.stopping.wait()


async def test_error_of_the_block() -> None:
    """An error of the block is raised as it is."""
    stoppable = Stoppable()

    async def part() -> None:
        await stoppable.stopping.wait()

    with pytest.raises(KeyError):
        async with supervise(stoppable.engine, part=part):
            raise KeyError


async def test_the_first_of_several_ends_the_others() -> None:
    """The first coroutine that ends cancels the others, and the call returns after they have ended."""
    cancelled = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append("waits")

    ended = asyncio.Event()
    ended.set()
    await first_of(waits(), ended.wait())

    assert cancelled == ["waits"]


async def test_the_error_of_the_first_is_raised() -> None:
    """If the first coroutine that ends has failed, its error is raised."""

    async def fails() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await first_of(fails(), asyncio.Event().wait())
