"""`iterable-sync worker`: a process that executes queued runs, and takes over runs of dead processes."""

import logging
from functools import partial

from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command


def worker() -> ExitCode:
    """Execute queued runs, and take over runs of dead processes, until Ctrl-C or SIGTERM."""
    return run_command(_work)


async def _work(session: Session) -> ExitCode:
    from bot.supervisor import Part, supervise
    from core import live
    from core.automation.due_work import DueWork
    from core.notifications.dispatcher import Dispatcher
    from core.runs import worker

    logging.getLogger(worker.__name__).setLevel(logging.INFO)  # reports runs that are taken over
    async with session.engine(executes=True) as engine:

        def stop() -> None:
            session.terminal.say("Stopping after the requests in progress. A second signal exits at once.")
            engine.stopping.set()

        with session.interruption.stopping_with(stop):
            parts: dict[str, Part] = {
                "worker": partial(worker.run_worker, engine, DueWork(engine)),
                "live worker": partial(live.work, engine),
                "dispatcher": Dispatcher(engine).run,
            }
            async with supervise(engine, **parts):
                session.terminal.say(f"Worker {engine.presence.id} waits for runs. Press Ctrl-C to stop it.")
                await engine.stopping.wait()
    return ExitCode.OK
