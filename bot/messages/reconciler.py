"""The message reconciler: brings Slack's messages to the state that the database says they should have.

Each round reads what every message should show, and compares it with what it showed last (the table `posts`). So no
event is needed, and nothing is missed while Slack or this program was down. Features know which messages there are:
each registers a `MessageProvider`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Unpack

from bot.messages.desired import DesiredMessage, MessageKind
from bot.messages.leadership import LeaderLease
from bot.messages.limits import MessagingLimits
from bot.messages.provider import MessageProvider, Snapshot, StoredMessages, Subject
from bot.messages.publisher import MessagePublisher, PendingUpdate
from bot.services import Services
from core.store import slack_messages
from core.store.database import to_the_end
from core.store.database_errors import DATABASE_FAULTS
from core.store.slack_messages import MessageStatus, SlackMessage, SlackMessageUpdate

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Request:
    """A request to Slack that is due as soon as rate limits allow it."""

    desired: DesiredMessage
    stored: SlackMessage | None
    update: PendingUpdate


class MessageReconciler:
    """Posts and edits the messages of all providers. Every process runs one; only the leader's one is active."""

    def __init__(
        self, services: Services, providers: Sequence[MessageProvider], limits: MessagingLimits | None = None
    ) -> None:
        """Take the services and the providers, whose order is that of messages of the same urgency. No I/O."""
        self._services = services
        self._engine = services.engine
        self._providers = providers
        self._limits = limits or MessagingLimits()
        self._lease = LeaderLease(services.engine)
        self._publisher = MessagePublisher(services, self._lease, self._limits)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._broken: set[str] = set()
        self._is_at_work = self._is_leader = False

    async def run(self) -> None:
        """Reconcile until the engine is stopping, then show the last state."""
        stopping = self._engine.stopping
        try:
            while not stopping.is_set():
                seen = self._engine.database.activity.count
                is_shown = await self._reconcile_safely()
                idle_s = self._idle_look(is_shown=is_shown)
                await self._services.wake.wait(self._engine, self._limits.look, idle_s, seen)
                if not stopping.is_set():
                    await asyncio.sleep(self._limits.least_look)  # collects changes that belong together
            await self._finish()
        finally:
            await self._close()

    def _idle_look(self, *, is_shown: bool) -> float:
        """Return after how many seconds to look again while nothing happens in the database."""
        if not self._is_leader:
            return self._limits.follow
        return self._limits.idle_look if is_shown and not self._is_at_work else self._limits.look

    async def reconcile_once(self) -> bool:
        """Read the state once, and start the requests that are due. Returns whether Slack shows everything."""
        self._is_leader = await self._lease.take()
        if not self._is_leader:
            return True
        busy = set(self._tasks)  # their rows may change while they are read
        async with self._engine.database.read() as db:
            snapshot = Snapshot(db, self._services.with_groups)
            subjects = [subject for each in self._providers for subject in await each.read(snapshot)]
            stored = await snapshot.stored_messages(key for subject in subjects for key in subject.keys)
        for provider in self._providers:
            await provider.after_read()
        self._is_at_work = any(subject.is_at_work for subject in subjects)
        requests = self._plan(subjects, stored, busy)
        for request in requests:
            if self._publisher.may_publish_now(request.desired, request.stored, request.update):
                self._start(request.desired.key, partial(self._publish, request))
        return not requests and not busy and not self._tasks

    async def _reconcile_safely(self) -> bool:
        """Reconcile. After an error, the next round shows what this one would have shown."""
        try:
            return await self.reconcile_once()
        except DATABASE_FAULTS:
            logger.warning("could not read the state of messages from the database", exc_info=True)
        except Exception:  # one failed round must not stop the following ones
            logger.exception("a reconciliation of messages failed")
        return False

    # -- planning ---------------------------------------------------------------------------------

    def _plan(self, subjects: Iterable[Subject], stored: StoredMessages, busy: Set[str]) -> list[_Request]:
        """Return the requests that are due, urgent ones first, then posts. Subjects that are fully shown are marked."""
        due: list[_Request] = []
        for subject in subjects:
            try:
                state = subject.desired_state(stored)
            except Exception:  # one subject must not keep the others from being shown
                if subject.name not in self._broken:  # it fails in every round
                    self._broken.add(subject.name)
                    logger.exception("could not build the messages of %s", subject.name)
                continue
            requests = self._requests(state.messages, stored)
            due += [each for each in requests if each.desired.key not in busy]
            interrupted = self._mark_interrupted(state.messages, stored, busy)
            is_stored = all(desired.key in stored for desired in state.messages)
            is_busy = not busy.isdisjoint(desired.key for desired in state.messages)
            if state.is_final and is_stored and not (requests or interrupted or is_busy):
                self._mark_done(subject, state.messages, stored)
        return sorted(due, key=lambda each: (not each.desired.urgent, each.update.edits))

    def _requests(self, messages: Iterable[DesiredMessage], stored: StoredMessages) -> list[_Request]:
        requests = []
        for desired in messages:
            current = stored.get(desired.key)
            if (update := self._publisher.plan_update(desired, current)) is not None:
                requests.append(_Request(desired, current, update))
        return requests

    def _mark_interrupted(self, messages: Iterable[DesiredMessage], stored: StoredMessages, busy: Set[str]) -> bool:
        """Mark posts as unconfirmed if their process died or could not store the answer. Returns whether any exist."""
        sending = [
            desired.key
            for desired in messages
            if desired.key in stored and stored[desired.key].status is MessageStatus.SENDING
        ]
        for key in sending:
            if key not in busy:
                self._start(key, partial(self._set_unconfirmed, key))
        return bool(sending)

    def _mark_done(self, subject: Subject, messages: Iterable[DesiredMessage], stored: StoredMessages) -> None:
        if subject.on_done is not None:
            subject.on_done()
        for desired in messages:
            if not desired.is_reply and stored[desired.key].kind != MessageKind.DONE:
                self._start(desired.key, partial(self._change, desired.key, kind=MessageKind.DONE.value))

    # -- requests ---------------------------------------------------------------------------------

    def _start(self, key: str, work: Callable[[], Awaitable[None]]) -> None:
        # A function, because a task that is cancelled before it begins would leave a coroutine that is never awaited.
        self._tasks[key] = asyncio.create_task(self._run_task(key, work), name=f"message {key}")

    async def _publish(self, request: _Request) -> None:
        if await self._publisher.publish(request.desired, request.stored, request.update):
            self._services.wake()

    async def _run_task(self, key: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except DATABASE_FAULTS:
            logger.warning("could not store the state of message %s", key, exc_info=True)
        except Exception:
            logger.exception("could not publish message %s", key)
        finally:
            self._tasks.pop(key, None)

    async def _set_unconfirmed(self, key: str) -> None:
        logger.info("the post of message %s was interrupted; Slack may show it or not", key)
        await self._change(key, status=MessageStatus.UNCONFIRMED, error="interrupted")
        self._services.wake()

    async def _change(self, key: str, **values: Unpack[SlackMessageUpdate]) -> None:
        async def write() -> None:
            async with self._engine.database.write() as db:
                await slack_messages.change(db, key, **values)

        await to_the_end(write())

    # -- stopping ---------------------------------------------------------------------------------

    async def _finish(self) -> None:
        """Show the last state, as far as Slack takes it in time. Runs of this process get time to stop before that."""
        stopped_by = time.monotonic() + self._limits.stopping
        ends_at = time.monotonic() + self._limits.ending
        while True:
            is_shown = await self._reconcile_safely()
            now = time.monotonic()
            if self._is_at_work and now < stopped_by:
                ends_at = now + self._limits.ending
            elif is_shown or now >= ends_at:
                return
            await asyncio.sleep(self._limits.least_look)

    async def _close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for provider in self._providers:
            await provider.close()
        try:
            await self._lease.give_back()
        except DATABASE_FAULTS:  # other processes see that this one has ended
            logger.warning("could not release the leader lease", exc_info=True)
