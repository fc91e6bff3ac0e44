"""Offboarding of a workspace that removes the app: its syncs stop, its keys are deleted, and later all of its data."""

from core.engine import Engine
from core.models.run import RunStatus, StopReason
from core.store import audit_log, clock, connections, runs, workspaces
from core.store.audit_log import AuditAction

#: The actor in the audit log.
SLACK = "slack"
DAY_S = 24 * 3600.0
# How many rows of a table are deleted in one transaction.
PIECE = 5_000

_TO_STOP = [status.value for status in RunStatus if status.is_resumable]


async def suspend_workspace(engine: Engine, team_id: str) -> None:
    """Pause a workspace's mappings, stop its runs, delete its API keys and revoke its tokens. Idempotent.

    Connections without a workspace belong to the operator and do not change.
    """
    async with engine.database.write() as db:
        ids = await workspaces.suspend(db, team_id)
        for run_id in await workspaces.runs_to_stop(db, ids, _TO_STOP):
            run = await runs.lock(db, run_id)
            if run is not None and run.status.is_active and run.worker_id is not None:
                await runs.request_stop(db, run_id, StopReason.CANCEL)
            elif run is not None and run.status.is_resumable:
                await runs.set_status(db, run_id, RunStatus.CANCELLED)
        await audit_log.add(
            db,
            team_id=team_id,
            actor=SLACK,
            action=AuditAction.WORKSPACE_SUSPENDED,
            subject=f"workspace:{team_id}",
            after={"connections": ids},
        )


async def restore_workspace(engine: Engine, team_id: str) -> None:
    """Keep the data of a workspace that removed the app and then installed it again."""
    async with engine.database.write() as db:
        if await workspaces.restore(db, team_id):
            await audit_log.add(
                db,
                team_id=team_id,
                actor=SLACK,
                action=AuditAction.WORKSPACE_RESTORED,
                subject=f"workspace:{team_id}",
            )


async def erase_uninstalled(engine: Engine) -> None:
    """Erase, in chunks, all data of the workspaces that removed the app and whose retention period has ended."""
    async with engine.database.read() as db:
        before = await clock.now(db) - engine.settings.uninstall_retention_days * DAY_S
        expired = await workspaces.to_erase(db, before)
    for connection_id, team_id in expired:
        more = True
        while more:
            if engine.stopping.is_set():
                return  # the next pass continues
            async with engine.database.write() as db:
                more = await workspaces.erase_piece(db, connection_id, PIECE)
        async with engine.database.write() as db:
            await connections.remove(db, connection_id)
            if await workspaces.erase_records(db, team_id):
                subject = f"workspace:{team_id}"
                await audit_log.add(db, team_id=None, actor=SLACK, action=AuditAction.WORKSPACE_ERASED, subject=subject)
    if expired:
        await engine.database.clear_log()
