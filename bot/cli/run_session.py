"""Runs a sync in the foreground: progress, approval, and the report at the end."""

import logging
from collections.abc import Awaitable

from bot.cli import approval_prompt, render
from bot.cli.exit_codes import ExitCode
from bot.cli.progress import watch
from bot.cli.remediation import BAD_INPUT, remediation
from bot.cli.session import Session, print_json
from core.engine import Engine
from core.iterable import ListNotFoundError
from core.models.run import Run, RunStatus
from core.reporting.run_report import RunReport
from core.runs import worker
from core.runs.lookup import require_run
from core.store import clock, deliveries, rejections

logger = logging.getLogger(__name__)

# How long a run in a terminal waits at its end for the receivers of its events, in seconds.
DELIVERED_WITHIN_S = 5.0
STOPPING = "Stopping after the requests in progress. Press Ctrl-C again to exit at once."


async def run_to_completion(session: Session, engine: Engine, run_id: str, work: Awaitable[RunStatus]) -> ExitCode:
    """Await a run, ask for approval if it needs one, print the outcome, and return the exit code."""
    terminal = session.terminal

    def stop() -> None:
        engine.stopping.set()
        terminal.say(STOPPING, "yellow")

    with session.interruption.stopping_with(
        stop, last_words=f"Stopped immediately. Everything sent so far is recorded.\n{_resume(run_id)}"
    ):
        status = await watch(engine, terminal, run_id, work)
        waits = status is RunStatus.NEEDS_APPROVAL
        if waits and await approval_prompt.ask(engine, terminal, await require_run(engine, run_id)):
            await watch(engine, terminal, run_id, worker.execute_approved(engine, run_id))
    code = await print_outcome(session, engine, run_id)
    await _deliver(engine)
    return code


async def _deliver(engine: Engine) -> None:
    """Send the events of the run to the routes, for a few seconds at most: perhaps no worker runs that would."""
    async with engine.database.read() as db:
        if not await deliveries.due(db, 1):
            return
    from core.notifications.dispatcher import Dispatcher  # imports a mail client, which most runs never need

    if not await Dispatcher(engine).send_due_within(DELIVERED_WITHIN_S):
        logger.warning("some events are not delivered yet; `iterable-sync serve` or `worker` sends them")


async def print_outcome(session: Session, engine: Engine, run_id: str) -> ExitCode:
    """Print the outcome of a run, and return its exit code."""
    run = await require_run(engine, run_id)
    async with engine.database.read() as db:
        report = RunReport.of(run, await rejections.by_reason(db, run_id), await clock.now(db))
    terminal = session.terminal
    if terminal.as_json:
        print_json(report)
    elif run.status is not RunStatus.NEEDS_APPROVAL:  # otherwise the plan has been printed
        terminal.show(render.summary(report, run))
        if run.status is RunStatus.PLANNED:
            await approval_prompt.show_campaigns(engine, terminal, run)
    if sentence := next_step(run):
        terminal.say(sentence, "red" if run.status is RunStatus.FAILED else "yellow")
    if run.status is RunStatus.NEEDS_APPROVAL and engine.stopping.is_set():
        return ExitCode.INTERRUPTED
    return code_of(run)


def next_step(run: Run) -> str:
    """Return what to do about a run that did not succeed. Each command is on a line of its own, ready to copy."""
    match run.status:
        case RunStatus.FAILED:
            reason = run.error or "It failed."
            return f"{reason}{remediation(run.error_code, run.waiting_for_run_id)}{_after_failure(run)}"
        case RunStatus.INTERRUPTED:
            cause = run.error if run.is_orphan else "The run was interrupted."
            return f"{cause} What was done is recorded.\n{_resume(run.id)}"
        case _ if run.is_frozen or run.status is RunStatus.NEEDS_APPROVAL:
            return _while_it_waits(run)
        case RunStatus.CANCELLED | RunStatus.EXPIRED:
            return run.error or "The run was cancelled; what was done before is recorded."
        case RunStatus.SUCCEEDED | RunStatus.PLANNED:
            return ""
        case _:
            return f"Another process has taken over the run: iterable-sync runs show {run.id}"


def _while_it_waits(run: Run) -> str:
    if run.is_frozen:
        return (
            "The mapping is frozen, so the run waits. A worker (`iterable-sync serve` or `worker`) sends it when the "
            f"freeze ends.\n  Until when:  iterable-sync mappings show {run.mapping_id}\n{_resume(run.id)}"
        )
    to_approve = approval_prompt.how_to_overrule(run)
    return f"Nothing was sent.\n  To approve:  {to_approve}\n  To drop it:  {_cancel(run.id)}"


def _after_failure(run: Run) -> str:
    if code_of(run) is ExitCode.BAD_INPUT:  # there is nothing to resume
        return ""
    if run.error_code == ListNotFoundError.code:
        return f"\n  To drop the run:  {_cancel(run.id)}"
    return f"\n{_resume(run.id)}"


def _resume(run_id: str) -> str:
    return f"  To resume:  iterable-sync runs resume {run_id}"


def _cancel(run_id: str) -> str:
    return f"iterable-sync runs cancel {run_id}"


def code_of(run: Run) -> ExitCode:
    """Return the exit code for a run."""
    if run.is_frozen:
        return ExitCode.NEEDS_APPROVAL
    bad_input = run.error_code in BAD_INPUT and run.requests == 0
    codes = {
        RunStatus.SUCCEEDED: ExitCode.OK,
        RunStatus.PLANNED: ExitCode.OK,
        RunStatus.FAILED: ExitCode.BAD_INPUT if bad_input else ExitCode.FAILED,
        RunStatus.NEEDS_APPROVAL: ExitCode.NEEDS_APPROVAL,
        RunStatus.INTERRUPTED: ExitCode.INTERRUPTED,
    }
    return codes.get(run.status, ExitCode.FAILED)
