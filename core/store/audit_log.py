"""The audit log: who did what, when, with the values before and after. It contains no address and no key."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import clock, outbox
from core.store.tables import audit_log

#: Actors that are not people in Slack: a message from mParticle, and the command line.
MPARTICLE = "mparticle"
COMMAND_LINE = "command line"
#: A configuration file that the operator applies.
CONFIGURATION = "configuration file"
#: The actors of the operator, who may read everything.
OPERATORS = frozenset({COMMAND_LINE, CONFIGURATION})
#: This program, for automatic actions.
PROGRAM = "iterable-sync"


class AuditAction(StrEnum):
    """The audited actions."""

    CONNECTION_ADDED = "connection.added"
    CONNECTION_CHANGED = "connection.changed"
    KEY_REPLACED = "connection.key_replaced"
    CONNECTION_REMOVED = "connection.removed"
    MPARTICLE_CONNECTED = "connection.mparticle_connected"
    MPARTICLE_DISCONNECTED = "connection.mparticle_disconnected"
    MAPPING_PROPOSED = "mapping.proposed"
    MAPPING_APPROVED = "mapping.approved"
    MAPPING_DECLINED = "mapping.declined"
    MAPPING_CHANGED = "mapping.changed"
    MAPPING_PAUSED = "mapping.paused"
    MAPPING_RESUMED = "mapping.resumed"
    MAPPING_ARCHIVED = "mapping.archived"
    MAPPING_RESTORED = "mapping.restored"
    MAPPING_REMOVED = "mapping.removed"
    MAPPING_DELETION_ASKED = "mapping.deletion_asked"
    FROZEN = "mapping.frozen"
    UNFROZEN = "mapping.unfrozen"
    SCHEDULE_ADDED = "schedule.added"
    SCHEDULE_CHANGED = "schedule.changed"
    SCHEDULE_PAUSED = "schedule.paused"
    SCHEDULE_RESUMED = "schedule.resumed"
    SCHEDULE_REMOVED = "schedule.removed"
    SCHEDULE_RUN_NOW = "schedule.run_now"
    SYNCED_NOW = "mapping.sync_asked"
    OTHERS_ACCEPTED = "mapping.others_accepted"
    DIFFERENCES_TAKEN = "mapping.differences_taken"
    RUN_STARTED = "run.started"
    RUN_APPROVED = "run.approved"
    RUN_DECLINED = "run.declined"
    RUN_EXPIRED = "run.expired"
    RUN_PLAN_CHANGED = "run.plan_changed"
    RUN_CANCELLED = "run.cancelled"
    RUN_RETRIED = "run.retried"
    RETRY_STOPPED = "run.retry_stopped"
    RUN_UNDO_ASKED = "run.undo_asked"
    RUN_REMINDED = "run.reminded"
    REJECTIONS_TAKEN = "run.rejections_taken"
    RUN_LOG_CHANGED = "run_log.changed"
    ALERT_TAKEN = "alert.taken"
    ALERT_MUTED = "alert.muted"
    TOKEN_CREATED = "token.created"  # noqa: S105  # the name of an action
    TOKEN_REVOKED = "token.revoked"  # noqa: S105
    SECRET_KEY_REPLACED = "secret_key.replaced"  # noqa: S105
    SECRET_KEY_LOST = "secret_key.lost"  # noqa: S105
    ALERT_RULES_CHANGED = "alert.rules_changed"
    REPORTS_CHANGED = "report.changed"
    REPORT_SENT = "report.sent"
    ROUTE_ADDED = "route.added"
    ROUTE_CHANGED = "route.changed"
    ROUTE_REMOVED = "route.removed"
    ROUTE_TESTED = "route.tested"
    DELIVERIES_REPLAYED = "route.replayed"
    LOOKED_UP = "person.looked_up"
    ERASED = "person.erased"
    WORKSPACE_SUSPENDED = "workspace.suspended"
    WORKSPACE_RESTORED = "workspace.restored"
    WORKSPACE_ERASED = "workspace.erased"


#: The actions that change a mapping: webhooks carry them.
MAPPING_CHANGES = frozenset(
    {
        AuditAction.MAPPING_PROPOSED,
        AuditAction.MAPPING_APPROVED,
        AuditAction.MAPPING_DECLINED,
        AuditAction.MAPPING_CHANGED,
        AuditAction.MAPPING_PAUSED,
        AuditAction.MAPPING_RESUMED,
        AuditAction.MAPPING_ARCHIVED,
        AuditAction.MAPPING_RESTORED,
    }
)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One audited action. `subject` is its object, such as "run:abc"."""

    id: int
    at: float
    team_id: str | None
    actor: str
    action: AuditAction
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


async def add(
    db: AsyncConnection,
    *,
    team_id: str | None,
    actor: str,
    action: AuditAction,
    subject: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Record an action, in the transaction that performs it."""
    await db.execute(
        insert(audit_log).values(
            at=await clock.now(db),
            team_id=team_id,
            actor=actor,
            action=action.value,
            subject=subject,
            before=json.dumps(before) if before is not None else None,
            after=json.dumps(after) if after is not None else None,
        )
    )
    if action in MAPPING_CHANGES:
        await outbox.mapping_changed(db, int(subject.removeprefix("mapping:")), action.value, actor)


async def last_id(db: AsyncConnection) -> int:
    """Return the id of the latest entry."""
    return int((await db.execute(select(func.max(audit_log.c.id)))).scalar_one() or 0)


async def subjects_since(db: AsyncConnection, entry_id: int) -> list[tuple[int, str]]:
    """Return the ids and subjects of the entries after this one, oldest first."""
    query = select(audit_log.c.id, audit_log.c.subject).where(audit_log.c.id > entry_id).order_by(audit_log.c.id)
    return [(found_id, subject) for found_id, subject in await db.execute(query)]


async def of(db: AsyncConnection, subjects: Sequence[str]) -> list[AuditEntry]:
    """Return the entries of these subjects, oldest first."""
    query = select(audit_log).where(audit_log.c.subject.in_(subjects)).order_by(audit_log.c.id)
    return [_entry(row) for row in await db.execute(query)]


async def page(db: AsyncConnection, *, team_id: str | None, after_id: int, limit: int) -> list[AuditEntry]:
    """Return the entries of a workspace (None: all) whose id is above `after_id`, oldest first."""
    query = select(audit_log).where(audit_log.c.id > after_id)
    if team_id is not None:
        query = query.where(audit_log.c.team_id == team_id)
    return [_entry(row) for row in await db.execute(query.order_by(audit_log.c.id).limit(limit))]


async def entries_since(
    db: AsyncConnection, action: AuditAction, *, after_id: int, after: float | None = None
) -> list[AuditEntry]:
    """Return the entries of an action whose id is above `after_id`, and that are newer than `after`, oldest first."""
    query = select(audit_log).where(audit_log.c.id > after_id, audit_log.c.action == action.value)
    if after is not None:
        query = query.where(audit_log.c.at > after)
    return [_entry(row) for row in await db.execute(query.order_by(audit_log.c.id))]


def _entry(row: Any) -> AuditEntry:
    return AuditEntry(
        row.id,
        row.at,
        row.team_id,
        row.actor,
        AuditAction(row.action),
        row.subject,
        json.loads(row.before) if row.before else None,
        json.loads(row.after) if row.after else None,
    )
