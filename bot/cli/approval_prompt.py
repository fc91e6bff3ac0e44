"""Asks a person about the guards that a plan has passed, and approves the plan that was printed."""

from bot.cli import render
from bot.cli.commands.freezes import campaign_texts
from bot.ui.terminal import Terminal
from core.engine import Engine
from core.models.run import Run
from core.reporting.run_report import RunReport
from core.runs import approval
from core.runs.approval import Decision, open_guards
from core.store import approvals, campaigns
from core.store.audit_log import COMMAND_LINE


def how_to_overrule(run: Run) -> str:
    """Return the command that approves the plan of a run once it was printed."""
    return f"iterable-sync runs resume {run.id} {' '.join(sorted(_options(run)))}".rstrip()


def is_covered(run: Run, *, yes: bool, allow_empty: bool) -> bool:
    """Return whether the given options approve the plan of a run: it was printed, and they cover all its guards."""
    given = {option for option, is_given in (("--yes", yes), ("--allow-empty", allow_empty)) if is_given}
    return run.plan_digest is not None and run.plan_digest == run.shown_digest and _options(run) <= given


async def show_plan(engine: Engine, terminal: Terminal, run: Run) -> None:
    """Print the plan of a run that waits for approval, and record which plan was printed."""
    terminal.tell(render.plan(run, RunReport.of(run, {})))
    await show_campaigns(engine, terminal, run)
    await record_shown(engine, run)


async def show_campaigns(engine: Engine, terminal: Terminal, run: Run) -> None:
    """Print the campaigns that Iterable will send to the list of a run, if there are any."""
    async with engine.database.read() as db:
        due = await campaigns.of_list(db, run.connection_id, run.list_id)
    if due:
        terminal.say(f"Campaigns of this list:\n{campaign_texts(due)}", "yellow")


async def record_shown(engine: Engine, run: Run) -> None:
    """Record that the plan of a run was printed: from now on `--yes` approves this plan."""
    async with engine.database.write() as db:
        await approvals.set_shown(db, run.id, run.plan_digest)


async def approve(engine: Engine, run: Run) -> Decision:
    """Approve the plan of a run as it was printed, for this process to execute it."""
    return await approval.approve(
        engine,
        run.id,
        plan_digest=run.plan_digest,
        by=COMMAND_LINE,
        comment=None,
        team_id=None,
        worker=engine.presence.id,
    )


async def ask(engine: Engine, terminal: Terminal, run: Run) -> bool:
    """Print the plan of a run that waits for approval, and ask the person at the terminal. Returns whether they
    approved."""
    await show_plan(engine, terminal, run)
    if not terminal.is_attended:
        return False
    terminal.say("")
    if not await terminal.ask("Approve it?", engine.stopping):
        return False
    decision = await approve(engine, run)
    if decision is Decision.CHANGED:
        terminal.say("The plan changed while you looked at it. Nothing was approved.", "yellow")
    return decision is Decision.RECORDED


def _options(run: Run) -> set[str]:
    return {render.option_for(guard.name) for guard in open_guards(run)}
