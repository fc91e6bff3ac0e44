"""What people decide about mappings and the connection, beside runs."""

from typing import Any

from core import mapping_lifecycle
from core.connections import manage
from core.identity import UserIdField
from core.iterable import InvalidApiKeyError, IterableList
from core.models.run import RunRequest, RunStatus, SyncMode
from core.runs import commands
from core.store import mappings
from core.store.mappings import MappingStatus, RemovalPolicy
from tests.core.harness import LIST
from tests.core.world import runs
from tests.core.world.people import FIRST, SECOND
from tests.core.world.process import World
from tests.core.world.sources import Shape

BY = "U1"
FINAL: dict[str, Any] = {"by": BY, "team_id": None}


async def propose_second(world: World) -> None:
    """Propose a mapping whose removals are to be approved."""
    target = IterableList(id=LIST, name="Newsletter", type="Standard", created_at=1_735_689_600_000)
    removals = world.truth.removals.setdefault(SECOND, RemovalPolicy.ASK)
    options: dict[str, Any] = {"mode": "auto", "removals": removals, "channel": None, **FINAL}
    await mapping_lifecycle.propose(world.engine, await world.connection(), target, audience=SECOND, **options)


async def pause_or_resume(world: World, name: str) -> None:
    """Somebody pauses a mapping, or resumes one that is paused."""
    mapping = await world.mapping(name)
    if mapping is not None and mapping.disconnected_at is None:
        if mapping.status is MappingStatus.PAUSED:
            assert await mapping_lifecycle.resume(world.engine, mapping.id, **FINAL)
        else:
            assert await mapping_lifecycle.pause(world.engine, mapping.id, **FINAL) == (
                mapping.status is MappingStatus.ACTIVE
            )


async def set_removals(world: World, name: str, removals: RemovalPolicy) -> None:
    """Somebody says what becomes of those who leave an audience."""
    mapping = await world.mapping(name)
    if mapping is not None:
        world.truth.set_removals(name, removals)
        async with world.engine.database.write() as db:
            await mappings.change(db, mapping.id, removal_policy=removals)


async def make_active(world: World, name: str) -> None:
    """Whatever somebody has decided about a mapping of files: it is to be synced."""
    mapping = await world.mapping(name)
    if mapping is None:
        return
    if mapping.status is MappingStatus.DECLINED:
        await propose_second(world)
    if mapping.status is MappingStatus.PAUSED:
        assert await mapping_lifecycle.resume(world.engine, mapping.id, **FINAL)
    elif mapping.status is not MappingStatus.ACTIVE:
        await mapping_lifecycle.decide_proposal(world.engine, mapping.id, MappingStatus.ACTIVE, comment=None, **FINAL)


async def change_setting(world: World) -> None:
    """Somebody changes the User ID setting of the connection."""
    (other,) = set(UserIdField) - {world.truth.setting}
    world.truth.setting = other
    await manage.change(world.engine, await world.connection(), user_id_field=other, **FINAL)


async def rotate(world: World) -> None:
    """Somebody replaces the API key by another of the same project, and then the old one is revoked."""
    old, world.key = world.key, world.new_key()
    await manage.replace_key(world.engine, await world.connection(), world.key, by=BY)
    world.revoke(old)


async def rotate_late(world: World) -> None:
    """Somebody replaces the API key after the old one was revoked, and a run has found that out."""
    old, world.key = world.key, world.new_key()
    world.revoke(old)
    mapping = await world.mapping(FIRST)
    if mapping is not None and mapping.status is MappingStatus.ACTIVE:
        file = runs.write(world, FIRST, SyncMode.ADD, Shape.TABLE, set())
        request = RunRequest(path=str(file.path), audience=FIRST, mode=SyncMode.ADD, approved=True)
        run_id = await commands.start(world.engine, mapping, request, channel=None, **FINAL)
        await runs.carry_out(world, run_id)
        this = await world.run(run_id)
        assert this.status is RunStatus.SUCCEEDED or this.error_code == InvalidApiKeyError.code or this.plan is None
        assert not this.requests or this.status is not RunStatus.SUCCEEDED
    await manage.replace_key(world.engine, await world.connection(), world.key, by=BY)
