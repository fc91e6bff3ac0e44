"""A process is paused while it delivers the changes of several audiences together, and another one takes over."""

import asyncio
from pathlib import Path

import pytest

from core.live import worker as live_worker
from core.runs import worker
from sandbox.mparticle import Profile
from tests.core.databases import new_postgresql, without
from tests.core.harness import until
from tests.core.live.round_of_three import PARTS, fill_lists, problem_of, receiving, send_changes
from tests.core.paused import TIMES, worker_process
from tests.core.storage import at_requests, once
from tests.core.workers import finish_all, serving_workers
from tests.firehosing import Live

#: The requests of a round: a removal and an addition of each audience.
REQUESTS = 2 * len(PARTS)


def members(service: Live) -> list[set[str]]:
    """Who is on each list."""
    return [service.emails(part.list_id) for part in PARTS]


async def empty_lists(service: Live) -> None:
    """Everyone leaves the audiences, and that is delivered."""
    for part in PARTS:
        everyone: list[Profile] = [*part.before, *part.joins]
        await service.mparticle.tell(part.audience, [("delete", profile) for profile in everyone])
    await finish_all(service.engine)


@pytest.mark.parametrize("request_number", [1, len(PARTS), len(PARTS) + 1, REQUESTS])
@pytest.mark.extended
async def test_paused_round_sends_nothing_when_it_wakes(
    postgresql_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_number: int
) -> None:
    """A process that is paused in a round, and replaced, ends without sending anything when it wakes.

    Each change counts once. Meanwhile later changes empty the lists.
    """
    monkeypatch.setattr(worker, "RESCUE_INTERVAL_S", 0.1)
    monkeypatch.setattr(live_worker, "POLL_INTERVAL_S", 0.1)
    url = new_postgresql(postgresql_server)
    async with receiving(tmp_path, url, times=TIMES) as service:
        await fill_lists(service)
        await send_changes(service)
        paused = asyncio.Event()
        log = service.iterable.state.log
        async with worker_process(service.engine.settings, TIMES) as other:

            def pause() -> None:
                other.pause()
                paused.set()

            at_requests(monkeypatch, once(pause), every=request_number)
            await asyncio.wait_for(paused.wait(), 60)
            await finish_all(service.engine)
            assert await problem_of(service) == ""
            await empty_lists(service)
            assert members(service) == [set()] * len(PARTS)
            before = log.totals_by_route()
            other.wake()
            assert "declared it dead" in await other.end()
            assert log.totals_by_route() == before
        assert members(service) == [set()] * len(PARTS)
    without(postgresql_server, url)


@pytest.mark.parametrize("removes", [True, False])
@pytest.mark.extended
async def test_late_request_of_a_round_is_repaired(
    postgresql_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, removes: bool
) -> None:
    """A process is paused when it has checked its lease for the last time, so one request leaves when it wakes.

    Meanwhile the people of that request leave again, or join again. The lists are right soon after.
    """
    for module in (worker, live_worker):
        monkeypatch.setattr(module, "POLL_INTERVAL_S", 0.1)
    monkeypatch.setattr(worker, "RESCUE_INTERVAL_S", 0.1)
    monkeypatch.setattr(live_worker, "MAINTENANCE_INTERVAL_S", 0.1)
    url = new_postgresql(postgresql_server)
    async with receiving(tmp_path, url, times=TIMES) as service:
        await fill_lists(service)
        await send_changes(service)
        async with worker_process(service.engine.settings, TIMES, stops_at=1 if removes else REQUESTS) as other:
            await until(other.is_stopped)
            await finish_all(service.engine)
            assert await problem_of(service) == ""
            if removes:
                for part in PARTS:
                    await service.mparticle.add(part.audience, *part.leaves)
                await finish_all(service.engine)
            else:
                await empty_lists(service)
            expected = members(service)
            before = service.iterable.state.log.total("")
            other.wake()
            assert "declared it dead" in await other.end()
            assert service.iterable.state.log.total("") == before + 1
        assert members(service) != expected

        async def is_repaired() -> bool:
            return members(service) == expected

        async with serving_workers(service.engine):
            await until(is_repaired)
        service.engine.stopping.clear()
        await finish_all(service.engine)
        assert members(service) == expected
    without(postgresql_server, url)
