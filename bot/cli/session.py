"""The session of a command: event loop, signals, logging, and error messages."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bot import error_reports, telemetry
from bot.cli import collector, logging_setup
from bot.cli.errors import CommandFailure, failure_of
from bot.cli.exit_codes import ExitCode
from bot.cli.json_output import JsonReport
from bot.cli.signals import SignalHandler
from bot.ui.terminal import Terminal

if TYPE_CHECKING:
    from core.engine import Engine
    from core.settings import Settings

#: Threads of a process for what blocks: planning, downloads, lookups of host names. asyncio has 6 on two cores, so that
#: as many slow downloads would stop everything else. They start when they are needed.
THREADS = 100


@dataclass(frozen=True, slots=True)
class Session:
    """The settings, the terminal and the signal handler of a command."""

    settings: "Settings"
    terminal: Terminal
    interruption: SignalHandler

    @asynccontextmanager
    async def engine(self, *, executes: bool = False, replaces_lost_key: bool = False) -> AsyncIterator["Engine"]:
        """Open the engine for the length of the block.

        With `executes`, it has the fetchers of all sources, so that it can execute any run. `replaces_lost_key` is as
        for `open_engine`.
        """
        from core.engine import open_engine

        collector.end_imports()
        async with open_engine(self.settings, self.settings.worker_id, replaces_lost_key=replaces_lost_key) as engine:
            if executes:
                from bot import source_fetchers

                await source_fetchers.register(engine)
            yield engine


def run_command(work: Callable[[Session], Awaitable[ExitCode]], *, report: JsonReport | None = None) -> ExitCode:
    """Run a command, and return its exit code.

    Failures are printed on standard error. With `report` (--json), the failure is recorded in it, and standard output
    gets the report.
    """
    from core.settings import load_settings

    terminal = Terminal(as_json=report is not None)
    data_dir = Path()
    with ExitStack() as observers:
        try:
            settings = load_settings()
            data_dir = settings.data_dir
            logging_setup.configure(terminal, data_dir, settings.log_format)
            observers.enter_context(telemetry.exporting(settings.otlp_endpoint))
            observers.enter_context(error_reports.reporting(_dsn(settings)))
            return asyncio.run(_within_signals(work, Session(settings, terminal, SignalHandler(terminal))))
        except BrokenPipeError:  # of the output: network errors are IterableErrors by now
            raise
        except (Exception, KeyboardInterrupt, asyncio.CancelledError) as error:  # noqa: BLE001  # the top level
            failure = failure_of(error, data_dir)
    tell(failure, terminal, report)
    return failure.code


def run_plainly(work: Callable[[Terminal], Awaitable[ExitCode]], *, report: JsonReport | None = None) -> ExitCode:
    """Run a command that checks the settings itself. `report` is as for `run_command`."""
    terminal = Terminal(as_json=report is not None)
    logging_setup.configure(terminal, Path())
    try:
        return asyncio.run(_awaited(work, terminal))
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # the top level
        tell(failure := failure_of(error, Path()), terminal, report)
    return failure.code


def tell(failure: CommandFailure, terminal: Terminal, report: JsonReport | None) -> None:
    """Print a failure, and with --json the report."""
    terminal.say(failure.sentence, "red")
    if report is not None:
        report.fail(failure.sentence, is_interrupted=failure.code is ExitCode.INTERRUPTED)
        print_json(report)


def print_json(report: JsonReport) -> None:
    """Print a report as JSON: the only output on standard output."""
    print(report.to_json(), flush=True)  # a rich console would wrap it


def _dsn(settings: "Settings") -> str | None:
    return settings.sentry_dsn.get_secret_value() if settings.sentry_dsn is not None else None


async def _within_signals(work: Callable[[Session], Awaitable[ExitCode]], session: Session) -> ExitCode:
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="asyncio")
    asyncio.get_running_loop().set_default_executor(threads)
    with session.interruption.watched():
        return await work(session)


async def _awaited(work: Callable[[Terminal], Awaitable[ExitCode]], terminal: Terminal) -> ExitCode:
    return await work(terminal)
