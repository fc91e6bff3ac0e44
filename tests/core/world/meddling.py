"""Actions of people and mParticle during a run, by the name of the event."""

from collections.abc import Mapping

from tests.core.world import decisions, mparticle, runs
from tests.core.world.people import PEOPLE
from tests.core.world.process import Meddler, World


async def _cancel(world: World, run_id: str, _number: int) -> None:
    await runs.cancel(world, run_id)


async def _message(world: World, _run_id: str, _number: int) -> None:
    await mparticle.send_changes(world, {1, 2}, {3})


async def _rotate(world: World, _run_id: str, _number: int) -> None:
    await decisions.rotate(world)


async def _erase(world: World, _run_id: str, number: int) -> None:
    await mparticle.erase(world, PEOPLE[number % len(PEOPLE)], "mpid")


async def _setting(world: World, _run_id: str, _number: int) -> None:
    await decisions.change_setting(world)


async def _pause(world: World, run_id: str, _number: int) -> None:
    await decisions.pause_or_resume(world, (await world.run(run_id)).audience or "")


MEDDLERS: Mapping[str, Meddler] = {
    "cancel": _cancel,
    "message": _message,
    "rotate": _rotate,
    "erase": _erase,
    "setting": _setting,
    "pause": _pause,
}
