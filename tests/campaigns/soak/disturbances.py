"""What the soak does to its processes and their database: kills, pauses and outages."""

import asyncio
import os
import time

import aiohttp

from tests.campaigns.soak.figures import Figures
from tests.campaigns.soak.serving import Serve
from tests.campaigns.soak.storage import Postgresql, Storage

# A pause after which a process continues, and one after which it counts as dead (80 seconds), in seconds, in turn.
PAUSES_S = (20.0, 100.0)
#: The time between two pauses, from the end of one to the start of the next (seconds).
PAUSE_EVERY_S = 150.0
#: The time between two outages of the database, and how long each takes (seconds).
OUTAGE_EVERY_S, OUTAGE_S = 600.0, 45.0
#: The time between two samples of resources (seconds).
SAMPLE_EVERY_S = 60.0
# How often a supervisor looks whether its process has ended, in seconds.
SUPERVISE_EVERY_S = 1.0
# How often a process is asked whether it is ready, in seconds.
LOOK_EVERY_S = 0.1
# The longest time for all processes to become ready, in seconds.
PATIENCE_S = 300.0


class Disturbances:
    """Disturbs processes until a moment on the monotonic clock, and counts that."""

    def __init__(self, processes: list[Serve], storage: Storage, figures: Figures, until: float) -> None:
        """Store what is disturbed."""
        self._processes = processes
        self._storage = storage
        self._figures = figures
        self._until = until
        self._returning = asyncio.Lock()  # no kill while the processes become ready after an outage

    async def kill(self, process: Serve) -> None:
        """Kill and restart a process at its interval."""
        while await self._wait(process.every):
            async with self._returning:
                if process.has_ended or process.is_paused:
                    continue
                process.kill()
                process.start()
                self._figures.kills += 1
            print(
                f"killed {self._figures.kills} times; {self._figures.runs} runs, {self._figures.messages} messages",
                flush=True,
            )

    async def sample(self) -> None:
        """Sample the resources of the first process once a minute."""
        while await self._wait(SAMPLE_EVERY_S):
            async with self._returning:
                if not self._storage.is_away and not self._processes[0].has_ended:
                    self._figures.samples.append(self._processes[0].sample(self._processes))
            self._figures.loads.append(os.getloadavg()[0])

    async def pause(self, process: Serve) -> None:
        """Pause a process again and again: for a moment, then until another process has taken over its work."""
        while await self._wait(PAUSE_EVERY_S):
            seconds = PAUSES_S[self._figures.pauses % len(PAUSES_S)]
            process.pause()
            self._figures.pauses += 1
            await asyncio.sleep(seconds)
            process.may_end = process.may_end or seconds == max(PAUSES_S)
            process.wake()

    async def cut_off(self, storage: Postgresql) -> None:
        """Stop the database's server at its interval, and measure how soon all processes are ready again."""
        while await self._wait(OUTAGE_EVERY_S):
            for process in self._processes:
                process.may_end = process.may_end or not process.was_ready
            stopped_at = time.time()
            await asyncio.to_thread(storage.stop)
            await asyncio.sleep(OUTAGE_S)
            async with self._returning:
                await asyncio.to_thread(storage.start)
                started_at = time.time()
                self._figures.outages.append((stopped_at, started_at))
                await until_ready(self._processes)
                self._figures.ready_after_s.append(time.time() - started_at)

    async def supervise(self, process: Serve) -> None:
        """Restart a process that has ended by itself, as a supervisor does."""
        while await self._wait(SUPERVISE_EVERY_S):
            if process.has_ended:
                if process.may_end:
                    self._figures.restarts += 1
                else:
                    last = (process.log.splitlines() or ["without a line"])[-1]
                    self._figures.wrong.append(f"a process ended by itself, and its log ends: {last}")
                    print(time.ctime(), self._figures.wrong[-1], flush=True)
                process.start()

    async def _wait(self, seconds: float) -> bool:
        """Wait, and return True; return False at once if the end would come first."""
        if time.monotonic() + seconds >= self._until:
            return False
        await asyncio.sleep(seconds)
        return True


async def until_ready(processes: list[Serve]) -> None:
    """Wait until all processes are ready, except paused ones. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as session:
        for process in processes:
            while not process.is_paused:
                if await _is_ready(session, process.ready_url):
                    break
                await asyncio.sleep(LOOK_EVERY_S)


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=2.0)) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
