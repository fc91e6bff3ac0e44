"""What is to be seen of a mapping that somebody proposes and nobody has synced yet."""

from collections.abc import Mapping

from bot.live import elsewhere
from bot.live.wishes import Stage, Wish
from bot.mapping.views import proposal
from core.store.connections import Connection
from core.store.mappings import Mapping as AudienceMapping
from core.store.mappings import State
from core.store.posts import Post


def key_of(mapping_id: int) -> str:
    """The key of a proposal's message."""
    return f"mapping:{mapping_id}"


def wishes(
    mapping: AudienceMapping, connection: Connection, list_name: str | None, posts: Mapping[str, Post]
) -> list[Wish]:
    """What is to be seen of a proposal now, or of what became of it."""
    assert mapping.channel is not None
    key = key_of(mapping.id)
    stage = Stage.OPEN if mapping.state is State.PROPOSED else Stage.FINAL
    message = proposal(mapping, connection, list_name or "")
    found = [Wish(key, connection.team_id, mapping.channel, stage, message, urgent=True)]
    post, direct = posts.get(key), f"{key}:dm"
    if mapping.proposed_by is not None and (direct in posts or elsewhere.is_due(post, post.stage if post else "")):
        told = elsewhere.explained(message, post)
        found.append(Wish(direct, connection.team_id, mapping.proposed_by, stage, told, urgent=True))
    return found
