"""What was answered with 200 is in Iterable's list in the end, whatever happens to the process."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from core.engine import open_engine
from sandbox.iterable import running
from sandbox.mparticle import MParticle, RefusedError
from tests.core.firehose_process import feeding
from tests.firehosing import LIST, QUICK, VIPS, Live, person, serving, settings_for, working

# How many senders there are, and after how many messages that were taken the process is killed.
SENDERS, PROFILES = 6, 20
KILLED_AFTER = [1, 12, 40]


@asynccontextmanager
async def continuing(directory: Path, iterable: object, url: str, database_url: str | None) -> AsyncIterator[Live]:
    """The same installation, in this process."""
    settings = settings_for(directory, url, database_url, firehose_approval="none")
    async with (
        open_engine(settings, "next", retry_policy=QUICK) as engine,
        serving(engine) as base_url,
        working(engine),
    ):
        yield Live(engine, iterable, None, base_url)  # type: ignore[arg-type]  # mParticle has said what it had to say


@pytest.mark.parametrize("taken", KILLED_AFTER)
async def test_killed_while_messages_pour_in(tmp_path: Path, database_url: str, taken: int) -> None:
    """Of those who were answered 200 before the process was killed, who joined is on the list and who left is not."""
    url_of_database = None if database_url.startswith("sqlite") else database_url
    chance = random.Random(taken)
    on: dict[int, bool] = {}
    doubtful: set[int] = set()
    async with running(bulk_per_second=0) as iterable:
        async with feeding(tmp_path, iterable.url, url_of_database) as fed:
            answered = 0
            enough = asyncio.Event()

            async def pour(first: int) -> None:
                nonlocal answered
                account = {"apiKey": iterable.key}
                async with MParticle(fed.url, settings=account, attempts=1) as mparticle:
                    known: list[int] = []
                    for begin in range(first, first + 100_000, PROFILES):
                        joining = list(range(begin, begin + PROFILES))
                        leaving = chance.sample(known, min(3, len(known)))
                        known += joining
                        try:
                            await mparticle.tell(
                                VIPS,
                                [
                                    *(("add", person(number)) for number in joining),
                                    *(("delete", person(number)) for number in leaving),
                                ],
                            )
                        except RefusedError:  # perhaps taken, perhaps not
                            doubtful.update(joining, leaving)
                            return
                        on.update(dict.fromkeys(joining, True))
                        on.update(dict.fromkeys(leaving, False))
                        answered += 1
                        if answered >= taken:
                            enough.set()

            async with asyncio.TaskGroup() as senders:
                for sender in range(SENDERS):
                    senders.create_task(pour(sender * 1_000_000))
                await enough.wait()
                fed.kill()
        async with continuing(tmp_path, iterable, iterable.url, url_of_database) as it:
            await it.settled()
            found = it.emails(LIST)
    assert answered >= taken
    certain = {number: there for number, there in on.items() if number not in doubtful}
    assert {number for number, there in certain.items() if there and f"p{number}@example.com" not in found} == set()
    assert {number for number, there in certain.items() if not there and f"p{number}@example.com" in found} == set()
