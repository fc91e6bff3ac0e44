"""The command `iterable-sync`.

`--help` must answer at once, but the engine takes a second to import. So modules with commands import little, and each
command imports what it needs when it is called.
"""

import atexit
import gc
import logging
import os
import sys
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from bot.cli.commands import (
    alerts,
    audiences,
    audit,
    backup,
    config,
    connections,
    deliveries,
    demo,
    doctor,
    mapping_exclusions,
    mapping_list,
    mapping_management,
    mappings,
    rekey,
    reports,
    routes,
    run_decisions,
    run_log,
    runs,
    sandbox,
    schedules,
    serve,
    sources,
    status,
    sync,
    sync_all,
    tokens,
    variants,
    verify,
    why,
    worker,
)
from bot.cli.errors import INTERRUPTED, CommandFailure
from bot.cli.exit_codes import ExitCode
from bot.cli.session import tell
from bot.ui.terminal import Terminal

app = typer.Typer(
    name="iterable-sync",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command()(sync.sync)
for decision in (run_decisions.approve, run_decisions.decline, run_decisions.undo):
    runs.app.command()(decision)
app.command("sync-all")(sync_all.sync_all)
app.add_typer(runs.app, name="runs")
app.add_typer(run_log.app, name="run-log")
app.add_typer(audit.app, name="audit")
app.add_typer(connections.app, name="connections")
mappings.app.command()(variants.variants)
mappings.app.command("set-source")(sources.set_source)
for change in (
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
    mappings.app.command(change.__name__.replace("_", "-"))(change)
app.add_typer(mappings.app, name="mappings")
app.add_typer(audiences.app, name="audiences")
app.add_typer(tokens.app, name="tokens")
app.add_typer(schedules.app, name="schedules")
app.add_typer(alerts.app, name="alerts")
app.add_typer(routes.app, name="routes")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(reports.app, name="reports")
app.add_typer(config.app, name="config")
app.add_typer(sandbox.app, name="sandbox")
app.command()(demo.demo)
app.command()(doctor.doctor)
app.command()(serve.serve)
app.command()(worker.worker)
app.command()(status.status)
app.command()(why.why)
app.command()(verify.verify)
app.command()(backup.backup)
app.command()(backup.restore)
app.command()(rekey.rekey)


def _print_version(*, is_asked: bool) -> None:
    if is_asked:
        print(f"iterable-sync {version('iterable-sync')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=lambda value: _print_version(is_asked=value), is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Keep an Iterable list equal to an mParticle audience, with every member accounted for."""


# The number of new objects after which Python searches for cycles (its default is 700). A sync creates many objects and
# few cycles, so that frequent searches cost more than they free.
GC_THRESHOLD = 50_000


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and exit. Without `args`, it is the program of this process, which then ends at once."""
    gc.set_threshold(GC_THRESHOLD)
    os.umask(0o077)  # files written here contain addresses
    if args is not None:
        sys.exit(_main(args))
    codes: list[int] = []
    atexit.register(_leave, codes)  # what is registered first is called last
    codes.append(_main(sys.argv[1:]))
    sys.exit(codes[0])


def _leave(codes: list[int]) -> None:
    """End the process without freeing modules and objects one by one: that takes a fifth of the CPU of a command."""
    if not codes:  # an unexpected error
        return
    logging.shutdown()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # the reader of the output has closed the pipe
        os._exit(ExitCode.FAILED)
    os._exit(codes[0])


def _main(args: list[str]) -> int:
    try:
        return int(app(args or ["--help"], prog_name="iterable-sync", standalone_mode=False) or ExitCode.OK)
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
