"""The supervisor of long-running services: if one ends, all are stopped, and the failure is raised."""

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
    """What parts know of the engine."""

    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def engine(self) -> Engine:
        """As the engine."""
        return cast(Engine, self)


async def test_parts_end_with_the_block() -> None:
    """At the end of the block the parts are asked to stop, and waited for."""
    here, ended = Stoppable(), []

    async def part() -> None:
        await here.stopping.wait()
        ended.append("part")

    async with supervise(here.engine, part=part):
        assert not ended

    assert ended == ["part"]


async def test_a_part_that_fails_stops_the_others_cleanly() -> None:
    """Others end what is under way before the failure is raised, which names the part and not the error's words."""
    here, ended = Stoppable(), []

    async def careful() -> None:
        await here.stopping.wait()
        await asyncio.sleep(0.01)
        ended.append("careful")

    async def broken() -> None:
        raise ValueError("ada@example.com")

    with pytest.raises(ServiceFailedError, match=r"The follower stopped unexpectedly \(ValueError\)") as caught:
        async with supervise(here.engine, careful=careful, follower=broken):
            await here.stopping.wait()

    assert ended == ["careful"]
    assert isinstance(caught.value.__cause__, ValueError)


async def test_a_part_that_returns_too_early() -> None:
    """A part that ends without being asked is a failure, too."""
    here = Stoppable()

    async def short() -> None:
        return

    with pytest.raises(ServiceFailedError, match="The worker stopped unexpectedly, so everything was stopped"):
        async with supervise(here.engine, worker=short):
            await asyncio.Event().wait()


async def test_a_part_with_a_sentence_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person can mend is said as it is, also where another part does not stop."""
    monkeypatch.setattr(module, "GRACE_S", 0.01)
    here = Stoppable()

    async def refused() -> None:
        raise SettingsError("SLACK_BOT_TOKEN was revoked.")

    async def stubborn() -> None:
        await asyncio.Event().wait()

    with pytest.raises(SettingsError, match="was revoked"):
        async with supervise(here.engine, slack=refused, stubborn=stubborn):
            await here.stopping.wait()


async def test_an_error_of_the_block() -> None:
    """An error of the block is raised as it is."""
    here = Stoppable()

    async def part() -> None:
        await here.stopping.wait()

    with pytest.raises(KeyError):
        async with supervise(here.engine, part=part):
            raise KeyError


async def test_the_first_of_several_ends_the_others() -> None:
    """The first that ends is enough; the others are cancelled and have ended before it returns."""
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
    """If the first that ends has failed, its error is raised."""

    async def fails() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await first_of(fails(), asyncio.Event().wait())
