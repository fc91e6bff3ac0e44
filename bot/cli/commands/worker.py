"""`iterable-sync worker`: a process that executes queued runs, and takes over those of processes that died."""

import logging
from functools import partial

from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command


def worker() -> ExitCode:
    """Execute queued runs, and take over those of processes that died, until Ctrl-C or SIGTERM."""
    return run_command(_work)


async def _work(session: Session) -> ExitCode:
    from bot.supervisor import supervise
    from core import live
    from core.runs import worker

    logging.getLogger(worker.__name__).setLevel(logging.INFO)  # which runs it takes over
    async with session.engine() as engine, session.durable(engine):

        def stop() -> None:
            session.terminal.say("Stopping after what is under way. A second signal leaves at once.")
            engine.stopping.set()

        with session.interruption.stopping_with(stop):
            parts = {"worker": partial(worker.run_worker, engine), "live worker": partial(live.work, engine)}
            async with supervise(engine, **parts):
                session.terminal.say(f"Worker {engine.presence.id} looks for runs. Ctrl-C ends it.")
                await engine.stopping.wait()
    return ExitCode.OK
