"""The messages of a run: the main message, replies in its thread, and direct messages to the person who started it."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.features.runs import reminders
from bot.features.runs.list_sizes import ListSizeFetcher
from bot.features.runs.progress_messages import progress, waiting
from bot.features.runs.result_messages import result_message
from bot.features.runs.run_reader import RunViewReader
from bot.features.runs.run_view import RunView
from bot.features.runs.thread_replies import (
    RUN_KEY,
    ApprovalMessages,
    cancelled_by,
    finished_key,
    key_of,
    question_key,
    replies_in,
)
from bot.messages import fallback
from bot.messages.desired import DesiredMessage, MessageKind, thread_of
from bot.messages.provider import DesiredState, Snapshot, StoredMessages, Subject
from bot.services import Services
from bot.ui.formatting import slack_user
from core.models.run import Run, RunStatus
from core.runs.variants import is_undecided
from core.settings import FETCHED
from core.store import audit_log, mappings, runs
from core.store.audit_log import AuditEntry
from core.store.database import to_the_end
from core.store.slack_messages import MessageStatus, SlackMessage

# How often runs are searched for final messages that are not shown yet, in seconds: those that ended since long before
# the last search, and less often all runs.
SWEEP_EVERY_S, SWEEP_ALL_EVERY_S = 60.0, 3600.0

_KINDS = {
    RunStatus.QUEUED: MessageKind.PLANNING,
    RunStatus.PLANNING: MessageKind.PLANNING,
    RunStatus.NEEDS_APPROVAL: MessageKind.CARD,
    RunStatus.RUNNING: MessageKind.PROGRESS,
}


class RunMessageProvider:
    """Provides the messages of runs that have not ended, and of ended runs until their final message is shown."""

    def __init__(self, services: Services, approval: ApprovalMessages) -> None:
        """Take the services. No I/O."""
        self._services = services
        self._approval = approval
        self._views = RunViewReader(services.engine.settings.data_dir / FETCHED)
        self._list_sizes = ListSizeFetcher(services.engine, services.wake)
        self._unfinished: set[str] = set()
        self._swept_at, self._swept_fully_at = -SWEEP_EVERY_S, -SWEEP_ALL_EVERY_S
        self._last_entry = 0
        self._due_reminders: list[tuple[RunView, int]] = []

    async def read(self, snapshot: Snapshot) -> list[Subject]:
        """Read the runs, and which reminders are due."""
        await self._find_unfinished(snapshot)
        followed = await runs.to_follow(snapshot.db, self._unfinished)
        views = as_shown(await self._views.read(snapshot, followed))
        entries = await _entries(snapshot.db, followed)
        ids = {run.mapping_id for run in followed}
        channels = {
            mapping.id: mapping.channel for mapping in (await mappings.by_ids(snapshot.db, ids) if ids else {}).values()
        }
        self._due_reminders = []
        subjects = []
        now = await snapshot.now() if views else 0.0
        for view in views.values():
            run = view.run
            history = entries.get(run.id, [])
            day = reminders.due(run, history, now)
            if day is not None:
                self._due_reminders.append((view, day))
            target = (
                run.channel or channels.get(run.mapping_id) or slack_user(run.asked_by) or view.connection.alert_channel
            )
            if target is not None:
                subjects.append(self._subject(replace(view, cancelled_by=cancelled_by(history)), target, history, now))
        return subjects

    async def after_read(self) -> None:
        """Record the reminders that are due; the next read shows them."""
        for view, day in self._due_reminders:
            await to_the_end(reminders.record(self._services.engine, view.run, day, view.connection.team_id))
            self._services.wake()

    async def close(self) -> None:
        """Cancel requests for list sizes."""
        await self._list_sizes.close()

    def _subject(self, view: RunView, target: str, entries: Sequence[AuditEntry], now: float) -> Subject:
        run = view.run
        key = key_of(run.id)
        return Subject(
            name=f"run {run.id}",
            keys=[
                key,
                _direct_key(key),
                question_key(key),
                finished_key(key),
                *(f"audit:{entry.id}" for entry in entries),
            ],
            desired_state=partial(self._desired_state, view, target, entries, now),
            on_done=partial(self._unfinished.discard, run.id),
            is_at_work=run.status.is_active and run.worker_id == self._services.engine.presence.id,
        )

    def _desired_state(
        self, view: RunView, target: str, entries: Sequence[AuditEntry], now: float, stored: StoredMessages
    ) -> DesiredState:
        is_held = view.run.is_scheduled and key_of(view.run.id) not in stored
        if is_held and self._services.engine.settings.is_quiet(now):
            return DesiredState([], is_final=False)  # posted when the quiet hours are over
        mentions = self._services.engine.settings.mentions_requester
        messages = desired_messages(view, target, entries, stored, self._approval, mentions=mentions)
        is_final = messages[0].kind is MessageKind.FINAL
        return DesiredState(messages, is_final and not self._list_sizes.is_pending(view.run, view.connection, now))

    async def _find_unfinished(self, snapshot: Snapshot) -> None:
        """Find runs without a final message: by recent audit entries, and every SWEEP_EVERY_S among ended runs."""
        db, now = snapshot.db, time.monotonic()
        if now - self._swept_at >= SWEEP_EVERY_S:
            is_full = now - self._swept_fully_at >= SWEEP_ALL_EVERY_S
            self._swept_at, self._swept_fully_at = now, now if is_full else self._swept_fully_at
            since = None if is_full else await snapshot.now() - 2 * SWEEP_ALL_EVERY_S
            self._last_entry = await audit_log.last_id(db)
            self._unfinished |= set(await runs.unshown(db, ended_after=since))
            return
        for entry_id, subject in await audit_log.subjects_since(db, self._last_entry):
            self._last_entry = entry_id
            if subject.startswith(RUN_KEY):
                self._unfinished.add(subject.removeprefix(RUN_KEY))


def as_shown(views: Mapping[str, RunView]) -> dict[str, RunView]:
    """Return the views that have messages: of undecided runs that are decided together, only the first, with all."""
    groups: dict[str, list[RunView]] = defaultdict(list)
    for view in views.values():
        if (group := view.run.request.group) is not None and is_undecided(view.run):
            groups[group].append(view)
    shown = dict(views)
    for members in groups.values():
        first, *others = sorted(members, key=lambda view: view.run.mapping_id)
        for other in others:
            del shown[other.run.id]
        if others:
            shown[first.run.id] = replace(first, together=(first, *others))
    return shown


def _direct_key(key: str) -> str:
    """Return the key of the direct message to the person who started the run."""
    return f"{key}:dm"


def message_kind(run: Run) -> MessageKind:
    """Return the kind of content that a run's main message shows now."""
    if run.status is RunStatus.INTERRUPTED:
        return MessageKind.PLANNING if run.plan is None else MessageKind.PROGRESS
    return _KINDS.get(run.status, MessageKind.FINAL)


