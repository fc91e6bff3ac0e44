"""Whether a person's own change of a mapping applies at once."""

from bot.features.mapping_lookup import MappingRef
from bot.features.permissions import why_not_decide
from bot.services import Services
from bot.slack.actor import Actor


async def may_approve_own(services: Services, actor: Actor, ref: MappingRef) -> bool:
    """Return whether a person may approve what they change themselves."""
    return ref.connection.self_approval and await why_not_decide(services, actor, ref.connection, actor.person) is None
