"""An outage of PostgreSQL under several `serve` processes: each is ready again afterwards, and no run fails."""

import asyncio
import random
import signal
import time
from pathlib import Path

import pytest

from core.models.run import RunStatus
from tests.bot.cli.commands import local_iterable, until
from tests.bot.cli.serving import serving
from tests.bot.cli.work import SUBSCRIBE, Load, Work
from tests.core.databases import new_postgresql, postgresql, start, stop

#: The time in which a process has to be ready after the database is back, in seconds.
READY_AGAIN_S = 10.0
#: Runs of three requests each, half a second apart.
LOAD = Load(projects=2, lists_of_project=2, members=3_000, people=3_000, rate=2.0)


@pytest.mark.extended
@pytest.mark.parametrize(("processes", "seconds"), [(1, 2), (3, 45)], ids=["short", "long"])
def test_outage_with_runs_in_flight(tmp_path: Path, processes: int, seconds: int) -> None:
    """Each process is ready within ten seconds after the outage, its runs succeed, and it ends normally on SIGTERM."""
    with postgresql() as server, local_iterable() as iterable:
        work = Work(tmp_path, new_postgresql(server), iterable, LOAD, random.Random(1))
        asyncio.run(work.add_lists())
        with serving(tmp_path, iterable, work.environment, processes) as servers:
            asyncio.run(work.offer())
            until(lambda: iterable.requests(SUBSCRIBE) > 0)
            stop(server)
            until(lambda: not any(each.is_ready() for each in servers))
            sent = iterable.requests(SUBSCRIBE)
            time.sleep(seconds)  # the outage
            start(server)
            until(lambda: all(each.is_ready() for each in servers), READY_AGAIN_S)
            assert sent < LOAD.runs * LOAD.members / 1_000
            ended = asyncio.run(work.ended())
            assert [run.status for run in ended] == [RunStatus.SUCCEEDED] * LOAD.runs
            assert work.wrong_lists() == 0
            for each in servers:
                each.command.process.send_signal(signal.SIGTERM)
            for each in servers:
                result = each.command.ended()
                assert result.code == 0, result.err
