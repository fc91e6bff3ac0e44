"""What walks of the state machine have found, each in the fewest steps that show it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core import execution
from core.identity import UserIdField
from core.plan import batches
from tests.core.world import checks, decisions, mparticle
from tests.core.world.faults import Trouble
from tests.core.world.meddling import MEDDLERS
from tests.core.world.people import PEOPLE
from tests.core.world.process import World
from tests.core.world.storage import Postgresql, Sqlite


@pytest.fixture(params=["sqlite", "postgresql"])
async def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A world as the state machine has it, with the User ID setting customerId and runs in hand."""
    monkeypatch.setattr(batches, "BATCH_SIZE", 2)
    monkeypatch.setattr(execution, "LOOK_AGAIN_S", 0.02)
    if request.param == "sqlite":
        opened = World(tmp_path, Sqlite(tmp_path / "database"), UserIdField.CUSTOMER_ID, MEDDLERS)
    else:
        server = request.getfixturevalue("postgresql_server")
        opened = World(tmp_path, Postgresql(server), UserIdField.CUSTOMER_ID, MEDDLERS)
    await opened.open()
    await decisions.propose_second(opened)
    yield opened
    await opened.close()


async def test_members_in_hand_when_their_audience_is_emptied(world: World) -> None:
    """Whom a run has in hand that stopped, when a person says that all are to be taken off, is not put on after that."""
    await mparticle.tell(world, set(PEOPLE), set())
    await mparticle.carry(world, Trouble(what="stop", nth=1))
    await mparticle.subscribe(world, "remove")
    await mparticle.decide(world, "remove")
    await checks.settle(world)
