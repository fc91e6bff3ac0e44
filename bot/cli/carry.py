"""Carrying a run to its end: progress, approval, and the report that it ends with."""

from collections.abc import Awaitable

from bot.cli import approval, render
from bot.cli.codes import Code
from bot.cli.command import Session, print_json
from bot.cli.progress import watch
from core import workflows
from core.engine import Engine
from core.report import RunReport
from core.runs import Run, Status
from core.store import rejections, runs

STOPPING = "Stopping after what is under way. Press Ctrl-C again to leave at once."


async def carry(session: Session, engine: Engine, run_id: str, work: Awaitable[Status]) -> Code:
    """Await the work on a run, ask for approval where it waits for one, show how it ended, and return the exit code."""
    terminal = session.terminal

    def stop() -> None:
        engine.stopping.set()
        terminal.say(STOPPING, "yellow")

    with session.interruption.stopping_with(stop):
        status = await watch(engine, terminal, run_id, work)
        if status is Status.NEEDS_APPROVAL:
            run = await approval.ask(engine, terminal, await load(engine, run_id))
            if not approval.open_guards(run):
                await watch(engine, terminal, run_id, workflows.resume(engine, run_id))
    return await conclude(session, engine, run_id)


async def load(engine: Engine, run_id: str) -> Run:
    """Return a run that there is."""
    async with engine.database.read() as db:
        run = await runs.by_id(db, run_id)
    assert run is not None
    return run


async def conclude(session: Session, engine: Engine, run_id: str) -> Code:
    """Show how a run ended, and return the exit code for it."""
    run = await load(engine, run_id)
    async with engine.database.read() as db:
        report = RunReport.of(run, await rejections.by_reason(db, run_id))
    terminal = session.terminal
    if terminal.as_json:
        print_json(report)
    elif run.status is not Status.NEEDS_APPROVAL:  # of that one the plan has been shown
        terminal.show(render.summary(report, run))
    if sentence := next_step(run):
        terminal.say(sentence, "red" if run.status is Status.FAILED else "yellow")
    if run.status is Status.NEEDS_APPROVAL and engine.stopping.is_set():
        return Code.INTERRUPTED
    return code_of(run)


def next_step(run: Run) -> str:
    """What a person should know or do about a run that did not succeed."""
    resume = f"iterable-sync runs resume {run.id}"
    match run.status:
        case Status.FAILED:
            failed = run.error or "It failed."
            return failed if code_of(run) is Code.BAD_INPUT else f"{failed} To go on with the run: {resume}"
        case Status.INTERRUPTED:
            return f"The run was interrupted; what was done is recorded. To go on with it: {resume}"
        case Status.NEEDS_APPROVAL:
            drop = f"iterable-sync runs cancel {run.id}"
            return f"Nothing was sent. To go on: {approval.how_to_overrule(run)}. To drop it: {drop}"
        case Status.CANCELLED:
            return run.error or "The run was cancelled; what was done before is recorded."
        case Status.SUCCEEDED | Status.PLANNED:
            return ""
        case _:
            return f"Another process has taken the run over: iterable-sync runs show {run.id}"


def code_of(run: Run) -> Code:
    """The exit code for a run's status."""
    bad_input = run.error_code in {"bad_input", "bad_settings"} and run.requests == 0
    codes = {
        Status.SUCCEEDED: Code.OK,
        Status.PLANNED: Code.OK,
        Status.FAILED: Code.BAD_INPUT if bad_input else Code.FAILED,
        Status.NEEDS_APPROVAL: Code.NEEDS_APPROVAL,
        Status.INTERRUPTED: Code.INTERRUPTED,
    }
    return codes.get(run.status, Code.FAILED)
