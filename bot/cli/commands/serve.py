"""`iterable-sync serve`: the bot, the HTTP server and a worker, until Ctrl-C or SIGTERM."""

import logging
from dataclasses import replace
from typing import Annotated

import typer

from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command


def serve(
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port of the HTTP server, 0 for a free one.", show_default="ITERABLE_SYNC_PORT"
        ),
    ] = None,
) -> ExitCode:
    """Run the bot in Slack, the HTTP server and a worker, until Ctrl-C or SIGTERM."""
    return run_command(lambda session: _serve(_at_port(session, port)))


def _at_port(session: Session, port: int | None) -> Session:
    if port is None:
        return session
    return replace(session, settings=session.settings.model_copy(update={"port": port}))


async def _serve(session: Session) -> ExitCode:
    from bot.messages import log_notifier
    from bot.serve import serving

    log_notifier.logger.setLevel(logging.INFO)  # without Slack, notifications go to the log
    terminal = session.terminal
    async with session.engine() as engine:

        def stop() -> None:
            terminal.say("Stopping after the requests in progress. A second signal exits at once.")
            engine.stopping.set()

        with session.interruption.stopping_with(stop):
            async with serving(engine, terminal.line):
                terminal.line("Ready. Press Ctrl-C to stop it.")
                await engine.stopping.wait()
    return ExitCode.OK
