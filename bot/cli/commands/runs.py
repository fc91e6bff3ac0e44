"""`iterable-sync runs`: the history of runs, and what to do with interrupted ones."""

import asyncio
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli import options
from bot.cli.exit_codes import ExitCode
from bot.cli.json_output import RunList
from bot.cli.session import Session, print_json, run_command
from core.errors import InputError

if TYPE_CHECKING:
    from core.engine import Engine
    from core.models.run import Run
    from core.reporting.run_report import RunReport

# How often the command checks whether a run has stopped, in seconds.
POLL_INTERVAL_S = 0.2

# Runs that an export reads at once.
_EXPORTED_AT_ONCE = 500

Status = Annotated[
    str | None, typer.Option(metavar="STATUS", help="Only runs with this status, such as succeeded or failed.")
]
Since = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help="Only runs from this local day or time on."),
]
OfMapping = Annotated[int | None, typer.Option(metavar="MAPPING", help="Only runs of this mapping.")]


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs to list: with a status, from a local time on, of a mapping. None: any."""

    status: str | None = None
    since: datetime | None = None
    mapping: int | None = None

    async def page(self, engine: "Engine", limit: int, after: "Run | None" = None) -> "list[Run]":
        """Return the newest of these runs, or those that follow a run. Raises InputError if there is no such status."""
        from core.models.run import RunStatus
        from core.store import runs

        statuses = [each.value for each in RunStatus]
        if self.status is not None and self.status not in statuses:
            raise InputError(f'There is no status "{self.status}". Use one of: {", ".join(statuses)}.')
        async with engine.database.read() as db:
            return await runs.page(
                db,
                None,
                limit=limit,
                status=RunStatus(self.status) if self.status is not None else None,
                mapping_id=self.mapping,
                since=self.since.timestamp() if self.since is not None else None,
                before=(after.created_at, after.id) if after is not None else None,
            )


app = typer.Typer(help="The history of runs, and what to do with interrupted ones.")


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 20,
    status: Status = None,
    since: Since = None,
    mapping: OfMapping = None,
    as_json: options.Json = False,
) -> ExitCode:
    """List the latest runs."""
    report = RunList() if as_json else None
    chosen = RunFilter(status, since, mapping)
    return run_command(lambda session: _list(session, limit, chosen), report=report)


@app.command()
def export(status: Status = None, since: Since = None, mapping: OfMapping = None) -> ExitCode:
    """Print all runs as JSON lines, newest first. The fields are those of `runs list --json`."""
    chosen = RunFilter(status, since, mapping)
    return run_command(lambda session: _export(session, chosen))


@app.command()
def show(run_id: options.RunId, as_json: options.Json = False) -> ExitCode:
    """Show a run: its progress, numbers and rejection reasons."""
    report = _blank(run_id) if as_json else None
    return run_command(lambda session: _show(session, run_id), report=report)


@app.command()
def resume(
    run_id: options.RunId,
    yes: options.Yes = False,
    allow_empty: options.AllowEmpty = False,
    as_json: options.Json = False,
) -> ExitCode:
    """Resume a run that was interrupted, failed, or waits for approval. Exit codes are those of sync."""
    report = _blank(run_id) if as_json else None
    return run_command(lambda session: _resume(session, run_id, yes=yes, allow_empty=allow_empty), report=report)


@app.command()
def cancel(run_id: options.RunId) -> ExitCode:
    """Drop the rest of a run. What it has done stays done, and stays recorded."""
    return run_command(lambda session: _cancel(session, run_id))


@app.command()
def rejects(
    run_id: options.RunId,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the rejected members with their addresses to this file.")
    ] = None,
) -> ExitCode:
    """Show how many members a run rejected, and why. Addresses are written only to a file."""
    return run_command(lambda session: _rejects(session, run_id, csv))


async def _export(session: Session, chosen: RunFilter) -> ExitCode:
    async with session.engine() as engine:
        await engine.presence.reap_dead_workers()
        last = None
        while page := await chosen.page(engine, _EXPORTED_AT_ONCE, last):
            now = await engine.time()
            for run in page:
                print(json.dumps(described(run, now)))
            last = page[-1]
    return ExitCode.OK


async def _list(session: Session, limit: int, chosen: RunFilter) -> ExitCode:
    from bot.cli.render import list_text, table, when
    from bot.ui.status_words import run_status

    async with session.engine() as engine:
        await engine.presence.reap_dead_workers()
        latest = await chosen.page(engine, limit)
        now = await engine.time()
    if session.terminal.as_json:
        print_json(RunList([described(run, now) for run in latest]))
        return ExitCode.OK
    if not latest and chosen != RunFilter():
        session.terminal.line("There are no such runs.")
        return ExitCode.OK
    if not latest:
        session.terminal.line("There are no runs yet. Start one with: iterable-sync sync FILE --list ID")
        return ExitCode.OK
    columns = ("Run", "Began", "Status", "List", "Audience", "Changes", "Rejected")
    rows = [
        (
            run.id,
            when(run.created_at),
            run_status(run),
            list_text(run.list_id),
            run.audience or "",
            _changes(run),
            f"{run.counters.rejected:,}",
        )
        for run in latest
    ]
    session.terminal.show(table(columns, rows, numbers=("Rejected",), cut=("Audience",)))
    return ExitCode.OK


async def _show(session: Session, run_id: str) -> ExitCode:
    from bot.cli import approval_prompt, progress, render, run_session
    from core.models.run import RunStatus
    from core.reporting.run_report import RunReport
    from core.runs.lookup import require_run
    from core.store import clock, rejections

    async with session.engine() as engine:
        await engine.presence.reap_dead_workers()
        run = await require_run(engine, run_id)
        async with engine.database.read() as db:
            report = RunReport.of(run, await rejections.by_reason(db, run_id), await clock.now(db))
        now = await progress.describe(engine, run_id) if run.status.is_active else ""
        if run.status is RunStatus.NEEDS_APPROVAL:
            await approval_prompt.record_shown(engine, run)
    if session.terminal.as_json:
        print_json(report)
        return ExitCode.OK
    waits = run.status is RunStatus.NEEDS_APPROVAL and run.plan is not None
    session.terminal.show(render.plan(run, report) if waits else render.summary(report, run))
    session.terminal.line(f"\nAsked for on {render.when(run.created_at)}, from {run.request.path}", "dim")
    if sentence := now or run_session.next_step(run):
        session.terminal.line(sentence)
    return ExitCode.OK


async def _resume(session: Session, run_id: str, *, yes: bool, allow_empty: bool) -> ExitCode:
    from bot.cli import approval_prompt
    from bot.cli.run_session import print_outcome, run_to_completion
    from core.errors import ConflictError
    from core.models.run import RunStatus
    from core.runs import worker
    from core.runs.approval import Decision, open_guards
    from core.runs.lookup import require_run

    async with session.engine(executes=True) as engine:
        run = await require_run(engine, run_id)
        if not run.status.is_resumable:
            raise ConflictError(f"Run {run_id} has ended ({run.status}). Start a new one with `iterable-sync sync`.")
        if run.status.is_active and not await _is_abandoned(engine, run):
            raise ConflictError(
                f"A process is working on run {run_id}. See how far it is: iterable-sync runs show {run_id}"
            )
        if run.status is RunStatus.NEEDS_APPROVAL and open_guards(run):
            is_given = yes or allow_empty
            if approval_prompt.is_covered(run, yes=yes, allow_empty=allow_empty):
                is_approved = await approval_prompt.approve(engine, run) is Decision.RECORDED
            elif is_given:  # the plan was not printed before: print it, and approve nothing
                await approval_prompt.show_plan(engine, session.terminal, run)
                is_approved = False
            else:
                with session.interruption.stopping_with(engine.stopping.set):
                    is_approved = await approval_prompt.ask(engine, session.terminal, run)
            if not is_approved:
                return await print_outcome(session, engine, run_id)
            return await run_to_completion(session, engine, run_id, worker.execute_approved(engine, run_id))
        return await run_to_completion(session, engine, run_id, worker.resume(engine, run_id))


async def _cancel(session: Session, run_id: str) -> ExitCode:
    from core.models.run import RunStatus, StopReason
    from core.runs import commands
    from core.runs.lookup import require_run
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        await engine.presence.reap_dead_workers()
        run = await require_run(engine, run_id)
        is_cancelled = False
        if not (run.stop_requested is StopReason.CANCEL and run.status.is_active):  # another process has requested it
            is_cancelled = await commands.cancel(engine, run_id, by=COMMAND_LINE, team_id=None)
        if not is_cancelled:
            session.terminal.say(f"A process is working on run {run_id}; it stops after the requests in progress.")
        while not is_cancelled:
            await asyncio.sleep(POLL_INTERVAL_S)
            run = await require_run(engine, run_id)
            if run.status.is_active and not await _is_abandoned(engine, run):
                continue
            if run.status in (RunStatus.SUCCEEDED, RunStatus.PLANNED):
                session.terminal.say(f"Run {run_id} ended before it could be cancelled ({run.status}).", "yellow")
                return ExitCode.FAILED
            is_cancelled = run.status is RunStatus.CANCELLED or await commands.cancel(
                engine, run_id, by=COMMAND_LINE, team_id=None
            )
    session.terminal.line(f"Run {run_id} was cancelled. What it has done stays done, and is recorded.")
    return ExitCode.OK


async def _rejects(session: Session, run_id: str, csv: Path | None) -> ExitCode:
    from bot.cli import render
    from bot.cli.rejected_csv import write
    from core.reporting.run_report import RunReport
    from core.runs.commands import record_rejections_taken
    from core.runs.lookup import require_run
    from core.store import rejections
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        run = await require_run(engine, run_id)
        async with engine.database.read() as db:
            by_reason = RunReport.of(run, await rejections.by_reason(db, run_id)).rejected_by_reason
        if csv is not None and by_reason:
            members = sum(by_reason.values())
            await record_rejections_taken(engine, run_id, members, by=COMMAND_LINE, team_id=None)
            async with engine.database.read_rows() as db:
                await write(csv, rejections.of_run(db, run_id))
    terminal = session.terminal
    if not by_reason and run.counters.rejected:
        terminal.line(f"Run {run_id} rejected {run.counters.rejected:,} members; their identities have expired.")
    elif not by_reason:
        terminal.line(f"Run {run_id} rejected no members.")
    elif csv is not None:
        terminal.line(
            f"{sum(by_reason.values()):,} rejected members were written to {csv}. The file contains email addresses."
        )
    else:
        terminal.show(render.rejections(by_reason))
        terminal.line("\nTo write their identities to a file (it will contain email addresses): --csv FILE")
    return ExitCode.OK


def described(run: "Run", now: float) -> dict[str, Any]:
    """Return the fields of `runs show --json`, without those that say why and how, and with the run's times.

    `now` is the time by the database's clock (UTC seconds).
    """
    from bot.cli.render import utc
    from core.reporting.run_report import RunReport

    fields = asdict(RunReport.of(run, {}, now))
    del fields["rejected_by_reason"], fields["notes"]
    return fields | {
        "created_at": utc(run.created_at),
        "finished_at": None if run.finished_at is None else utc(run.finished_at),
    }


def _changes(run: "Run") -> str:
    """Return the added, updated and removed members in short; for a planned run, the planned changes."""
    from core.reporting.run_report import RunReport

    numbers = RunReport.of(run, {})
    return f"+{numbers.added:,} ~{numbers.updated:,} -{numbers.removed:,}"


async def _is_abandoned(engine: "Engine", run: "Run") -> bool:
    """Return whether no live process works on an active run."""
    if run.worker_id is None:
        return True
    if not await engine.presence.is_dead(run.worker_id):
        return False
    await engine.presence.reap_dead_workers()
    return True


def _blank(run_id: str) -> "RunReport":
    from core.reporting.run_report import RunReport

    return RunReport(run_id=run_id)
