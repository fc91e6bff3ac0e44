"""Decisions of people about mappings and the connection."""

from typing import Any

from core.connections import manage, mapping_lifecycle
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
    """Propose a mapping whose removals need approval."""
    target = IterableList(id=LIST, name="Newsletter", type="Standard", created_at=1_735_689_600_000)
    removals = world.truth.removals.setdefault(SECOND, RemovalPolicy.ASK)
    options: dict[str, Any] = {"mode": "auto", "removals": removals, "channel": None, **FINAL}
    await mapping_lifecycle.propose(world.engine, await world.connection(), target, audience=SECOND, **options)


async def pause_or_resume(world: World, name: str) -> None:
    """Pause a mapping, or resume a paused one."""
    mapping = await world.mapping(name)
    if mapping is not None and mapping.disconnected_at is None:
        if mapping.status is MappingStatus.PAUSED:
            assert await mapping_lifecycle.resume(world.engine, mapping.id, **FINAL)
        else:
            assert await mapping_lifecycle.pause(world.engine, mapping.id, **FINAL) == (
                mapping.status is MappingStatus.ACTIVE
            )


async def set_removals(world: World, name: str, policy: RemovalPolicy) -> None:
    """Set the removal policy of a mapping."""
    mapping = await world.mapping(name)
    if mapping is not None:
        world.truth.set_removals(name, policy)
        async with world.engine.database.write() as db:
            await mappings.change(db, mapping.id, removal_policy=policy)


async def make_active(world: World, name: str) -> None:
    """Make a mapping of files active, whatever was decided before."""
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
    """Change the User ID setting of the connection."""
    (other,) = set(UserIdField) - {world.truth.setting}
    world.truth.setting = other
    await manage.change(world.engine, await world.connection(), user_id_field=other, **FINAL)


async def rotate(world: World) -> None:
    """Replace the API key with another of the same project, and then revoke the old one."""
    old, world.key = world.key, world.new_key()
    await manage.replace_key(world.engine, await world.connection(), world.key, by=BY)
    world.revoke(old)


async def rotate_late(world: World) -> None:
    """Replace the API key after the old one was revoked and a run was refused with it."""
    old, world.key = world.key, world.new_key()
    world.revoke(old)
    mapping = await world.mapping(FIRST)
    if mapping is not None and mapping.status is MappingStatus.ACTIVE:
        file = runs.write(world, FIRST, SyncMode.ADD, Shape.TABLE, set())
        request = RunRequest(path=str(file.path), audience=FIRST, mode=SyncMode.ADD, approved=True)
        run_id = await commands.start(world.engine, mapping, request, channel=None, **FINAL)
        await runs.carry_out(world, run_id)
        run = await world.run(run_id)
        assert run.status is RunStatus.SUCCEEDED or run.error_code == InvalidApiKeyError.code or run.plan is None
        assert not run.requests or run.status is not RunStatus.SUCCEEDED
    await manage.replace_key(world.engine, await world.connection(), world.key, by=BY)
