"""The dispatcher: sends the deliveries that are due, and repeats those that fail for a day.

Each process runs one. A delivery is claimed for one attempt by a statement that compares and sets its time; if the
process dies, another attempt is due when the claim is over. So a receiver may get a delivery twice, with the same id.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.errors import SyncError
from core.models.events import EventType
from core.notifications import mail, pagerduty, webhook
from core.notifications.answer import Answer, DeliverySkippedError
from core.notifications.route_secrets import RouteSecrets, unseal
from core.settings import DAY_S
from core.store import clock, deliveries, routes
from core.store.database import to_the_end
from core.store.database_errors import DATABASE_FAULTS
from core.store.deliveries import Delivery, DeliveryStatus
from core.store.routes import Route, RouteKind

logger = logging.getLogger(__name__)

# How often a process looks for deliveries that are due, also while nothing happens in the database, and deletes old
# ones, in seconds.
POLL_INTERVAL_S = 2.0
IDLE_INTERVAL_S = 10.0
CLEANUP_INTERVAL_S = 3600.0
# For how long an attempt claims its delivery, in seconds. No attempt takes longer.
CLAIM_S = 60.0
# How many deliveries a process sends at once: in all, and to one route.
AT_ONCE, AT_ONCE_TO_ROUTE = 16, 4
# The waits before the retries, in seconds; the last one is repeated until the delivery expires.
WAITS_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)
# Each wait is longer or shorter by up to this share, so that receivers that were down don't get everything at once.
JITTER = 0.2

_Sender = Callable[[RouteSecrets, str, str], Awaitable[Answer]]
_SENDERS: dict[RouteKind, _Sender] = {
    RouteKind.WEBHOOK: webhook.send,
    RouteKind.PAGERDUTY: pagerduty.send,
    RouteKind.EMAIL: mail.send,
}


class Dispatcher:
    """The dispatcher of this process."""

    def __init__(self, engine: Engine) -> None:
        """Take the engine. No I/O."""
        self._engine = engine
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._routes: dict[str, int] = {}
        self._cleaned_at = 0.0
        self._repeats_at = 0.0

    async def run(self) -> None:
        """Send what is due until the engine is stopping, and wait for the attempts in progress."""
        while not self._engine.stopping.is_set():
            seen = self._engine.database.activity.count
            try:
                await self.start_due()
            except DATABASE_FAULTS:
                logger.warning("could not read deliveries from the database", exc_info=True)
            except Exception:  # a bug must not end the dispatcher
                logger.exception("could not send deliveries")
            # a failed attempt is soon repeated
            idle_s = IDLE_INTERVAL_S if time.monotonic() > self._repeats_at else POLL_INTERVAL_S
            await self._engine.rest(POLL_INTERVAL_S, idle_s, seen)
        await self.finish()

    async def start_due(self) -> int:
        """Begin to send what is due. Returns how many attempts were begun."""
        if time.monotonic() - self._cleaned_at > CLEANUP_INTERVAL_S:
            self._cleaned_at = time.monotonic()
            async with self._engine.database.write(is_news=False) as db:
                await deliveries.drop_old(db, self._engine.settings.events_retention_days * DAY_S)
        async with self._engine.database.read() as db:
            due = await deliveries.due(db, AT_ONCE * 2)
            known = await routes.by_ids(db, {delivery.route_id for delivery in due}) if due else {}
        begun = 0
        for delivery in due:
            route = known.get(delivery.route_id)
            at_work = list(self._routes.values()).count(delivery.route_id)
            if route is None or len(self._tasks) >= AT_ONCE or at_work >= AT_ONCE_TO_ROUTE:
                continue
            if delivery.id not in self._tasks and await self._claim(delivery):
                self._start(route, delivery)
                begun += 1
        return begun

    async def finish(self) -> None:
        """Wait for the attempts in progress."""
        await asyncio.gather(*self._tasks.values())

    async def send_due_within(self, seconds: float) -> bool:
        """Send what is due, for so many seconds at most. Returns whether all was tried; what was not stays stored."""
        try:
            async with asyncio.timeout(seconds):
                while await self.start_due():
                    await self.finish()
        except TimeoutError:  # the attempts in progress were cancelled; they are repeated when their claims are over
            return False
        return True

    async def _claim(self, delivery: Delivery) -> bool:
        async with self._engine.database.write() as db:
            return await deliveries.claim(db, delivery, await clock.now(db) + CLAIM_S)

    def _start(self, route: Route, delivery: Delivery) -> None:
        task = asyncio.create_task(self._attempt_safely(route, delivery), name=f"delivery {delivery.id}")
        self._tasks[delivery.id], self._routes[delivery.id] = task, route.id
        task.add_done_callback(partial(self._ended, delivery.id))

    def _ended(self, delivery_id: str, _task: asyncio.Task[None]) -> None:
        del self._tasks[delivery_id], self._routes[delivery_id]
        self._repeats_at = time.monotonic() + WAITS_S[0] * (1 + JITTER) + POLL_INTERVAL_S

    async def _attempt_safely(self, route: Route, delivery: Delivery) -> None:
        try:
            await _attempt(self._engine, route, delivery)
        except DATABASE_FAULTS:  # the attempt is repeated when its claim is over
            logger.warning("could not record delivery %s", delivery.id, exc_info=True)
        except Exception:
            logger.exception("could not send delivery %s", delivery.id)


async def send_now(engine: Engine, route: Route, delivery_id: str) -> Answer:
    """Make one attempt of a delivery now, record it, and return the answer. It is not repeated if it fails."""
    async with engine.database.write() as db:
        delivery = await deliveries.by_id(db, delivery_id)
        assert delivery is not None
        await deliveries.claim(db, delivery, await clock.now(db) + CLAIM_S)
    answer = await _send(engine, route, delivery)
    status = DeliveryStatus.DELIVERED if answer.is_taken else DeliveryStatus.FAILED
    async with engine.database.write() as db:
        await deliveries.record(db, delivery_id, status, status_code=answer.status_code, error=answer.error)
    return answer


async def _attempt(engine: Engine, route: Route, delivery: Delivery) -> None:
    async with engine.database.read() as db:
        is_needed = await _is_needed(db, route, delivery)
    if not is_needed:
        await to_the_end(_record(engine, delivery, DeliveryStatus.SKIPPED))
        return
    try:
        answer = await _send(engine, route, delivery)
    except DeliverySkippedError:
        await to_the_end(_record(engine, delivery, DeliveryStatus.SKIPPED))
        return
    await to_the_end(_record_answer(engine, route, delivery, answer))


async def _is_needed(db: AsyncConnection, route: Route, delivery: Delivery) -> bool:
    """Return whether a delivery is needed: a fallback gets no alert that Slack or another fallback has shown, and the
    all-clear only of alerts that it got."""
    if not route.is_fallback or delivery.is_replayed or delivery.alert_id is None:
        return True
    if delivery.event_type == EventType.ALERT_OPENED:
        is_shown = await deliveries.is_shown(db, delivery.alert_id)
        return not is_shown and not await deliveries.fallbacks_with(db, delivery.alert_id)
    return route.id in await deliveries.fallbacks_with(db, delivery.alert_id)


async def _send(engine: Engine, route: Route, delivery: Delivery) -> Answer:
    try:
        secrets = unseal(engine, route)
    except SyncError as error:
        return Answer(False, error=error.message)
    return await _SENDERS[route.kind](secrets, delivery.id, delivery.event)


async def _record_answer(engine: Engine, route: Route, delivery: Delivery, answer: Answer) -> None:
    if answer.is_taken:
        await _record(engine, delivery, DeliveryStatus.DELIVERED, answer)
        return
    async with engine.database.read() as db:
        now = await clock.now(db)
    next_at = now + WAITS_S[min(delivery.attempts, len(WAITS_S) - 1)] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
    if answer.is_final or next_at > delivery.expires_at:
        logger.warning("gave up delivery %s to route %s: %s", delivery.id, route.name, answer.error)
        await _record(engine, delivery, DeliveryStatus.FAILED, answer)
    else:
        await _record(engine, delivery, DeliveryStatus.PENDING, answer, next_at)


async def _record(
    engine: Engine,
    delivery: Delivery,
    status: DeliveryStatus,
    answer: Answer | None = None,
    next_at: float | None = None,
) -> None:
    code, error = (answer.status_code, answer.error) if answer is not None else (None, None)
    async with engine.database.write() as db:
        await deliveries.record(db, delivery.id, status, next_at=next_at, status_code=code, error=error)
