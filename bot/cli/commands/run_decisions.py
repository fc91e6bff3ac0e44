"""`iterable-sync runs approve`, `decline` and `undo`: decisions that a worker carries out."""

from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import options
from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command

if TYPE_CHECKING:
    from core.engine import Engine
    from core.models.run import Run
    from core.runs.approval import Decision

Comment = Annotated[str | None, typer.Option(help="Why, for the audit log and for people in Slack.")]


def approve(run_id: options.RunId, yes: options.Yes = False, comment: Comment = None) -> ExitCode:
    """Approve the plan of a run that waits for approval. A running `serve` or `worker` executes it.

    Exit codes: 0 approved, 3 not approved.
    """
    return run_command(lambda session: _approve(session, run_id, yes=yes, comment=comment))


def decline(run_id: options.RunId, comment: Comment = None) -> ExitCode:
    """Decline the plan of a run that waits for approval. Nothing is sent."""
    return run_command(lambda session: _decline(session, run_id, comment))


def undo(run_id: options.RunId) -> ExitCode:
    """Start a run that restores what a run has changed. It needs approval: `runs approve`."""
    return run_command(lambda session: _undo(session, run_id))


async def _approve(session: Session, run_id: str, *, yes: bool, comment: str | None) -> ExitCode:
    from bot.cli import approval_prompt
    from core.runs import approval
    from core.runs.approval import Decision
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        run = await _waiting(engine, run_id)
        if not approval_prompt.is_covered(run, yes=yes, allow_empty=yes):
            await approval_prompt.show_plan(engine, session.terminal, run)
            if not session.terminal.is_attended:
                session.terminal.say(f"To approve this plan: iterable-sync runs approve {run_id} --yes", "yellow")
                return ExitCode.NEEDS_APPROVAL
            with session.interruption.stopping_with(engine.stopping.set):
                if not await session.terminal.ask("Approve it?", engine.stopping):
                    return ExitCode.NEEDS_APPROVAL
        decision = await approval.approve(
            engine, run_id, plan_digest=run.plan_digest, by=COMMAND_LINE, comment=comment, team_id=None
        )
        if decision is not Decision.RECORDED:
            return _tell_not_decided(session, run_id, decision)
        is_executed = await _has_other_workers(engine)
    session.terminal.line(f"Run {run_id} is approved.")
    if not is_executed:
        session.terminal.say(f"No worker is running. To execute it here: iterable-sync runs resume {run_id}", "yellow")
    return ExitCode.OK


async def _decline(session: Session, run_id: str, comment: str | None) -> ExitCode:
    from core.runs import approval
    from core.runs.approval import Decision
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        run = await _waiting(engine, run_id)
        decision = await approval.decline(
            engine, run_id, plan_digest=run.plan_digest, by=COMMAND_LINE, comment=comment, team_id=None
        )
    if decision is not Decision.RECORDED:
        return _tell_not_decided(session, run_id, decision)
    session.terminal.line(f"Run {run_id} is declined. Nothing was sent.")
    return ExitCode.OK


async def _undo(session: Session, run_id: str) -> ExitCode:
    from core.runs import undo as use_case
    from core.runs.lookup import require_run
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        run = await require_run(engine, run_id)
        undo_id = await use_case.undo(engine, run_id, by=COMMAND_LINE, channel=run.channel, team_id=None)
        is_executed = await _has_other_workers(engine)
    session.terminal.line(f"Run {undo_id} undoes run {run_id}, once it is approved.")
    command = f"runs approve {undo_id}" if is_executed else f"runs resume {undo_id}"
    session.terminal.say(f"To see its plan and approve it: iterable-sync {command}")
    return ExitCode.OK


async def _waiting(engine: "Engine", run_id: str) -> "Run":
    """Return a run that waits for approval. Raises ConflictError if it does not."""
    from core.errors import ConflictError
    from core.models.run import RunStatus
    from core.runs.lookup import require_run

    run = await require_run(engine, run_id)
    if run.status is not RunStatus.NEEDS_APPROVAL:
        status = run.status.value.replace("_", " ")
        raise ConflictError(f"Run {run_id} does not wait for approval ({status}).", run_id=run_id)
    return run


async def _has_other_workers(engine: "Engine") -> bool:
    """Return whether another process is there that executes runs."""
    from core.store import workers

    await engine.presence.reap_dead_workers()
    async with engine.database.read() as db:
        return any(worker.id != engine.presence.id for worker in await workers.everyone(db))


def _tell_not_decided(session: Session, run_id: str, decision: "Decision") -> ExitCode:
    from core.runs.approval import Decision

    reasons = {
        Decision.TOO_LATE: "it was decided or cancelled meanwhile",
        Decision.CHANGED: "its plan has changed meanwhile",
        Decision.EXPIRED: "it has waited for too long, and its approval expired",
    }
    session.terminal.say(f"Nothing was decided about run {run_id}: {reasons[decision]}.", "yellow")
    return ExitCode.NEEDS_APPROVAL
