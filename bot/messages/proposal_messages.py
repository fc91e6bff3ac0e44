"""What is to be seen of a mapping that somebody proposes and nobody has synced yet."""

from collections.abc import Mapping

from bot.features.mapping.views import proposal
from bot.messages import fallback
from bot.messages.desired import DesiredMessage, MessageKind
from bot.messages.live_audience_messages import channel_of
from core.store.audit_log import ACTOR as MPARTICLE
from core.store.connections import Connection
from core.store.mappings import AudienceMapping, MappingStatus
from core.store.slack_messages import SlackMessage


def key_of(mapping_id: int) -> str:
    """The key of a proposal's message."""
    return f"mapping:{mapping_id}"


def keys_of(mapping_id: int, connection: Connection) -> list[str]:
    """The keys of all that may be seen of a proposal."""
    key = key_of(mapping_id)
    return [key, f"{key}:dm", *fallback.keys_for(key, connection)]


def wishes(
    mapping: AudienceMapping,
    connection: Connection,
    list_name: str | None,
    posts: Mapping[str, SlackMessage],
    waiting: int = 0,
) -> list[DesiredMessage]:
    """What is to be seen of a proposal now, or of what became of it. `waiting` is how many changes have come for it."""
    target = channel_of(mapping, connection)
    assert target is not None
    key = key_of(mapping.id)
    post, direct = posts.get(key), f"{key}:dm"
    stage = MessageKind.OPEN if mapping.state is MappingStatus.PROPOSED else MessageKind.FINAL
    message = proposal(mapping, connection, list_name or "", waiting)
    # how many changes wait is no more urgent than how far a run is
    urgent = not mapping.live or stage is MessageKind.FINAL or post is None or post.stage != stage
    found = [DesiredMessage(key, connection.team_id, target, stage, message, urgent=urgent)]
    if mapping.proposed_by == MPARTICLE:
        return found + fallback.for_deciders(found[0], connection, posts)
    proposer = mapping.proposed_by
    if proposer is not None and (direct in posts or fallback.needs_fallback(post, post.stage if post else "")):
        told = fallback.with_fallback_note(message, post)
        found.append(DesiredMessage(direct, connection.team_id, proposer, stage, told, urgent=True))
    return found
