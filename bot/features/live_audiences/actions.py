"""What people do about live audiences. Each deed returns a sentence (mrkdwn) for the person who did it, and raises
InputError where they may not, or where somebody has decided already."""

import time

from bot.features.live_audiences import views
from bot.features.mapping_lookup import MappingRef, by_id
from bot.features.permissions import why_not_decide
from bot.services import Services
from bot.slack.actor import Actor
from bot.ui.formatting import person, plural
from core import live
from core.errors import InputError
from core.store import audit_log, inbox
from core.store import live_mappings as store
from core.store.mappings import MappingStatus

# Said instead of a name where the audit does not tell who decided.
_SOMEBODY = "Somebody"


class NotAllowedError(InputError):
    """Only an approver may do this. The message is mrkdwn already."""

    code = "not_allowed"


async def drop(services: Services, actor: Actor, mapping_id: int) -> str:
    """Drop the changes that wait for a mapping that nobody has approved, or that is paused."""
    it = await _decidable(services, actor, mapping_id)
    async with services.engine.database.read() as db:
        status = await store.status(db, it.mapping.id, time.time())
    if it.mapping.status is MappingStatus.ACTIVE or not status.waiting:
        raise InputError(views.refused_now(it.mapping))
    dropped = await live.drop_waiting(services.engine, it.mapping.id, by=actor.person, team_id=actor.team_id)
    if dropped is None:  # somebody approved or resumed it at the same moment
        raise InputError(views.refused_now((await _decidable(services, actor, mapping_id)).mapping))
    services.wake()
    return f"{plural(dropped, 'change')} dropped that waited for {it.label}."


async def approve_removals(services: Services, actor: Actor, mapping_id: int) -> str:
    """Let the removals go out that wait now."""
    it = await _decidable(services, actor, mapping_id)
    async with services.engine.database.read() as db:
        waiting = await inbox.removals_that_wait(db, it.mapping.id, it.mapping.approved_until)
    if not waiting:
        raise InputError(f"No removals of {it.mapping.label} wait for approval any more.")
    approved = await live.approve_removals(services.engine, it.mapping.id, by=actor.person, team_id=actor.team_id)
    services.wake()
    return f"{plural(approved, 'removal')} of {it.label} approved. They are on their way to Iterable."


async def keep(services: Services, actor: Actor, mapping_id: int) -> str:
    """Leave the members of a disconnected audience on the list."""
    it = await _decidable(services, actor, mapping_id)
    if not await live.keep_members(services.engine, it.mapping.id, by=actor.person, team_id=actor.team_id):
        raise await _decided_already(services, it)
    services.wake()
    return f"{it.label}: its members stay on the list."


async def remove(services: Services, actor: Actor, mapping_id: int) -> str:
    """Take the members of a disconnected audience off the list."""
    it = await _decidable(services, actor, mapping_id)
    if not await live.remove_members(services.engine, it.mapping.id, by=actor.person, team_id=actor.team_id):
        raise await _decided_already(services, it)
    services.wake()
    return f"{it.label}: its members are taken off the list now. `/iterable-sync status` shows how many are left."


async def _decidable(services: Services, actor: Actor, mapping_id: int) -> MappingRef:
    it = await by_id(services, actor, mapping_id)
    if why := await why_not_decide(services, actor, it.connection):
        raise NotAllowedError(why)
    return it


async def _decided_already(services: Services, it: MappingRef) -> InputError:
    """How it was decided about the members, and by whom."""
    async with services.engine.database.read() as db:
        entries = await audit_log.of(db, [f"mapping:{it.mapping.id}"])
    last = next((each for each in reversed(entries) if "members" in (each.after or {})), None)
    if it.mapping.disconnected_at is None and last is None:
        return InputError(f"{it.mapping.label} is connected in mParticle, so there is nothing to decide.")
    who = person(last.actor) if last is not None else _SOMEBODY
    what = "to keep them on the list" if last is not None and (last.after or {})["members"] == "kept" else ""
    return NotAllowedError(f"{who} has decided already {what or 'to take them off the list'}.")
