"""What is to be seen of an audience that mParticle feeds: what waits for a person, and what each day brought."""

from collections.abc import Mapping
from dataclasses import dataclass

from bot.features.live_audiences import views
from bot.features.live_audiences.views import LiveAudience
from bot.messages import fallback
from bot.messages.desired import DesiredMessage, MessageKind
from core.store.connections import Connection
from core.store.live_mappings import LiveStatus
from core.store.mappings import AudienceMapping, MappingStatus
from core.store.slack_messages import SlackMessage


@dataclass(frozen=True, slots=True)
class Day:
    """A day of an audience, of which a digest is due."""

    fed: LiveAudience
    day: str
    status: LiveStatus

    @property
    def key(self) -> str:
        """The key of the digest's message."""
        return digest_key(self.fed.mapping.id, self.day)


def digest_key(mapping_id: int, day: str) -> str:
    """The key of a digest's message."""
    return f"digest:{mapping_id}:{day}"


def removals_key(mapping_id: int) -> str:
    """The key of the message that asks about removals."""
    return f"removals:{mapping_id}"


def disconnected_key(mapping_id: int) -> str:
    """The key of the message that asks about members of a disconnected audience."""
    return f"disconnected:{mapping_id}"


def channel_of(mapping: AudienceMapping, connection: Connection) -> str | None:
    """Where it is told: in the mapping's channel, else where alerts are."""
    return mapping.channel or connection.alert_channel


def is_asked(mapping: AudienceMapping) -> bool:
    """Whether a person has to say what becomes of the members of a disconnected audience."""
    return mapping.disconnected_at is not None and mapping.state is not MappingStatus.ACTIVE


def wishes(fed: LiveAudience, posts: Mapping[str, SlackMessage]) -> list[DesiredMessage]:
    """What is to be seen of an audience now: what is asked, and how it was answered."""
    mapping, target = fed.mapping, channel_of(fed.mapping, fed.connection)
    found: list[DesiredMessage] = []
    if target is None:
        return found
    key, team = removals_key(mapping.id), fed.connection.team_id
    if fed.removals:
        found.append(DesiredMessage(key, team, target, MessageKind.OPEN, views.removals(fed), urgent=key not in posts))
    elif is_asking(key, fed.connection, posts):
        told = views.removals_over(fed, posted_at(posts.get(key)))
        found.append(DesiredMessage(key, team, target, MessageKind.FINAL, told, urgent=True))
    key = disconnected_key(mapping.id)
    if is_asked(mapping):
        if fed.members or mapping.decided_by is not None or key in posts:
            stage = MessageKind.OPEN if fed.members else MessageKind.FINAL
            found.append(DesiredMessage(key, team, target, stage, views.disconnected(fed), urgent=True))
    elif is_asking(key, fed.connection, posts):
        told = views.disconnected_over(fed, posted_at(posts.get(key)))
        found.append(DesiredMessage(key, team, target, MessageKind.FINAL, told, urgent=True))
    return found + [each for wish in found for each in fallback.for_deciders(wish, fed.connection, posts)]


def digest(day: Day) -> DesiredMessage | None:
    """What a day brought; None where there is nowhere to say it."""
    target = channel_of(day.fed.mapping, day.fed.connection)
    if target is None:
        return None
    message = views.digest(day.fed, day.day, day.status)
    return DesiredMessage(day.key, day.fed.connection.team_id, target, MessageKind.REPLY, message)


def is_asking(key: str, connection: Connection, posts: Mapping[str, SlackMessage]) -> bool:
    """Whether a message was posted (or tried), in its place or instead, that does not show its end for good."""
    found = [posts[each] for each in (key, *fallback.keys_for(key, connection)) if each in posts]
    return any(post.stage != MessageKind.DONE for post in found)


def posted_at(post: SlackMessage | None) -> float:
    """When a message was posted: what was decided before is not about it."""
    return float(post.ts) if post is not None and post.ts is not None else 0.0
