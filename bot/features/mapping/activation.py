"""Pausing and resuming mappings."""

from bot.features.mapping import views
from bot.features.mapping_lookup import MappingRef, by_id, require_start
from bot.services import Services
from bot.slack.actor import Actor
from bot.ui.blocks import Message
from core import mapping_lifecycle
from core.errors import InputError


async def pause(services: Services, actor: Actor, it: MappingRef) -> Message:
    """Pause a mapping. Raises InputError where the person may not."""
    require_start(it.connection, actor.person, "pause its mappings")
    done = await mapping_lifecycle.pause(services.engine, it.mapping.id, by=actor.person, team_id=actor.team_id)
    return await _answer(services, actor, it, done, "paused")


async def resume(services: Services, actor: Actor, it: MappingRef) -> Message:
    """Resume a paused mapping. Raises InputError where the person may not."""
    require_start(it.connection, actor.person, "resume its mappings")
    if it.mapping.disconnected_at is not None:
        raise InputError(
            f"mParticle disconnected {it.mapping.label}, so nothing comes any more. Decide what becomes of its members "
            "(Home page), or connect it again in mParticle."
        )
    done = await mapping_lifecycle.resume(services.engine, it.mapping.id, by=actor.person, team_id=actor.team_id)
    return await _answer(services, actor, it, done, "resumed")


async def _answer(services: Services, actor: Actor, it: MappingRef, done: bool, wanted: str) -> Message:
    now = await by_id(services, actor, it.mapping.id)
    if not done:
        return views.not_moved(now, wanted)
    services.wake()
    return views.moved(now)
