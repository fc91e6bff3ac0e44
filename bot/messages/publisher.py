"""Posting and editing: each message once, whatever becomes of the answer.

The intent is on disk before a message leaves. A definite refusal is repeated later; a message whose answer was lost is
never sent again as it was, because it may be there.
"""

import logging
import time
from dataclasses import dataclass, field
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.messages.desired import Stage, Wish
from bot.messages.leadership import Lease
from bot.messages.limits import Budget, Pace
from bot.messages.payload import digest_of, payload_of
from bot.services import Services
from bot.slack.api_errors import DELETED, ERRORS, TOO_MUCH, Trouble, Verdict, trouble_of
from core.store import slack_messages
from core.store.database import to_the_end
from core.store.slack_messages import Post, State

logger = logging.getLogger(__name__)

# No message waits for longer than this until it is tried again, in seconds: one that seems to has met a clock that was
# put back since.
LONGEST_WAIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done for a wish now: post (or edit) this payload."""

    edits: bool
    payload: dict[str, Any]
    digest: str
    plain: bool


@dataclass(slots=True)
class Poster:
    """Makes wishes come true, one call at a time for each message."""

    services: Services
    lease: Lease
    pace: Pace
    edit_budget: Budget = field(init=False)
    post_budget: Budget = field(init=False)
    _edited_at: dict[str, float] = field(default_factory=dict)
    _held_until: dict[tuple[str | None, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fill the budgets."""
        pace = self.pace
        self.edit_budget = Budget(pace.edits_a_minute, pace.edits_a_minute // 2, pace.reserve)
        self.post_budget = Budget(pace.posts_a_minute, pace.posts_at_once)

    def may_edit(self, key: str) -> bool:
        """Whether a message was not edited just now."""
        return time.monotonic() >= self._edited_at.get(key, -self.pace.gap) + self.pace.gap

    def step(self, wish: Wish, post: Post | None) -> Step | None:
        """What is to be done for a wish, whenever it may be; None where it is seen, or can't be."""
        plain = post is not None and post.error in TOO_MUCH and _same(post, wish)
        payload = payload_of(wish.message, wish.key, plain=plain)
        digest = digest_of(payload)
        if post is None or post.state is State.NEW:
            return Step(False, payload, digest, plain)
        if post.state is State.SENDING or (wish.is_said_once and post.state is not State.POSTED):
            return None
        if post.state is State.POSTED:
            if wish.is_said_once or post.digest == digest:
                return None
            begins_anew = post.stage == Stage.DONE and wish.stage is Stage.OPEN  # proposed again after it was declined
            return Step(not begins_anew, payload, digest, plain)
        has_moved = post.state is State.REFUSED and post.target != wish.target  # somebody chose another channel
        if _same(post, wish) and not has_moved:  # lost or refused: this content is not tried there again
            return None
        return Step(post.ts is not None and not has_moved, payload, digest, plain)

    def is_time(self, wish: Wish, post: Post | None, step: Step) -> bool:
        """Whether it may be done now; it comes out of the budget."""
        method = "chat.update" if step.edits else "chat.postMessage"
        if post is not None and 0.0 < post.next_at - time.time() < LONGEST_WAIT_S:
            return False
        if self._held_until.get((wish.team_id, method), 0.0) > time.monotonic():
            return False
        if not step.edits:
            return self.post_budget.take(wish.thread.channel if wish.thread is not None else wish.target, urgent=True)
        return self.may_edit(wish.key) and self.edit_budget.take(wish.team_id or "", urgent=wish.urgent)

    async def take(self, wish: Wish, post: Post | None, step: Step) -> bool:
        """Do it. Returns whether Slack took it, or anything else changed that is to be looked at at once."""
        client = await self.services.clients.of(wish.team_id)
        if client is None:  # the bot is not in that workspace (any more)
            return False
        if step.edits:
            assert post is not None
            return await self._edit(client, wish, post, step)
        return await self._post(client, wish, post, step)

    async def _post(self, client: AsyncWebClient, wish: Wish, post: Post | None, step: Step) -> bool:
        if not await to_the_end(self._intend(wish, post, step)):
            return False
        more: dict[str, Any] = {}
        if wish.thread is not None:
            more = {"thread_ts": wish.thread.ts, "reply_broadcast": wish.broadcast}
        channel = wish.thread.channel if wish.thread is not None else wish.target
        try:
            answer = await client.chat_postMessage(channel=channel, **step.payload, **more)
        except ERRORS as error:
            return await self._not_posted(wish, post, step, trouble_of(error))
        await self._save(
            wish.key,
            state=State.POSTED.value,
            channel=str(answer["channel"]),
            ts=str(answer["ts"]),
            tries=0,
            next_at=0.0,
            error=post.error if post is not None and step.plain else None,
        )
        return True

    async def _intend(self, wish: Wish, post: Post | None, step: Step) -> bool:
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
                state=State.SENDING.value,
                target=wish.target,
                channel=None,
                ts=None,
                stage=wish.stage.value,
                digest=step.digest,
            )
        return True

    async def _not_posted(self, wish: Wish, post: Post | None, step: Step, trouble: Trouble) -> bool:
        tries = post.tries if post is not None else 0
        logger.info("message %s was not posted: %s", wish.key, trouble.word)
        if trouble.verdict is Verdict.LATER:
            await self._save(wish.key, state=State.NEW.value, **self._later(wish, "chat.postMessage", tries, trouble))
            return False
        if trouble.verdict is Verdict.UNKNOWN:
            await self._save(wish.key, state=State.LOST.value, error=trouble.word)
        elif trouble.verdict is Verdict.OTHERWISE and not step.plain:
            await self._save(wish.key, state=State.NEW.value, error=trouble.word)
        else:
            await self._save(wish.key, state=State.REFUSED.value, error=trouble.word)
        return True

    async def _edit(self, client: AsyncWebClient, wish: Wish, post: Post, step: Step) -> bool:
        now = time.monotonic()
        self._edited_at = {key: at for key, at in self._edited_at.items() if at + self.pace.gap > now} | {wish.key: now}
        try:
            await client.chat_update(channel=post.channel or "", ts=post.ts or "", **step.payload)
        except ERRORS as error:
            return await self._not_edited(wish, post, step, trouble_of(error))
        await self._save(
            wish.key,
            state=State.POSTED.value,
            stage=wish.stage.value,
            digest=step.digest,
            tries=0,
            next_at=0.0,
            error=post.error if step.plain else None,
        )
        return True

    async def _not_edited(self, wish: Wish, post: Post, step: Step, trouble: Trouble) -> bool:
        logger.info("message %s was not edited: %s", wish.key, trouble.word)
        if trouble.verdict in (Verdict.LATER, Verdict.UNKNOWN):  # an edit can be repeated
            await self._save(wish.key, **self._later(wish, "chat.update", post.tries, trouble))
            return False
        if trouble.verdict is Verdict.OTHERWISE and not step.plain:
            self._edited_at.pop(wish.key, None)  # nothing was shown: the other form need not wait
            await self._save(wish.key, stage=wish.stage.value, error=trouble.word)
            return True
        gone: dict[str, Any] = {"channel": None, "ts": None} if trouble.word == DELETED else {}
        await self._save(
            wish.key, state=State.REFUSED.value, stage=wish.stage.value, digest="", error=trouble.word, **gone
        )
        return True

    def _later(self, wish: Wish, method: str, tries: int, trouble: Trouble) -> dict[str, Any]:
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


def _same(post: Post, wish: Wish) -> bool:
    """Whether a post shows (or was to show) the same stage."""
    return post.stage == wish.stage or (post.stage == Stage.DONE and wish.stage is Stage.FINAL)
