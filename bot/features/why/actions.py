"""Looking a person up, for somebody who may."""

from bot.features.why import views
from bot.services import Services
from bot.slack.actor import Actor
from bot.ui.blocks import Message
from core.connections.permissions import may_see_rejected
from core.errors import InputError
from core.reporting.member_lookup import lookup_member
from core.store import audit_log
from core.store.audit_log import AuditAction


async def look_up(services: Services, actor: Actor, typed: str) -> Message:
    """Return what is known of a person by an address or an id. That somebody looked is on record, not whom for.

    Raises InputError where nothing is connected.
    """
    seen = await services.connections(actor.team_id)
    if not seen:
        raise InputError("Nothing is connected to Iterable yet, so nobody is known here.")
    allowed = [each for each in seen if may_see_rejected(each, actor.person)]
    left_out = [each for each in seen if each not in allowed]
    if not allowed:
        return views.refused(seen)
    ids = [each.id for each in allowed]
    findings = await lookup_member(services.engine, ids, typed)
    async with services.engine.database.write() as db:
        await audit_log.add(
            db,
            team_id=actor.team_id,
            actor=actor.person,
            action=AuditAction.LOOKED_UP,
            subject="person",
            after={"connections": ids, "found": len(findings)},
        )
    return views.answer(typed, findings, left_out)
