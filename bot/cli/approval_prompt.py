"""Asks the person at the terminal to approve a plan that a guard has stopped."""

from bot.cli import render
from bot.ui.terminal import Terminal
from core.engine import Engine
from core.models.run import Run
from core.reporting.run_report import RunReport
from core.runs.approval import open_guards, overrule_guards
from core.store.audit_log import COMMAND_LINE


def how_to_overrule(run: Run) -> str:
    """Return the command that approves a run and resumes it."""
    options = sorted({render.option_for(guard.name) for guard in open_guards(run)})
    return f"iterable-sync runs resume {run.id} {' '.join(options)}".rstrip()


async def ask(engine: Engine, terminal: Terminal, run: Run) -> Run:
    """Show the plan of a run that waits for approval and, on a terminal, ask whether to approve it.

    Returns the run, updated if the person approved it.
    """
    terminal.tell(render.plan(run, RunReport.of(run, {})))
    if not terminal.is_attended:
        return run
    terminal.say("")
    if await terminal.asks("Approve it?", engine.stopping):
        return await overrule_guards(engine, run.id, approved=True, allow_empty=True, by=COMMAND_LINE)
    return run
