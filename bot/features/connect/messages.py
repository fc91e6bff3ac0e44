"""The messages about a change of approvers: to the previous approvers, and in the alert channel."""

import time
from collections.abc import Callable
from functools import partial

from bot.messages.desired import DesiredMessage, MessageKind
from bot.messages.provider import DesiredState, Snapshot, StoredMessages, Subject
from bot.ui.blocks import Message, section
from bot.ui.formatting import escape, person
from core.store import audit_log
from core.store.audit_log import AuditAction, AuditEntry
from core.store.connections import Connection

# Changes that are older when this process starts are not reported, in seconds.
LOOK_BACK_S = 24 * 3600.0
_CONNECTION = "connection:"


class ApproversMessageProvider:
    """Provides a message for each change of who may approve: in the alert channel, and to each previous approver."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Start with the changes of the last day. No I/O."""
        self._clock = clock
        self._last_entry: int | None = None
        self._pending: dict[int, AuditEntry] = {}

    async def read(self, snapshot: Snapshot) -> list[Subject]:
        """Read the changes that are not reported yet."""
        since = self._clock() - LOOK_BACK_S if self._last_entry is None else None
        entries = await audit_log.entries_since(
            snapshot.db, AuditAction.CONNECTION_CHANGED, after_id=self._last_entry or 0, after=since
        )
        self._last_entry = await audit_log.last_id(snapshot.db)
        self._pending |= {entry.id: entry for entry in entries if _concerns_approvers(entry)}
        if not self._pending:
            return []
        connections = await snapshot.connections()
        subjects = []
        for entry in list(self._pending.values()):
            connection = connections.get(int(entry.subject.removeprefix(_CONNECTION)))
            messages = [] if connection is None else approvers_changed(connection, entry)
            if not messages:
                del self._pending[entry.id]
                continue
            keys = [message.key for message in messages]
            done = partial(self._forget, entry.id)
            subjects.append(Subject(f"change {entry.id} of approvers", keys, partial(_state, messages), on_done=done))
        return subjects

    def _forget(self, entry_id: int) -> None:
        self._pending.pop(entry_id, None)

    async def after_read(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""


def approvers_changed(connection: Connection, entry: AuditEntry) -> list[DesiredMessage]:
    """Return the messages about a change of who may approve."""
    before = (entry.before or {}).get("approvers") or []
    after = (entry.after or {}).get("approvers")
    names = ", ".join(person(each) for each in connection.approvers if after is None or each in after)
    if after is not None:
        text = (
            f"{person(entry.actor)} changed who approves syncs of {escape(connection.label)}: {names or 'no one'} now."
        )
        if previous_names := ", ".join(map(person, before)):
            text += f" Before: {previous_names}."
    else:
        text = f"{person(entry.actor)} lets approvers of {escape(connection.label)} approve their own requests."
    previous = before if after is not None else connection.approvers
    targets = [*([connection.alert_channel] if connection.alert_channel else []), *previous]
    content = Message(text, [section(text)])
    return [
        DesiredMessage(
            f"audit:{entry.id}:{target}", connection.team_id, target, MessageKind.REPLY, content, urgent=True
        )
        for target in dict.fromkeys(targets)
        if target != entry.actor
    ]


def _concerns_approvers(entry: AuditEntry) -> bool:
    after = entry.after or {}
    return "approvers" in after or after.get("self_approval") is True


def _state(messages: list[DesiredMessage], stored: StoredMessages) -> DesiredState:
    return DesiredState(messages, is_final=True)
