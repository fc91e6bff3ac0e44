"""The workflow engine does not look for work that no one gives it."""

import threading
from pathlib import Path

from core.engine import open_engine
from core.runs import workflows
from tests.core.harness import until
from tests.firehosing import settings_for

# How its threads that ask the database every second are called.
POLLING = ("queue", "background-jobs", "schedule")


async def test_idle_engine_does_not_poll(tmp_path: Path) -> None:
    """Nothing is queued, delayed or scheduled in the workflow engine, so no thread of it asks the database for that."""
    async with open_engine(settings_for(tmp_path, "http://127.0.0.1:9"), "test") as engine, workflows.durable(engine):

        async def is_quiet() -> bool:
            names = [thread.name for thread in threading.enumerate()]
            return not any(word in name for name in names for word in POLLING)

        await until(is_quiet)
