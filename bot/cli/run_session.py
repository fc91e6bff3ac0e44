"""Carrying a run to its end: progress, approval, and the report that it ends with."""

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
from core.runs.approval import open_guards
from core.store import rejections, runs

STOPPING = "Stopping after what is under way. Press Ctrl-C again to leave at once."


async def run_to_completion(session: Session, engine: Engine, run_id: str, work: Awaitable[RunStatus]) -> ExitCode:
    """Await the work on a run, ask for approval where it waits for one, show how it ended, and return the exit code."""
    terminal = session.terminal

    def stop() -> None:
        engine.stopping.set()
        terminal.say(STOPPING, "yellow")

    with session.interruption.stopping_with(
        stop, last_words=f"Left at once; what was sent is on record.\n{_go_on(run_id)}"
    ):
        status = await watch(engine, terminal, run_id, work)
        if status is RunStatus.NEEDS_APPROVAL:
            run = await approval_prompt.ask(engine, terminal, await load(engine, run_id))
            if not open_guards(run):
                await watch(engine, terminal, run_id, worker.resume(engine, run_id))
    return await print_outcome(session, engine, run_id)


async def load(engine: Engine, run_id: str) -> Run:
    """Return a run that there is."""
    async with engine.database.read() as db:
        run = await runs.by_id(db, run_id)
    assert run is not None
    return run


async def print_outcome(session: Session, engine: Engine, run_id: str) -> ExitCode:
    """Show how a run ended, and return the exit code for it."""
    run = await load(engine, run_id)
    async with engine.database.read() as db:
        report = RunReport.of(run, await rejections.by_reason(db, run_id))
    terminal = session.terminal
    if terminal.as_json:
        print_json(report)
    elif run.status is not RunStatus.NEEDS_APPROVAL:  # of that one the plan has been shown
        terminal.show(render.summary(report, run))
    if sentence := next_step(run):
        terminal.say(sentence, "red" if run.status is RunStatus.FAILED else "yellow")
    if run.status is RunStatus.NEEDS_APPROVAL and engine.stopping.is_set():
        return ExitCode.INTERRUPTED
    return code_of(run)


def next_step(run: Run) -> str:
    """What to know or do about a run that did not succeed. A command has a line to itself, so that it can be copied."""
    match run.status:
        case RunStatus.FAILED:
            said = run.error or "It failed."
            return f"{said}{remediation(run.error_code, said)}{_after_failure(run)}"
        case RunStatus.INTERRUPTED:
            what = run.error if run.is_orphan else "The run was interrupted."
            return f"{what} What was done is recorded.\n{_go_on(run.id)}"
        case RunStatus.NEEDS_APPROVAL:
            to_go_on = approval_prompt.how_to_overrule(run)
            return f"Nothing was sent.\n  To go on:    {to_go_on}\n  To drop it:  {_cancel(run.id)}"
        case RunStatus.CANCELLED:
            return run.error or "The run was cancelled; what was done before is recorded."
        case RunStatus.SUCCEEDED | RunStatus.PLANNED:
            return ""
        case _:
            return f"Another process has taken the run over: iterable-sync runs show {run.id}"


def _after_failure(run: Run) -> str:
    if code_of(run) is ExitCode.BAD_INPUT:  # nothing has begun that could go on
        return ""
    if run.error_code == ListNotFoundError.code:
        return f"\n  To drop the run:  {_cancel(run.id)}"
    return f"\n{_go_on(run.id)}"


def _go_on(run_id: str) -> str:
    return f"  To go on:  iterable-sync runs resume {run_id}"


def _cancel(run_id: str) -> str:
    return f"iterable-sync runs cancel {run_id}"


def code_of(run: Run) -> ExitCode:
    """The exit code for a run's status."""
    bad_input = run.error_code in BAD_INPUT and run.requests == 0
    codes = {
        RunStatus.SUCCEEDED: ExitCode.OK,
        RunStatus.PLANNED: ExitCode.OK,
        RunStatus.FAILED: ExitCode.BAD_INPUT if bad_input else ExitCode.FAILED,
        RunStatus.NEEDS_APPROVAL: ExitCode.NEEDS_APPROVAL,
        RunStatus.INTERRUPTED: ExitCode.INTERRUPTED,
    }
    return codes.get(run.status, ExitCode.FAILED)
