"""The messages of a live audience: questions that wait for an approver, and the digest of each day."""

from collections.abc import Callable, Mapping
from functools import partial

from bot.features.live_audiences import views
from bot.features.live_audiences.reader import (
    DailyDigest,
    LiveAudienceReader,
    channel_of,
    digest_key,
    disconnected_key,
    is_open,
    needs_decision,
    removals_key,
)
from bot.features.live_audiences.views import LiveAudience
from bot.messages import fallback
from bot.messages.desired import DesiredMessage, MessageKind
from bot.messages.limits import MessagingLimits
from bot.messages.provider import DesiredState, Snapshot, StoredMessages, Subject
from bot.ui.blocks import Message
from core.store import live_mappings
from core.store.slack_messages import SlackMessage


class LiveAudienceMessageProvider:
    """Provides questions about removals and about disconnected audiences, and digests of past days."""

    def __init__(self, limits: MessagingLimits) -> None:
        """Take the limits: how long a count is valid. No I/O."""
        self._reader = LiveAudienceReader(limits.gap)

    async def read(self, snapshot: Snapshot) -> list[Subject]:
        """Read the live audiences."""
        live = await live_mappings.everyone(snapshot.db)
        if not live:
            return []
        subjects = []
        for audience in await self._reader.read_questions(snapshot, live):
            mapping_id = audience.mapping.id
            subjects += [
                _subject(f"removals of mapping {mapping_id}", removals_key(mapping_id), audience, removals_message),
                _subject(
                    f"disconnected mapping {mapping_id}", disconnected_key(mapping_id), audience, disconnected_message
                ),
            ]
        for digest in await self._reader.read_digests(snapshot, live, await snapshot.now()):
            key = digest_key(digest.audience.mapping.id, digest.day)
            subjects.append(Subject(key, [key], partial(_digest_state, digest)))
        return subjects

    async def after_read(self) -> None:
        """Nothing is due."""

    async def close(self) -> None:
        """No background work."""


def _subject(
    name: str,
    key: str,
    audience: LiveAudience,
    message: Callable[[LiveAudience, Mapping[str, SlackMessage]], DesiredMessage | None],
) -> Subject:
    def desired_state(stored: StoredMessages) -> DesiredState:
        main = message(audience, stored)
        if main is None:
            return DesiredState([])
        messages = [main, *fallback.for_approvers(main, audience.connection, stored)]
        return DesiredState(messages, is_final=main.kind is MessageKind.FINAL)

    return Subject(name, [key, *fallback.keys_for(key, audience.connection)], desired_state)


def removals_message(audience: LiveAudience, stored: Mapping[str, SlackMessage]) -> DesiredMessage | None:
    """Return the question about removals that wait, or its outcome; None if there was no question."""
    key = removals_key(audience.mapping.id)
    if audience.removals:
        return _message(key, audience, MessageKind.OPEN, views.removals(audience), urgent=key not in stored)
    if is_open(key, audience.connection, stored):
        outcome = views.removals_outcome(audience, _posted_at(stored.get(key)))
        return _message(key, audience, MessageKind.FINAL, outcome, urgent=True)
    return None


def disconnected_message(audience: LiveAudience, stored: Mapping[str, SlackMessage]) -> DesiredMessage | None:
    """Return the question about the members of a disconnected audience, or its outcome; None if there is neither."""
    key = disconnected_key(audience.mapping.id)
    if needs_decision(audience.mapping):
        if not (audience.members or audience.mapping.decided_by is not None or key in stored):
            return None
        kind = MessageKind.OPEN if audience.members else MessageKind.FINAL
        return _message(key, audience, kind, views.disconnected(audience), urgent=True)
    if is_open(key, audience.connection, stored):
        outcome = views.disconnected_outcome(audience, _posted_at(stored.get(key)))
        return _message(key, audience, MessageKind.FINAL, outcome, urgent=True)
    return None


def _message(
    key: str, audience: LiveAudience, kind: MessageKind, content: Message, *, urgent: bool
) -> DesiredMessage | None:
    channel = channel_of(audience.mapping, audience.connection)
    if channel is None:
        return None
    return DesiredMessage(key, audience.connection.team_id, channel, kind, content, urgent=urgent)


def _digest_state(digest: DailyDigest, _stored: StoredMessages) -> DesiredState:
    key = digest_key(digest.audience.mapping.id, digest.day)
    content = views.digest(digest.audience, digest.day, digest.status, digest.time_zone)
    message = _message(key, digest.audience, MessageKind.REPLY, content, urgent=False)
    return DesiredState([message] if message is not None else [])


def _posted_at(stored: SlackMessage | None) -> float:
    """Return when a message was posted, as a Unix time: earlier decisions are about another question.

    It is Slack's time, and that of decisions is the database's.
    """
    return float(stored.ts) if stored is not None and stored.ts is not None else 0.0