def desired_messages(
    view: RunView,
    target: str,
    entries: Sequence[AuditEntry],
    stored: Mapping[str, SlackMessage],
    approval: ApprovalMessages,
    *,
    mentions: bool,
) -> list[DesiredMessage]:
    """Return the messages of a run, the main message first. `mentions`: a reply mentions who started it when it ends.

    The person who started the run gets a direct message as well if Slack rejected the main message.
    """
    run, team_id = view.run, view.connection.team_id
    key, kind = key_of(run.id), message_kind(run)
    if any(each.run.status is not RunStatus.NEEDS_APPROVAL for each in view.together):
        kind = MessageKind.PLANNING
    content = {
        MessageKind.PLANNING: waiting,
        MessageKind.CARD: (lambda _: approval.card_of_several(view.together)) if view.together else approval.card,
        MessageKind.PROGRESS: progress,
        MessageKind.FINAL: result_message,
    }[kind](view)
    is_urgent = kind in (MessageKind.CARD, MessageKind.FINAL)
    messages = [DesiredMessage(key, team_id, target, kind, content, is_urgent)]
    main, direct = stored.get(key), stored.get(_direct_key(key))
    is_missing = fallback.needs_fallback(main, _stored_kind(main, kind))
    # The note in a direct message about its channel is corrected only after the channel was tried again.
    is_shown = main is not None and main.status is MessageStatus.POSTED and main.kind == _stored_kind(main, kind)
    starter = slack_user(run.asked_by)
    if starter not in (None, target) and (is_missing or (direct is not None and is_shown)):
        noted = fallback.with_fallback_note(content, main)
        messages.append(DesiredMessage(_direct_key(key), team_id, starter or target, kind, noted, is_urgent))
    thread = thread_of(main) or thread_of(direct)
    if thread is not None:
        is_mentioned = mentions and not thread.channel.startswith("D")
        messages += replies_in(view, target, entries, thread, approval, mentions=is_mentioned)
    return messages


def _stored_kind(stored: SlackMessage | None, kind: MessageKind) -> str:
    """Return the kind as it is stored: a final message that is done is stored as done."""
    is_done = stored is not None and stored.kind == MessageKind.DONE and kind is MessageKind.FINAL
    return MessageKind.DONE if is_done else kind


async def _entries(db: AsyncConnection, followed: Iterable[Run]) -> dict[str, list[AuditEntry]]:
    """Return the audit entries of these runs by run id."""
    by_run: dict[str, list[AuditEntry]] = defaultdict(list)
    if subjects := [key_of(run.id) for run in followed]:
        for entry in await audit_log.of(db, subjects):
            by_run[entry.subject.removeprefix(RUN_KEY)].append(entry)
    return by_run
