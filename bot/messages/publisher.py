"""Posting and editing: each message once, whatever becomes of the answer.

The intent is on disk before a message leaves. A definite refusal is repeated later; a message whose answer was lost is
never sent again as it was, because it may be there.
"""

import logging
import time
from dataclasses import dataclass, field
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.messages.desired import DesiredMessage, MessageKind
from bot.messages.leadership import LeaderLease
from bot.messages.limits import MessagingLimits, TokenBucket
from bot.messages.payload import digest_of, payload_of
from bot.services import Services
from bot.slack.api_errors import DELETED, ERRORS, TOO_MUCH, FailureClass, SlackFailure, classify
from core.store import slack_messages
from core.store.database import to_the_end
from core.store.slack_messages import MessageStatus, SlackMessage

logger = logging.getLogger(__name__)

# No message waits for longer than this until it is tried again, in seconds: one that seems to has met a clock that was
# put back since.
LONGEST_WAIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class PendingUpdate:
    """What is to be done for a wish now: post (or edit) this payload."""

    edits: bool
    payload: dict[str, Any]
    digest: str
    plain: bool


@dataclass(slots=True)
class MessagePublisher:
    """Makes wishes come true, one call at a time for each message."""

    services: Services
    lease: LeaderLease
    pace: MessagingLimits
    edit_budget: TokenBucket = field(init=False)
    post_budget: TokenBucket = field(init=False)
    _edited_at: dict[str, float] = field(default_factory=dict)
    _held_until: dict[tuple[str | None, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fill the budgets."""
        pace = self.pace
        self.edit_budget = TokenBucket(pace.edits_a_minute, pace.edits_a_minute // 2, pace.reserve)
        self.post_budget = TokenBucket(pace.posts_a_minute, pace.posts_at_once)

    def may_edit(self, key: str) -> bool:
        """Whether a message was not edited just now."""
        return time.monotonic() >= self._edited_at.get(key, -self.pace.gap) + self.pace.gap

    def step(self, wish: DesiredMessage, post: SlackMessage | None) -> PendingUpdate | None:
        """What is to be done for a wish, whenever it may be; None where it is seen, or can't be."""
        plain = post is not None and post.error in TOO_MUCH and _same(post, wish)
        payload = payload_of(wish.message, wish.key, plain=plain)
        digest = digest_of(payload)
        if post is None or post.state is MessageStatus.NEW:
            return PendingUpdate(False, payload, digest, plain)
        if post.state is MessageStatus.SENDING or (wish.is_said_once and post.state is not MessageStatus.POSTED):
            return None
        if post.state is MessageStatus.POSTED:
            if wish.is_said_once or post.digest == digest:
                return None
            begins_anew = (
                post.stage == MessageKind.DONE and wish.stage is MessageKind.OPEN
            )  # proposed again after it was declined
            return PendingUpdate(not begins_anew, payload, digest, plain)
        has_moved = (
            post.state is MessageStatus.REJECTED and post.target != wish.target
        )  # somebody chose another channel
        if _same(post, wish) and not has_moved:  # lost or refused: this content is not tried there again
            return None
        return PendingUpdate(post.ts is not None and not has_moved, payload, digest, plain)

    def is_time(self, wish: DesiredMessage, post: SlackMessage | None, step: PendingUpdate) -> bool:
        """Whether it may be done now; it comes out of the budget."""
        method = "chat.update" if step.edits else "chat.postMessage"
        if post is not None and 0.0 < post.next_at - time.time() < LONGEST_WAIT_S:
            return False
        if self._held_until.get((wish.team_id, method), 0.0) > time.monotonic():
            return False
        if not step.edits:
            return self.post_budget.take(wish.thread.channel if wish.thread is not None else wish.target, urgent=True)
        return self.may_edit(wish.key) and self.edit_budget.take(wish.team_id or "", urgent=wish.urgent)

    async def take(self, wish: DesiredMessage, post: SlackMessage | None, step: PendingUpdate) -> bool:
        """Do it. Returns whether Slack took it, or anything else changed that is to be looked at at once."""
        client = await self.services.clients.for_team(wish.team_id)
        if client is None:  # the bot is not in that workspace (any more)
            return False
        if step.edits:
            assert post is not None
            return await self._edit(client, wish, post, step)
        return await self._post(client, wish, post, step)

    async def _post(
        self, client: AsyncWebClient, wish: DesiredMessage, post: SlackMessage | None, step: PendingUpdate
    ) -> bool:
        if not await to_the_end(self._intend(wish, post, step)):
            return False
        more: dict[str, Any] = {}
        if wish.thread is not None:
            more = {"thread_ts": wish.thread.ts, "reply_broadcast": wish.broadcast}
        channel = wish.thread.channel if wish.thread is not None else wish.target
        try:
            answer = await client.chat_postMessage(channel=channel, **step.payload, **more)
        except ERRORS as error:
            return await self._not_posted(wish, post, step, classify(error))
        await self._save(
            wish.key,
            state=MessageStatus.POSTED.value,
            channel=str(answer["channel"]),
            ts=str(answer["ts"]),
            tries=0,
            next_at=0.0,
            error=post.error if post is not None and step.plain else None,
        )
        return True

    async def _intend(self, wish: DesiredMessage, post: SlackMessage | None, step: PendingUpdate) -> bool:
        """Write down that a message is about to leave. Returns False where that is another process's business,
        or where something has changed since it was decided."""
        async with self.services.engine.database.write() as db:
            if not await self.lease.is_held(db) or await slack_messages.get(db, wish.key) != post:
                return False
            if post is None:
                await slack_messages.add(db, wish.key, team_id=wish.team_id, target=wish.target)
            await slack_messages.change(
                db,
                wish.key,
                state=MessageStatus.SENDING.value,
                target=wish.target,
                channel=None,
                ts=None,
                stage=wish.stage.value,
                digest=step.digest,
            )
        return True

    async def _not_posted(
        self, wish: DesiredMessage, post: SlackMessage | None, step: PendingUpdate, trouble: SlackFailure
    ) -> bool:
        tries = post.tries if post is not None else 0
        logger.info("message %s was not posted: %s", wish.key, trouble.word)
        if trouble.verdict is FailureClass.RETRY_LATER:
            await self._save(
                wish.key, state=MessageStatus.NEW.value, **self._later(wish, "chat.postMessage", tries, trouble)
            )
            return False
        if trouble.verdict is FailureClass.UNKNOWN:
            await self._save(wish.key, state=MessageStatus.UNCONFIRMED.value, error=trouble.word)
        elif trouble.verdict is FailureClass.FALL_BACK and not step.plain:
            await self._save(wish.key, state=MessageStatus.NEW.value, error=trouble.word)
        else:
            await self._save(wish.key, state=MessageStatus.REJECTED.value, error=trouble.word)
        return True

    async def _edit(
        self, client: AsyncWebClient, wish: DesiredMessage, post: SlackMessage, step: PendingUpdate
    ) -> bool:
        now = time.monotonic()
        self._edited_at = {key: at for key, at in self._edited_at.items() if at + self.pace.gap > now} | {wish.key: now}
        try:
            await client.chat_update(channel=post.channel or "", ts=post.ts or "", **step.payload)
        except ERRORS as error:
            return await self._not_edited(wish, post, step, classify(error))
        await self._save(
            wish.key,
            state=MessageStatus.POSTED.value,
            stage=wish.stage.value,
            digest=step.digest,
            tries=0,
            next_at=0.0,
            error=post.error if step.plain else None,
        )
        return True

    async def _not_edited(
        self, wish: DesiredMessage, post: SlackMessage, step: PendingUpdate, trouble: SlackFailure
    ) -> bool:
        logger.info("message %s was not edited: %s", wish.key, trouble.word)
        if trouble.verdict in (FailureClass.RETRY_LATER, FailureClass.UNKNOWN):  # an edit can be repeated
            await self._save(wish.key, **self._later(wish, "chat.update", post.tries, trouble))
            return False
        if trouble.verdict is FailureClass.FALL_BACK and not step.plain:
            self._edited_at.pop(wish.key, None)  # nothing was shown: the other form need not wait
            await self._save(wish.key, stage=wish.stage.value, error=trouble.word)
            return True
        gone: dict[str, Any] = {"channel": None, "ts": None} if trouble.word == DELETED else {}
        await self._save(
            wish.key, state=MessageStatus.REJECTED.value, stage=wish.stage.value, digest="", error=trouble.word, **gone
        )
        return True

    def _later(self, wish: DesiredMessage, method: str, tries: int, trouble: SlackFailure) -> dict[str, Any]:
        """When it is tried again, and how often it was. What Slack asks to wait for holds for the workspace."""
        wait = min(self.pace.most_back_off, self.pace.back_off * 2.0 ** min(tries, 10))
        if trouble.after is not None:
            wait = max(trouble.after, min(wait, self.pace.back_off))
            self._held_until[wish.team_id, method] = time.monotonic() + trouble.after
        return {"tries": tries + 1, "next_at": time.time() + wait}

    async def _save(self, key: str, **values: Any) -> None:
        await to_the_end(self._write(key, values))

    async def _write(self, key: str, values: dict[str, Any]) -> None:
        async with self.services.engine.database.write() as db:
            await slack_messages.change(db, key, **values)


def _same(post: SlackMessage, wish: DesiredMessage) -> bool:
    """Whether a post shows (or was to show) the same stage."""
    return post.stage == wish.stage or (post.stage == MessageKind.DONE and wish.stage is MessageKind.FINAL)
