"""`iterable-sync serve`: the bot, the HTTP server and a worker, until Ctrl-C or SIGTERM."""

import logging

from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command


def serve() -> ExitCode:
    """Run the bot in Slack, the HTTP server and a worker, until Ctrl-C or SIGTERM."""
    return run_command(_serve)


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
