"""`iterable-sync worker`: a process that takes over the runs of processes that died."""

import logging

from bot.cli.codes import Code
from bot.cli.command import Session, carry_out


def worker() -> Code:
    """Take over the runs of processes that died, until Ctrl-C or SIGTERM."""
    return carry_out(_work)


async def _work(session: Session) -> Code:
    from core import workflows

    logging.getLogger(workflows.__name__).setLevel(logging.INFO)  # which runs it takes over
    async with session.engine() as engine, workflows.durable(engine):

        def stop() -> None:
            session.terminal.say("Stopping after what is under way. A second signal leaves at once.")
            engine.stopping.set()

        with session.interruption.stopping_with(stop):
            session.terminal.say(f"Worker {engine.presence.id} looks for runs to take over. Ctrl-C ends it.")
            await workflows.work(engine)
    return Code.OK
