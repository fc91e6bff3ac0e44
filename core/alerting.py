"""Alerts: opened once when something fails, closed once when it works again, acknowledged or snoozed by people.

An alert is a row (core/store/alerts.py). The provider of alert messages (in `bot`) decides in which channel it appears.
"""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import SyncError
from core.iterable.errors import WHOLE_CONNECTION_CODES
from core.models.run import Run, RunStatus
from core.store import alerts, audit_log, clock
from core.store.alert_kinds import AlertKind
from core.store.alerts import AlertOutcome
from core.store.audit_log import AuditAction

# Who closes an alert: the next success of the mapping closes a failure (`runs_succeeded`). The rules close theirs
# (core/notifications/rule_watch.py), maintenance closes those about backlogs and silence (core/live), the look at a
# source that finds a file a late one's, the next check of a list a drift, the first written run that of the run log.

# An alert that no person has caused is shown at most once in so many seconds for a mapping and kind.
SHOWN_EVERY_S = 3600.0
SNOOZE_S = 24 * 3600.0


async def open_or_repeat(
    db: AsyncConnection,
    *,
    connection_id: int,
    mapping_id: int | None,
    run_id: str | None,
    code: str,
    message: str,
    is_urgent: bool = False,
) -> None:
    """Open an alert for a mapping, or count another occurrence of the open alert if it has the same code.

    The alert is about the connection instead of the mapping if `mapping_id` is None or if an error of this code makes
    every mapping of the connection fail. An open alert of the same kind with another code is superseded. Unless it is
    urgent, an alert is shown an hour after the one of its kind before it at the earliest.
    """
    if code in WHOLE_CONNECTION_CODES:
        mapping_id = None
    kind = AlertKind.of(code)
    current = await alerts.open_of(db, connection_id, mapping_id, kind)
    if current is not None and current.code == code:
        await alerts.change(db, current.id, occurrences=current.occurrences + 1, run_id=run_id, message=message)
        return
    if current is not None:
        await alerts.close(db, current.id, AlertOutcome.SUPERSEDED)
    show_at = 0.0
    if not is_urgent:
        now = await clock.now(db)
        last = await alerts.last_shown_at(db, connection_id, mapping_id, kind, now - SHOWN_EVERY_S)
        show_at = 0.0 if last is None else last + SHOWN_EVERY_S
    await alerts.open_(
        db,
        connection_id=connection_id,
        mapping_id=mapping_id,
        run_id=run_id,
        code=code,
        message=message,
        show_at=show_at,
        snoozed_until=current.snoozed_until if current is not None else None,  # it is the same outage
    )


async def resolve(db: AsyncConnection, connection_id: int, mapping_id: int | None, kind: AlertKind) -> None:
    """Close the open alert of a kind of a mapping, or (None) of the connection as a whole."""
    current = await alerts.open_of(db, connection_id, mapping_id, kind)
    if current is not None:
        await alerts.close(db, current.id, AlertOutcome.RESOLVED)


async def resolve_all(db: AsyncConnection, connection_id: int, mapping_id: int) -> None:
    """Close the open alerts of a mapping that ends."""
    for current in await alerts.all_open_of(db, connection_id, mapping_id):
        await alerts.close(db, current.id, AlertOutcome.RESOLVED)


async def runs_succeeded(db: AsyncConnection, runs: Sequence[Run]) -> None:
    """Close the alerts about failures of the runs' mappings and of their connections: both work again."""
    mapping_ids = {run.mapping_id for run in runs}
    for each in await alerts.failures_of(db, {run.connection_id for run in runs}):
        if each.mapping_id is None or each.mapping_id in mapping_ids:
            await alerts.close(db, each.id, AlertOutcome.RESOLVED)


async def run_failed(db: AsyncConnection, run: Run, code: str | None, message: str | None) -> None:
    """Open or repeat the alert about a run that failed."""
    await open_or_repeat(
        db,
        connection_id=run.connection_id,
        mapping_id=run.mapping_id,
        run_id=run.id,
        code=code or SyncError.code,
        message=message or "The run failed.",
        is_urgent=not (run.is_live or run.is_scheduled),
    )


async def run_log_failed(db: AsyncConnection, run: Run, message: str) -> None:
    """Open or repeat the alert that the run log can't be written, for the connection of a run that waits for it."""
    known = await alerts.open_with_code(db, AlertKind.RUN_LOG)
    connection_id = run.connection_id if known is None else known.connection_id
    await open_or_repeat(
        db, connection_id=connection_id, mapping_id=None, run_id=None, code=AlertKind.RUN_LOG.value, message=message
    )


async def run_log_written(db: AsyncConnection) -> None:
    """Close the alert that the run log can't be written."""
    known = await alerts.open_with_code(db, AlertKind.RUN_LOG)
    if known is not None:
        await alerts.close(db, known.id, AlertOutcome.RESOLVED)


async def on_run_ended(db: AsyncConnection, run: Run, status: RunStatus, error: SyncError | None = None) -> None:
    """Open or close alerts when a run ends.

    A run from the command line opens none: its terminal shows the error. Micro-batches are left to core.live, which
    alerts once per mapping and not once per batch.
    """
    if run.is_live:
        return
    if status is RunStatus.SUCCEEDED:
        await runs_succeeded(db, [run])
    elif status is RunStatus.FAILED and run.started_by is not None and error is not None:
        await run_failed(db, run, error.code, error.message)


async def acknowledge(db: AsyncConnection, alert_id: int, *, by: str, team_id: str | None) -> bool:
    """Record that a person takes care of an alert. Returns False if another person does already."""
    if not await alerts.acknowledge(db, alert_id, by):
        return False
    subject = f"alert:{alert_id}"
    await audit_log.add(db, team_id=team_id, actor=by, action=AuditAction.ALERT_TAKEN, subject=subject, after={})
    return True


async def snooze(db: AsyncConnection, alert_id: int, *, by: str, team_id: str | None) -> float:
    """Mute an alert for everyone for a day, or until it is resolved. Returns the end of that time, in seconds since
    1970."""
    until = await clock.now(db) + SNOOZE_S
    await alerts.change(db, alert_id, snoozed_until=until)
    subject, after = f"alert:{alert_id}", {"until": until}
    await audit_log.add(db, team_id=team_id, actor=by, action=AuditAction.ALERT_MUTED, subject=subject, after=after)
    return until


async def unsnooze(db: AsyncConnection, alert_id: int, *, by: str, team_id: str | None) -> None:
    """Undo a snooze: the alert is posted again."""
    await alerts.change(db, alert_id, snoozed_until=None)
    subject = f"alert:{alert_id}"
    await audit_log.add(
        db, team_id=team_id, actor=by, action=AuditAction.ALERT_MUTED, subject=subject, after={"until": None}
    )
