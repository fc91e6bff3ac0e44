"""Changes that were answered with 200 reach Iterable's list, whatever happens to the process."""

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

# The number of senders, and the number of accepted messages after which the process is killed.
SENDERS, PROFILES = 6, 20
KILLED_AFTER = [1, 12, 40]


@asynccontextmanager
async def continuing(directory: Path, iterable: object, url: str, database_url: str | None) -> AsyncIterator[Live]:
    """Open the same installation in this process."""
    settings = settings_for(directory, url, database_url, firehose_approval="none")
    async with (
        open_engine(settings, "next", retry_policy=QUICK) as engine,
        serving(engine) as base_url,
        working(engine),
    ):
        yield Live(engine, iterable, None, base_url)  # type: ignore[arg-type]  # mParticle sends nothing more


@pytest.mark.parametrize("accepted", KILLED_AFTER)
async def test_killed_while_messages_arrive(tmp_path: Path, database_url: str, accepted: int) -> None:
    """Of the changes answered with 200 before the kill, all members are on the list and no leaver is."""
    server_url = None if database_url.startswith("sqlite") else database_url
    generator = random.Random(accepted)
    is_member: dict[int, bool] = {}
    uncertain: set[int] = set()
    async with running(bulk_per_second=0) as iterable:
        async with feeding(tmp_path, iterable.url, server_url) as process:
            answered = 0
            has_enough = asyncio.Event()

            async def send(first: int) -> None:
                nonlocal answered
                account = {"apiKey": iterable.key}
                async with MParticle(process.url, settings=account, attempts=1) as mparticle:
                    known: list[int] = []
                    for start in range(first, first + 100_000, PROFILES):
                        joining = list(range(start, start + PROFILES))
                        leaving = generator.sample(known, min(3, len(known)))
                        known += joining
                        try:
                            await mparticle.tell(
                                VIPS,
                                [
                                    *(("add", person(number)) for number in joining),
                                    *(("delete", person(number)) for number in leaving),
                                ],
                            )
                        except RefusedError:  # perhaps accepted, perhaps not
                            uncertain.update(joining, leaving)
                            return
                        is_member.update(dict.fromkeys(joining, True))
                        is_member.update(dict.fromkeys(leaving, False))
                        answered += 1
                        if answered >= accepted:
                            has_enough.set()

            async with asyncio.TaskGroup() as senders:
                for sender in range(SENDERS):
                    senders.create_task(send(sender * 1_000_000))
                await has_enough.wait()
                process.kill()
        async with continuing(tmp_path, iterable, iterable.url, server_url) as service:
            await service.settled()
            emails = service.emails(LIST)
    assert answered >= accepted
    certain = {number: is_on_list for number, is_on_list in is_member.items() if number not in uncertain}
    assert {
        number for number, is_on_list in certain.items() if is_on_list and f"p{number}@example.com" not in emails
    } == set()
    assert {
        number for number, is_on_list in certain.items() if not is_on_list and f"p{number}@example.com" in emails
    } == set()
