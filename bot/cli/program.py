"""The commands of `iterable-sync`, and what happens when one is called."""

import os
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Annotated

import typer

from bot.cli.errors import INTERRUPTED, CommandFailure
from bot.cli.exit_codes import ExitCode
from bot.cli.session import tell
from bot.ui.terminal import Terminal

#: The module in `bot.cli.commands` of each command (a function of its name) or group of commands (`app`), in the order
#: of `--help`.
MODULES = {
    "sync": "sync",
    "sync-all": "sync_all",
    "demo": "demo",
    "doctor": "doctor",
    "serve": "serve",
    "worker": "worker",
    "status": "status",
    "why": "why",
    "verify": "verify",
    "backup": "backup",
    "restore": "backup",
    "rekey": "rekey",
    "runs": "runs",
    "run-log": "run_log",
    "audit": "audit",
    "connections": "connections",
    "mappings": "mappings",
    "audiences": "audiences",
    "tokens": "tokens",
    "schedules": "schedules",
    "alerts": "alerts",
    "routes": "routes",
    "deliveries": "deliveries",
    "reports": "reports",
    "config": "config",
    "sandbox": "sandbox",
}


@cache
def application(name: str | None = None) -> typer.Typer:
    """Return the command line with the command or group of this name, or with all of them if there is none."""
    app = typer.Typer(name="iterable-sync", rich_markup_mode="rich", pretty_exceptions_enable=False)
    app.callback()(options)
    for each in (name,) if name in MODULES else MODULES:
        module = _module(MODULES[each])
        if group := getattr(module, "app", None):
            app.add_typer(group, name=each)
        else:
            app.command(each)(getattr(module, each.replace("-", "_")))
    return app


@cache
def _module(name: str) -> ModuleType:
    """Import a module of commands. A group gets its commands from other modules."""
    module = import_module(f"bot.cli.commands.{name}")
    if name == "runs":
        _add_decisions(module.app)
    if name == "mappings":
        _add_changes(module.app)
    return module


def _add_decisions(runs: typer.Typer) -> None:
    from bot.cli.commands import run_decisions

    for decision in (run_decisions.approve, run_decisions.decline, run_decisions.undo):
        runs.command()(decision)


def _add_changes(mappings: typer.Typer) -> None:
    from bot.cli.commands import mapping_exclusions, mapping_list, mapping_management, sources, variants

    for change in (
        variants.variants,
        sources.set_source,
        mapping_management.edit,
        mapping_exclusions.exclude,
        mapping_management.set_limits,
        mapping_management.set_fields,
        mapping_list.set_list,
        mapping_management.pause,
        mapping_management.resume,
        mapping_management.archive,
        mapping_management.restore,
        mapping_management.delete,
        mapping_management.remove,
    ):
        mappings.command(change.__name__.replace("_", "-"))(change)


def _print_version(*, is_asked: bool) -> None:
    if is_asked:
        print(f"iterable-sync {version('iterable-sync')}")
        raise typer.Exit


def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=lambda value: _print_version(is_asked=value), is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Keep an Iterable list equal to an mParticle audience, with every member accounted for."""


def run(args: list[str]) -> int:
    """Run a command, and return its exit code. Failures are printed on standard error."""
    args = args or ["--help"]
    app = application(args[0] if args[0] in MODULES else None)
    try:
        return int(app(args, prog_name="iterable-sync", standalone_mode=False) or ExitCode.OK)
    except typer.TyperException as error:
        failure = CommandFailure(_usage(error), ExitCode.BAD_INPUT)
    except (typer.Abort, KeyboardInterrupt):
        failure = CommandFailure(INTERRUPTED, ExitCode.INTERRUPTED)
    except BrokenPipeError:  # the reader of the output has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    _tell(failure, as_json="--json" in args)
    return failure.code


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "iterable-sync"
    message = error.format_message().replace("Value error, ", "").rstrip(".")
    return f"{message}. See `{command} --help`."


def _tell(failure: CommandFailure, *, as_json: bool) -> None:
    report = None
    if as_json:
        from core.reporting.run_report import RunReport

        report = RunReport()
    tell(failure, Terminal(), report)
