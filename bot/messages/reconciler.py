"""The follower: brings what Slack shows to what the database says, again and again.

A look computes what each message should show, and compares it with what it showed last (the table `posts`). So it does
not matter what was missed: while Slack was down, or while this program was.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Iterator, Sequence, Set

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.messages import alert_messages, reminders, run_messages
from bot.messages import live_audience_messages as audience_messages
from bot.messages import proposal_messages as mapping_messages
from bot.messages.desired import DesiredMessage, MessageKind
from bot.messages.leadership import LeaderLease
from bot.messages.limits import MessagingLimits
from bot.messages.list_sizes import ListSizeFetcher
from bot.messages.publisher import MessagePublisher, PendingUpdate
from bot.messages.snapshot import Snapshot, SnapshotReader
from bot.services import Services
from core.store import audit_log, runs, slack_messages
from core.store.database import to_the_end
from core.store.slack_messages import MessageStatus, SlackMessage

# How often runs are looked for whose start nobody noticed (seconds): it takes a look at all runs.
SWEEP_EVERY_S = 60.0
_RUN = "run:"

logger = logging.getLogger(__name__)


class MessageReconciler:
    """Posts and edits the messages of runs and alerts. Run one in each process: only one of them works at a time."""

    def __init__(self, services: Services, pace: MessagingLimits | None = None) -> None:
        """Take the services. No I/O."""
        self._services = services
        self._engine = services.engine
        self._pace = pace or MessagingLimits()
        self._lease = LeaderLease(services.engine)
        self._poster = MessagePublisher(services, self._lease, self._pace)
        self._sizes = ListSizeFetcher(services.engine, services.wake)
        self._looker = SnapshotReader(self._pace)
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._undone: set[str] = set()
        self._swept_at = -SWEEP_EVERY_S
        self._seen_entry = 0
        self._broken: set[str] = set()
        self._at_work = False

    async def run(self) -> None:
        """Follow until the engine is stopping; then show the last state once more."""
        stopping = self._engine.stopping
        waking = asyncio.create_task(self._wake_at_the_end(), name="wake at the end")
        try:
            while not stopping.is_set():
                await self._look_safely()
                await self._services.wake.wait(self._pace.look)
                if not stopping.is_set():
                    await asyncio.sleep(self._pace.least_look)  # what changes together is shown together
            await self._finish()
        finally:
            waking.cancel()
            await self._end()

    async def reconcile_once(self) -> bool:
        """Look once, and begin what is to be done. Returns whether everything is shown as it is."""
        if not await self._lease.take():
            return True
        busy = set(self._under_way)  # what is read of these may be out of date when it has been read
        async with self._engine.database.read() as db:
            await self._notice(db)
            sight = await self._looker.look(db, self._undone)
        await self._remind(sight)
        all_shown = True
        self._at_work = any(run.status.is_active and run.worker == self._engine.presence.id for run in sight.runs)
        for wish, post, step in self._steps(sight, busy):
            all_shown = False
            if self._poster.is_time(wish, post, step):
                task = asyncio.create_task(self._take(wish, post, step), name=f"message {wish.key}")
                self._under_way[wish.key] = task
        return all_shown and not busy and not self._under_way

    async def _look_safely(self) -> bool:
        """Look; where the database is not there for a moment, the next look will show what this one would have."""
        try:
            return await self.reconcile_once()
        except (DBAPIError, OSError):
            logger.warning("the database could not be asked what to show", exc_info=True)
        except Exception:  # what one look can't show must not end all that follow
            logger.exception("a look at what to show failed")
        return False

    async def _notice(self, db: AsyncConnection) -> None:
        """Learn of runs whose last state is not shown: by what people did lately, and now and then of all of them."""
        if time.monotonic() - self._swept_at >= SWEEP_EVERY_S:
            self._swept_at = time.monotonic()
            self._seen_entry = await audit_log.last_id(db)
            self._undone |= set(await runs.unshown(db))
            return
        for entry_id, subject in await audit_log.subjects_since(db, self._seen_entry):
            self._seen_entry = entry_id
            if subject.startswith(_RUN):
                self._undone.add(subject.removeprefix(_RUN))

    async def _remind(self, sight: Snapshot) -> None:
        for run in sight.runs:
            day = reminders.due(run, sight.entries.get(run.id, ()), self._pace.clock())
            if day is not None and run.id in sight.stories:
                await to_the_end(reminders.record(self._engine, run, day, sight.stories[run.id].connection.team_id))
                self._services.wake()

    # -- what is to be done -----------------------------------------------------------------------

    def _steps(
        self, sight: Snapshot, busy: Set[str]
    ) -> list[tuple[DesiredMessage, SlackMessage | None, PendingUpdate]]:
        """What is to be done now, what matters most first. What is shown for good is noted."""
        steps = []
        for subject, wishes, is_last in self._wished(sight):
            found = [(wish, sight.posts.get(wish.key)) for wish in wishes]
            open_ = [(wish, post, step) for wish, post in found if (step := self._poster.step(wish, post))]
            steps += [each for each in open_ if each[0].key not in busy]
            stuck = [wish.key for wish, post in found if post is not None and post.state is MessageStatus.SENDING]
            for key in stuck:
                if key not in busy:  # its process died, or could not write down what became of it
                    self._begin(key, self._lose(key))
            is_shown = not open_ and not stuck and all(post is not None for _, post in found)
            if is_last and is_shown and not busy & {wish.key for wish in wishes}:
                self._note_done(subject, sight, found)
        return sorted(steps, key=lambda each: (not each[0].urgent, each[2].edits))

    def _wished(self, sight: Snapshot) -> Iterator[tuple[str, list[DesiredMessage], bool]]:
        """What is to be seen: of what, the wishes, and whether they are the last ones."""
        for run in sight.runs:
            target = sight.target_of(run)
            if run.id in sight.stories and target is not None:
                entries = sight.entries.get(run.id, [])
                with self._one_at_a_time(run.id):
                    story = sight.stories[run.id]
                    wishes = run_messages.desired_messages(story, target, entries, sight.posts)
                    is_last = wishes[0].stage is MessageKind.FINAL and not self._sizes.is_to_come(run, story.connection)
                    yield run.id, wishes, is_last
        for trouble in sight.troubles:
            it = trouble.alert
            muted = (it.connection_id, it.mapping_id) in sight.muted
            with self._one_at_a_time(f"alert {it.id}"):
                wishes = alert_messages.wishes(trouble, sight.posts, is_muted=muted)
                yield f"alert {it.id}", wishes, it.closed_at is not None
        for mapping in sight.proposals:
            if mapping.created_at > time.time() - self._pace.proposals:
                continue
            connection = sight.connections[mapping.connection_id]
            name = sight.lists.get((connection.id, mapping.list_id))
            waiting = sight.waiting.get(mapping.id, 0)
            with self._one_at_a_time(f"mapping {mapping.id}"):
                wishes = mapping_messages.wishes(mapping, connection, name, sight.posts, waiting)
                yield f"mapping {mapping.id}", wishes, wishes[0].stage is MessageKind.FINAL
        yield from self._of_feeds(sight)

    def _of_feeds(self, sight: Snapshot) -> Iterator[tuple[str, list[DesiredMessage], bool]]:
        """What is to be seen of audiences that mParticle feeds."""
        for fed in sight.feeds:
            with self._one_at_a_time(f"audience {fed.mapping.id}"):
                for wish in audience_messages.wishes(fed, sight.posts):
                    yield wish.key, [wish], wish.stage is MessageKind.FINAL
        for day in sight.days:
            with self._one_at_a_time(day.key):
                said = audience_messages.digest(day)
                yield day.key, [said] if said is not None else [], False

    @contextlib.contextmanager
    def _one_at_a_time(self, subject: str) -> Iterator[None]:
        """Keep what can't be shown of one thing from keeping all others from being shown."""
        try:
            yield
        except Exception:
            if subject not in self._broken:  # it will fail at each look
                self._broken.add(subject)
                logger.exception("%s can't be shown", subject)

    def _note_done(
        self, subject: str, sight: Snapshot, found: Sequence[tuple[DesiredMessage, SlackMessage | None]]
    ) -> None:
        self._undone.discard(subject)
        keys = [wish.key for wish, post in found if not wish.is_said_once and post is not None]
        for key in keys:
            if sight.posts[key].stage != MessageKind.DONE:
                self._begin(key, self._set(key, stage=MessageKind.DONE.value))

    # -- doing it ---------------------------------------------------------------------------------

    def _begin(self, key: str, work: Awaitable[None]) -> None:
        self._under_way[key] = asyncio.create_task(self._guarded(key, work), name=f"message {key}")

    async def _take(self, wish: DesiredMessage, post: SlackMessage | None, step: PendingUpdate) -> None:
        async def work() -> None:
            if await self._poster.take(wish, post, step):
                self._services.wake()

        await self._guarded(wish.key, work())

    async def _guarded(self, key: str, work: Awaitable[None]) -> None:
        try:
            await work
        except (DBAPIError, OSError):
            logger.warning("what became of message %s could not be stored", key, exc_info=True)
        except Exception:
            logger.exception("message %s could not be shown", key)
        finally:
            self._under_way.pop(key, None)

    async def _lose(self, key: str) -> None:
        logger.info("nobody knows whether message %s was posted", key)
        await self._set(key, state=MessageStatus.UNCONFIRMED.value, error="interrupted")
        self._services.wake()

    async def _set(self, key: str, **values: object) -> None:
        async def write() -> None:
            async with self._engine.database.write() as db:
                await slack_messages.change(db, key, **values)

        await to_the_end(write())

    # -- the end ----------------------------------------------------------------------------------

    async def _wake_at_the_end(self) -> None:
        await self._engine.stopping.wait()
        self._services.wake()

    async def _finish(self) -> None:
        """Show the last state, as far as Slack takes it in time; first of all, runs in this process have to stop."""
        stopped = time.monotonic() + self._pace.stopping
        ends = time.monotonic() + self._pace.ending
        while True:
            all_shown = await self._look_safely()
            now = time.monotonic()
            if self._at_work and now < stopped:
                ends = now + self._pace.ending
            elif all_shown or now >= ends:
                return
            await asyncio.sleep(self._pace.least_look)

    async def _end(self) -> None:
        under_way = list(self._under_way.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._sizes.close()
        try:
            await self._lease.give_back()
        except (DBAPIError, OSError):  # whoever comes next sees that this process is not there any more
            logger.warning("the lease could not be given back", exc_info=True)
