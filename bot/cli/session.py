"""Carrying out a command: an event loop, signals, logging, and every failure as a sentence."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bot.cli import logging_setup
from bot.cli.errors import Failure, failure_of
from bot.cli.exit_codes import ExitCode
from bot.cli.signals import SignalHandler
from bot.ui.terminal import Terminal

if TYPE_CHECKING:
    from core.engine import Engine
    from core.reporting.run_report import RunReport
    from core.settings import Settings


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with."""

    settings: "Settings"
    terminal: Terminal
    interruption: SignalHandler

    @asynccontextmanager
    async def engine(self) -> AsyncIterator["Engine"]:
        """The engine, opened for the length of the block."""
        from core.engine import open_engine

        async with open_engine(self.settings, self.settings.worker_id) as engine:
            yield engine

    @asynccontextmanager
    async def durable(self, engine: "Engine") -> AsyncIterator[None]:
        """Run workflows in this process for the length of the block, with everything that they may have to fetch."""
        from bot import source_fetchers
        from core.runs import workflows

        await source_fetchers.register(engine)
        async with workflows.durable(engine):
            yield


def run_command(work: Callable[[Session], Awaitable[ExitCode]], *, report: "RunReport | None" = None) -> ExitCode:
    """Carry out a command and return how it ended.

    A failure is said on standard error. With `report`, which then means --json, it is told there too, and the report
    is what standard output gets.
    """
    from core.settings import load_settings

    terminal = Terminal(as_json=report is not None)
    data_dir = Path()
    try:
        settings = load_settings()
        data_dir = settings.data_dir
        logging_setup.configure(terminal, data_dir)
        return asyncio.run(_within_signals(work, Session(settings, terminal, SignalHandler(terminal))))
    except BrokenPipeError:  # of our output: those of the network are errors of Iterable by now
        raise
    except (Exception, KeyboardInterrupt, asyncio.CancelledError) as error:  # noqa: BLE001  # this is the top
        failure = failure_of(error, data_dir)
    tell(failure, terminal, report)
    return failure.code


def run_plainly(work: Callable[[Terminal], Awaitable[ExitCode]]) -> ExitCode:
    """Carry out a command that finds out for itself whether the settings can be used."""
    terminal = Terminal()
    logging_setup.configure(terminal, Path())
    try:
        return asyncio.run(_awaited(work, terminal))
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # this is the top
        tell(failure := failure_of(error, Path()), terminal, None)
    return failure.code


def tell(failure: Failure, terminal: Terminal, report: "RunReport | None") -> None:
    """Tell a person, and where there is a report a program, what went wrong."""
    terminal.say(failure.sentence, "red")
    if report is not None:
        report.status = "interrupted" if failure.code is ExitCode.INTERRUPTED else "failed"
        report.error = failure.sentence
        print_json(report)


def print_json(report: "RunReport") -> None:
    """Print the JSON object of a run: the only thing that standard output gets."""
    print(report.to_json(), flush=True)  # a console would wrap it


async def _within_signals(work: Callable[[Session], Awaitable[ExitCode]], session: Session) -> ExitCode:
    with session.interruption.watched():
        return await work(session)


async def _awaited(work: Callable[[Terminal], Awaitable[ExitCode]], terminal: Terminal) -> ExitCode:
    return await work(terminal)
