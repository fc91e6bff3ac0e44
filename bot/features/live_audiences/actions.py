"""The actions on live audiences.

Each returns a sentence (mrkdwn) for the person, and raises InputError if they may not act, or if someone has decided
already.
"""

from bot.features.live_audiences import views
from bot.features.mapping_lookup import MappingRef, by_id
from bot.features.permissions import why_not_decide
from bot.services import Services
from bot.slack.actor import Actor
from bot.ui.formatting import person, plural
from core import live
from core.errors import InputError
from core.store import audit_log, clock, inbox, live_mappings
from core.store.mappings import MappingStatus

# The actor in a sentence, if the audit log does not name one.
_UNKNOWN_PERSON = "Someone"


class NotAllowedError(InputError):
    """Only an approver may do this. The message is mrkdwn."""

    code = "not_allowed"


async def drop(services: Services, actor: Actor, mapping_id: int) -> str:
    """Discard the pending changes of a mapping that is not approved, or paused."""
    ref = await _decidable(services, actor, mapping_id)
    async with services.engine.database.read() as db:
        status = await live_mappings.status(db, ref.mapping.id, await clock.now(db))
    if ref.mapping.status is MappingStatus.ACTIVE or not status.waiting:
        raise InputError(views.refused_now(ref.mapping))
    dropped = await live.drop_waiting(services.engine, ref.mapping.id, by=actor.person, team_id=actor.team_id)
    if dropped is None:  # someone has just approved or resumed it
        raise InputError(views.refused_now((await _decidable(services, actor, mapping_id)).mapping))
    services.wake()
    return f"Discarded {plural(dropped, 'pending change')} of {ref.label}."


async def approve_removals(services: Services, actor: Actor, mapping_id: int) -> str:
    """Approve the removals that wait now."""
    ref = await _decidable(services, actor, mapping_id)
    async with services.engine.database.read() as db:
        waiting = await inbox.removals_that_wait(db, ref.mapping.id, ref.mapping.removals_approved_until)
    if not waiting:
        raise InputError(f"No removals of {ref.mapping.label} wait for approval.")
    approved = await live.approve_removals(services.engine, ref.mapping.id, by=actor.person, team_id=actor.team_id)
    services.wake()
    return f"{plural(approved, 'removal')} of {ref.label} approved. They are on their way to Iterable."


async def keep(services: Services, actor: Actor, mapping_id: int) -> str:
    """Keep the members of a disconnected audience on the list."""
    ref = await _decidable(services, actor, mapping_id)
    if not await live.keep_members(services.engine, ref.mapping.id, by=actor.person, team_id=actor.team_id):
        raise await _decided_already(services, ref)
    services.wake()
    return f"{ref.label}: its people stay on the list."


async def remove(services: Services, actor: Actor, mapping_id: int) -> str:
    """Remove the members of a disconnected audience from the list."""
    ref = await _decidable(services, actor, mapping_id)
    if not await live.remove_members(services.engine, ref.mapping.id, by=actor.person, team_id=actor.team_id):
        raise await _decided_already(services, ref)
    services.wake()
    return f"{ref.label}: its people are being removed from the list. `/iterable-sync status` shows how many are left."


async def _decidable(services: Services, actor: Actor, mapping_id: int) -> MappingRef:
    ref = await by_id(services, actor, mapping_id)
    if why := await why_not_decide(services, actor, ref.connection):
        raise NotAllowedError(why)
    return ref


async def _decided_already(services: Services, ref: MappingRef) -> InputError:
    """Return the error that says who has decided about the members, and how."""
    async with services.engine.database.read() as db:
        entries = await audit_log.of(db, [f"mapping:{ref.mapping.id}"])
    last = next((each for each in reversed(entries) if "members" in (each.after or {})), None)
    if ref.mapping.disconnected_at is None and last is None:
        return InputError(f"{ref.mapping.label} is connected in mParticle, so there is nothing to decide.")
    decider = person(last.actor) if last is not None else _UNKNOWN_PERSON
    decision = "to keep them on the list" if last is not None and (last.after or {})["members"] == "kept" else ""
    return NotAllowedError(f"{decider} already decided {decision or 'to remove them from the list'}.")
