"""Posts and edits messages, each post at most once.

The intent is stored before a request is sent. A post that Slack certainly rejected is retried later. A post without an
answer is never repeated with the same content, because Slack may show it already.
"""

import logging
import time
from dataclasses import dataclass, field
from typing import Any, Unpack

from slack_sdk.web.async_client import AsyncWebClient

from bot.messages.desired import DesiredMessage, MessageKind
from bot.messages.leadership import LeaderLease
from bot.messages.limits import MessagingLimits, TokenBucket
from bot.messages.payload import digest_of, payload_of
from bot.services import Services
from bot.slack.api_errors import DELETED, ERRORS, TOO_MUCH, FailureClass, SlackFailure, classify
from core.store import slack_messages
from core.store.database import to_the_end
from core.store.slack_messages import MessageStatus, SlackMessage, SlackMessageUpdate

logger = logging.getLogger(__name__)

# The longest wait before a retry, in seconds. A longer one means that the database's clock was set back meanwhile.
LONGEST_WAIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class PendingUpdate:
    """The next request for a desired message: a post, or an edit of the posted message."""

    edits: bool
    payload: dict[str, Any]
    digest: str
    plain: bool


@dataclass(slots=True)
class MessagePublisher:
    """Brings one message after the other to its desired state. Callers make one call at a time for each message."""

    services: Services
    lease: LeaderLease
    pace: MessagingLimits
    edit_budget: TokenBucket = field(init=False)
    post_budget: TokenBucket = field(init=False)
    _edited_at: dict[str, float] = field(default_factory=dict)
    _held_until: dict[tuple[str | None, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Create the rate limiters."""
        pace = self.pace
        self.edit_budget = TokenBucket(pace.edits_a_minute, pace.edits_a_minute // 2, pace.reserve)
        self.post_budget = TokenBucket(pace.posts_a_minute, pace.posts_at_once)

    def may_edit(self, key: str) -> bool:
        """Return whether the last edit of a message is long enough ago."""
        return time.monotonic() >= self._edited_at.get(key, -self.pace.gap) + self.pace.gap

    def plan_update(self, desired: DesiredMessage, stored: SlackMessage | None) -> PendingUpdate | None:
        """Return the next request for a message; None if Slack shows the content already, or will not show it."""
        plain = stored is not None and stored.error in TOO_MUCH and _same(stored, desired)
        payload = payload_of(desired.message, desired.key, plain=plain)
        digest = digest_of(payload)
        if stored is None or stored.status is MessageStatus.NEW:
            return PendingUpdate(False, payload, digest, plain)
        if stored.status is MessageStatus.SENDING or (desired.is_reply and stored.status is not MessageStatus.POSTED):
            return None
        if stored.status is MessageStatus.POSTED:
            if desired.is_reply or stored.digest == digest:
                return None
            # A question that was answered stays in the channel, and the next one gets a new message: a declined mapping
            # that is proposed again, for example. It may come before the answer is marked as done.
            is_answered = stored.kind in (MessageKind.FINAL, MessageKind.DONE)
            is_reopened = is_answered and desired.kind is MessageKind.OPEN
            return PendingUpdate(not is_reopened, payload, digest, plain)
        # A person chose another channel.
        has_moved = stored.status is MessageStatus.REJECTED and stored.target != desired.target
        if _same(stored, desired) and not has_moved:  # unconfirmed or rejected: no retry with the same content
            return None
        return PendingUpdate(stored.ts is not None and not has_moved, payload, digest, plain)

    def may_publish_now(self, desired: DesiredMessage, stored: SlackMessage | None, update: PendingUpdate) -> bool:
        """Return whether rate limits allow the request now. If so, the request is deducted from them."""
        method = "chat.update" if update.edits else "chat.postMessage"
        if stored is not None and 0.0 < stored.retry_at - stored.read_at < LONGEST_WAIT_S:
            return False
        if self._held_until.get((desired.team_id, method), 0.0) > time.monotonic():
            return False
        if not update.edits:
            return self.post_budget.take(
                desired.thread.channel if desired.thread is not None else desired.target, urgent=True
            )
        return self.may_edit(desired.key) and self.edit_budget.take(desired.team_id or "", urgent=desired.urgent)

    async def publish(self, desired: DesiredMessage, stored: SlackMessage | None, update: PendingUpdate) -> bool:
        """Send the request. Returns whether anything changed, so that the caller should plan again at once."""
        client = await self.services.clients.for_team(desired.team_id)
        if client is None:  # the app was uninstalled from that workspace
            return False
        if update.edits:
            assert stored is not None
            return await self._edit(client, desired, stored, update)
        return await self._post(client, desired, stored, update)

    async def _post(
        self, client: AsyncWebClient, desired: DesiredMessage, stored: SlackMessage | None, update: PendingUpdate
    ) -> bool:
        if not await to_the_end(self._intend(desired, stored, update)):
            return False
        more: dict[str, Any] = {}
        if desired.thread is not None:
            more = {"thread_ts": desired.thread.ts, "reply_broadcast": desired.broadcast}
        channel = desired.thread.channel if desired.thread is not None else desired.target
        try:
            answer = await client.chat_postMessage(channel=channel, **update.payload, **more)
        except ERRORS as error:
            return await self._not_posted(desired, stored, update, classify(error))
        await self._save(
            desired.key,
            status=MessageStatus.POSTED,
            channel=str(answer["channel"]),
            ts=str(answer["ts"]),
            attempts=0,
            retry_in_s=None,
            error=stored.error if stored is not None and update.plain else None,
        )
        return True

    async def _intend(self, desired: DesiredMessage, stored: SlackMessage | None, update: PendingUpdate) -> bool:
        """Store that a message is about to be sent. Returns False if this process is not the leader, or if the stored
        message has changed since the update was planned."""
        async with self.services.engine.database.write() as db:
            if not await self.lease.is_held(db) or await slack_messages.get(db, desired.key) != stored:
                return False
            if stored is None:
                await slack_messages.add(db, desired.key, team_id=desired.team_id, target=desired.target)
            await slack_messages.change(
                db,
                desired.key,
                status=MessageStatus.SENDING,
                target=desired.target,
                channel=None,
                ts=None,
                kind=desired.kind.value,
                digest=update.digest,
            )
        return True

    async def _not_posted(
        self, desired: DesiredMessage, stored: SlackMessage | None, update: PendingUpdate, failure: SlackFailure
    ) -> bool:
        attempts = stored.attempts if stored is not None else 0
        logger.info("could not post message %s: %s", desired.key, failure.word)
        if failure.verdict is FailureClass.RETRY_LATER:
            retry = self._later(desired, "chat.postMessage", attempts, failure)
            retry["status"] = MessageStatus.NEW
            await self._save(desired.key, **retry)
            return False
        if failure.verdict is FailureClass.UNKNOWN:
            await self._save(desired.key, status=MessageStatus.UNCONFIRMED, error=failure.word)
        elif failure.verdict is FailureClass.FALL_BACK and not update.plain:
            await self._save(desired.key, status=MessageStatus.NEW, error=failure.word)
        else:
            await self._save(desired.key, status=MessageStatus.REJECTED, error=failure.word)
        return True

    async def _edit(
        self, client: AsyncWebClient, desired: DesiredMessage, stored: SlackMessage, update: PendingUpdate
    ) -> bool:
        failure: SlackFailure | None = None
        try:
            await client.chat_update(channel=stored.channel or "", ts=stored.ts or "", **update.payload)
        except ERRORS as error:
            failure = classify(error)
        now = time.monotonic()  # when Slack has answered: the request may have reached it long after it was begun
        self._edited_at = {key: at for key, at in self._edited_at.items() if at + self.pace.gap > now} | {
            desired.key: now
        }
        if failure is not None:
            return await self._not_edited(desired, stored, update, failure)
        await self._save(
            desired.key,
            status=MessageStatus.POSTED,
            kind=desired.kind.value,
            digest=update.digest,
            attempts=0,
            retry_in_s=None,
            error=stored.error if update.plain else None,
        )
        return True

    async def _not_edited(
        self, desired: DesiredMessage, stored: SlackMessage, update: PendingUpdate, failure: SlackFailure
    ) -> bool:
        logger.info("could not edit message %s: %s", desired.key, failure.word)
        if failure.verdict in (FailureClass.RETRY_LATER, FailureClass.UNKNOWN):  # repeating an edit is harmless
            await self._save(desired.key, **self._later(desired, "chat.update", stored.attempts, failure))
            return False
        if failure.verdict is FailureClass.FALL_BACK and not update.plain:
            self._edited_at.pop(desired.key, None)  # Slack showed nothing, so the plain text need not wait
            await self._save(desired.key, kind=desired.kind.value, error=failure.word)
            return True
        is_deleted = failure.word == DELETED
        await self._save(
            desired.key,
            channel=None if is_deleted else stored.channel,
            ts=None if is_deleted else stored.ts,
            status=MessageStatus.REJECTED,
            kind=desired.kind.value,
            digest="",
            error=failure.word,
        )
        return True

    def _later(self, desired: DesiredMessage, method: str, attempts: int, failure: SlackFailure) -> SlackMessageUpdate:
        """Return the number of attempts and the wait before the next one. Slack's Retry-After holds for the
        workspace."""
        wait = min(self.pace.most_back_off, self.pace.back_off * 2.0 ** min(attempts, 10))
        if failure.after is not None:
            wait = max(failure.after, min(wait, self.pace.back_off))
            self._held_until[desired.team_id, method] = time.monotonic() + failure.after
        return {"attempts": attempts + 1, "retry_in_s": wait}

    async def _save(self, key: str, **values: Unpack[SlackMessageUpdate]) -> None:
        await to_the_end(self._write(key, values))

    async def _write(self, key: str, values: SlackMessageUpdate) -> None:
        async with self.services.engine.database.write() as db:
            await slack_messages.change(db, key, **values)


def _same(stored: SlackMessage, desired: DesiredMessage) -> bool:
    """Whether the stored message shows, or tried to show, the same kind of content."""
    return stored.kind == desired.kind or (stored.kind == MessageKind.DONE and desired.kind is MessageKind.FINAL)
