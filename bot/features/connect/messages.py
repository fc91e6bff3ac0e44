"""The messages about a change of approvers: to the previous approvers, and in the alert channel."""

from collections.abc import Sequence
from functools import partial

from bot.messages.desired import DesiredMessage, MessageKind
from bot.messages.provider import DesiredState, Snapshot, StoredMessages, Subject
from bot.ui.blocks import Message, section
from bot.ui.formatting import escape, person
from core.models.people import people_only
from core.store import audit_log, mappings
from core.store.audit_log import AuditAction, AuditEntry
from core.store.connections import Connection

# Changes that are older when this process starts are not reported, in seconds.
LOOK_BACK_S = 24 * 3600.0
_MAPPING = "mapping"


class ApproversMessageProvider:
    """Provides a message for each change of who may approve: in the alert channel, and to each previous approver."""

    def __init__(self) -> None:
        """Start with the changes of the last day. No I/O."""
        self._last_entry: int | None = None
        self._pending: dict[int, AuditEntry] = {}

    async def read(self, snapshot: Snapshot) -> list[Subject]:
        """Read the changes that are not reported yet."""
        since = await snapshot.now() - LOOK_BACK_S if self._last_entry is None else None
        entries = await audit_log.entries_since(
            snapshot.db, AuditAction.CONNECTION_CHANGED, after_id=self._last_entry or 0, after=since
        )
        entries += await audit_log.entries_since(
            snapshot.db, AuditAction.MAPPING_CHANGED, after_id=self._last_entry or 0, after=since
        )
        self._last_entry = await audit_log.last_id(snapshot.db)
        self._pending |= {entry.id: entry for entry in entries if _concerns_approvers(entry)}
        if not self._pending:
            return []
        subjects = []
        for entry in list(self._pending.values()):
            changed = await _changed(snapshot, entry)
            messages = [] if changed is None else approvers_changed(*changed, entry)
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


async def _changed(snapshot: Snapshot, entry: AuditEntry) -> tuple[Connection, str, tuple[str, ...]] | None:
    """Return the connection whose approvers changed, and its name or that of its mapping; None if it was removed.

    If the approvers of a mapping changed, the connection is as of that mapping, and the third value is the approvers of
    the connection, who decided while the mapping had none of its own.
    """
    kind, _, number = entry.subject.partition(":")
    if kind == _MAPPING:
        mapping = await mappings.by_id(snapshot.db, int(number))
        if mapping is None:
            return None
        connection = await snapshot.connection_of(mapping.connection_id, mapping.id)
        if connection is None:
            return None
        of_connection = (await snapshot.connections())[mapping.connection_id].approvers
        return connection, f"{mapping.label} ({connection.label})", of_connection
    connection = (await snapshot.connections()).get(int(number))
    return None if connection is None else (connection, connection.label, ())


def approvers_changed(
    connection: Connection, label: str, others: Sequence[str], entry: AuditEntry
) -> list[DesiredMessage]:
    """Return the messages about a change of who may approve. `label` names what they approve syncs of.

    `others` approved before if the entry names no one.
    """
    before = (entry.before or {}).get("approvers") or list(others)
    after = (entry.after or {}).get("approvers")
    names = ", ".join(person(each) for each in connection.approvers if not after or each in after)
    if after is not None:
        text = f"{person(entry.actor)} changed who approves syncs of {escape(label)}: {names or 'no one'} now."
        if previous_names := ", ".join(map(person, before)):
            text += f" Before: {previous_names}."
    else:
        text = f"{person(entry.actor)} lets approvers of {escape(label)} approve their own requests."
    previous = before if after is not None else connection.approvers
    targets = [*([connection.alert_channel] if connection.alert_channel else []), *people_only(previous)]
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
