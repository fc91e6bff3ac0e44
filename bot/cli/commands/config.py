"""`iterable-sync config`: the configuration as a file, for version control."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import options
from bot.cli.exit_codes import ExitCode
from bot.cli.json_output import ConfigurationPlan
from bot.cli.session import Session, print_json, run_command

if TYPE_CHECKING:
    from core.configuration.plan import Change, Plan

app = typer.Typer(help="The configuration as a file, for version control.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="The configuration file.")]
Prune = Annotated[
    bool,
    typer.Option("--prune", help="Archive the mappings, and remove the schedules and routes, that the file lacks."),
]

_SIGNS = {"add": "+", "change": "~", "restore": "~", "archive": "-", "remove": "-", "manage": "=", "release": "="}
_WORDS = {
    "add": "is added",
    "change": "changes",
    "restore": "is restored",
    "archive": "is archived: nothing is synced, and its list stays as it is",
    "remove": "is removed",
    "manage": "is managed by the file from now on",
    "release": "is not in the file: it stays as it is, and the file manages it no longer",
}


@app.command()
def export() -> ExitCode:
    """Print what is stored as a configuration file, with references instead of secrets."""
    return run_command(_export)


@app.command()
def plan(file: File, prune: Prune = False, as_json: options.Json = False) -> ExitCode:
    """Print what applying a file would change, and what of that needs approval. Nothing is changed."""
    report = ConfigurationPlan() if as_json else None
    return run_command(lambda session: _plan(session, file, prune=prune), report=report)


@app.command()
def apply(
    file: File,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also undo what was changed by hand since the file was applied last.")
    ] = False,
    prune: Prune = False,
    as_json: options.Json = False,
) -> ExitCode:
    """Apply a file. New mappings, and changes of who is on a list, wait for approval."""
    report = ConfigurationPlan() if as_json else None
    return run_command(lambda session: _apply(session, file, overwrite=overwrite, prune=prune), report=report)


@app.command()
def schema() -> ExitCode:
    """Print the JSON Schema of the file, for editors."""
    from core.configuration.json_schema import schema_text

    print(schema_text(), end="")
    return ExitCode.OK


async def _export(session: Session) -> ExitCode:
    from core.configuration import commands

    async with session.engine() as engine:
        exported = await commands.export(engine)
    print(exported.text, end="")
    for note in exported.notes:
        session.terminal.say(note, "yellow")
    return ExitCode.OK


async def _plan(session: Session, file: Path, *, prune: bool) -> ExitCode:
    from bot.source_fetchers import register_people
    from core.configuration import commands

    async with session.engine() as engine:
        await register_people(engine)
        plan = await commands.make_plan(engine, file, prune=prune)
    _show(session, plan, plan.changes, "To apply")
    return ExitCode.CHANGES if plan.changes else ExitCode.OK


async def _apply(session: Session, file: Path, *, overwrite: bool, prune: bool) -> ExitCode:
    from bot.source_fetchers import register_people
    from core.configuration import commands

    done: list[Change] = []
    async with session.engine() as engine:
        await register_people(engine)
        try:
            plan = await commands.apply(engine, file, overwrite=overwrite, prune=prune, done=done)
        except Exception:
            if done:
                names = ", ".join(change.item.name for change in done)
                session.terminal.say(f"Applied before the error: {names}. The same command does the rest.", "yellow")
            raise
    _show(session, plan, done, "Applied")
    return ExitCode.OK


def _show(session: Session, plan: "Plan", changes: "list[Change]", verb: str) -> None:
    """Print changes: a line for each object and for each setting."""
    terminal = session.terminal
    if terminal.as_json:
        print_json(_report(plan, changes))
        return
    for change in changes:
        approval = " (needs approval)" if change.needs_approval else ""
        kind = change.item.kind.value
        terminal.line(f"{_SIGNS[change.action]} {kind} {change.item.name} {_WORDS[change.action]}{approval}")
        for name, (before, after) in change.settings.items():
            mark = "  (changed by hand since the file was applied)" if name in change.by_hand else ""
            old = "" if change.action.value == "add" else f"{_text(before)} → "
            terminal.line(f"    {name}: {old}{_text(after)}{mark}")
    for item in plan.not_in_file:
        terminal.line(f"  Not in the file, and left as it is: {item.kind} {item.name}")
    for note in plan.notes:
        terminal.say(note, "yellow")
    if not changes:
        terminal.line("Nothing to change: all is as in the file.")
        return
    number, waiting = len(changes), sum(change.needs_approval for change in changes)
    approval = f", {waiting} need approval: an approver decides in Slack, or the next sync asks" if waiting else ""
    terminal.line(f"{verb}: {number} change{'s' * (number != 1)}{approval}.")


def _text(value: object) -> str:
    if value is None or value in ([], {}):
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _report(plan: "Plan", changes: "list[Change]") -> ConfigurationPlan:
    return ConfigurationPlan(
        changes=[
            {
                "kind": change.item.kind.value,
                "name": change.item.name,
                "action": change.action.value,
                "settings": {name: list(pair) for name, pair in change.settings.items()},
                "needs_approval": change.needs_approval,
                "by_hand": list(change.by_hand),
                "line": change.line,
            }
            for change in changes
        ],
        not_in_file=[{"kind": name.kind.value, "name": name.name} for name in plan.not_in_file],
        notes=plan.notes,
    )
