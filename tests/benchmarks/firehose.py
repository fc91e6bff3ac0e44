"""Profile changes stored durably from mParticle's Firehose, while a backlog is uploaded.

`python -m tests.benchmarks.firehose` is the receiving process; `send_changes` plays mParticle against it.
"""

import argparse
import asyncio
import contextlib
import gc
import math
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import orjson
from pydantic import SecretStr

from bot.cli import collector
from core import live
from core.engine import open_engine
from core.settings import FirehoseApproval, Settings
from sandbox.iterable import DEFAULT_KEY
from sandbox.mparticle import Audience, Profile, messages
from tests.firehosing import TOKEN, serving

LIST = 1001
AUDIENCE = Audience(8754, "Benchmark", {"listId": str(LIST)})
ACCOUNT = messages.account(4711, {"apiKey": DEFAULT_KEY})
# Profiles per message, and concurrent messages.
PROFILES, SENDERS = 20, 16


def _bodies(first: int, count: int, profiles: int) -> list[bytes]:
    """Messages that are ready to be sent: all have the same timestamp, and each has its own id."""
    return [
        orjson.dumps(
            messages.membership(
                ACCOUNT,
                AUDIENCE,
                [("add", Profile(n, f"p{n}@example.com", f"customer-{n}")) for n in range(start, start + profiles)],
            )
            | {"id": str(uuid.uuid4())}
        )
        for start in range(first, first + count * profiles, profiles)
    ]


async def send_changes(url: str, *, backlog: int, rate: float, seconds: float) -> dict[str, float]:
    """Fill the backlog, then send changes at a rate (0: as fast as possible) and measure the answers."""
    accepted = 0
    async with aiohttp.ClientSession() as session:
        for body in _bodies(10_000_000, backlog // 1_000, 1_000):
            async with session.post(url, data=body) as answer:
                assert answer.status == 200, await answer.text()
        bodies = iter(_bodies(1, int(max(rate, 8_000) * seconds / PROFILES), PROFILES))
        latencies: list[float] = []
        began = time.monotonic()

        async def send(number: int) -> None:
            nonlocal accepted
            for turn, body in enumerate(bodies):
                if rate:  # senders take turns, however long the answers take
                    due = began + (turn * SENDERS + number) * PROFILES / rate
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                if time.monotonic() - began > seconds:
                    return
                sent = time.monotonic()
                async with session.post(url, data=body) as answer:
                    assert answer.status == 200, await answer.text()
                    await answer.read()
                latencies.append(time.monotonic() - sent)
                accepted += PROFILES

        await asyncio.gather(*(send(number) for number in range(SENDERS)))
        duration = time.monotonic() - began
        async with session.get(url.split("/mparticle", maxsplit=1)[0] + "/metrics") as answer:
            lines = (await answer.text()).splitlines()
    values = {line.split(" ")[0]: float(line.split(" ")[1]) for line in lines if line and not line.startswith("#")}
    latencies.sort()
    return {
        "rate": accepted / duration,
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[math.ceil(len(latencies) * 0.99) - 1] * 1000,
        "uploaded": values['iterable_sync_members_total{outcome="added"}'],
        "backlog": values['iterable_sync_backlog{for="upload"}'],
    }


async def _serve(iterable_url: str, data_dir: str, database_url: str | None) -> None:
    settings = Settings(
        iterable_url=iterable_url,
        data_dir=Path(data_dir),
        database_url=SecretStr(database_url) if database_url else None,
        firehose_token=SecretStr(TOKEN),
        firehose_approval=FirehoseApproval.NONE,
        _env_file=None,  # type: ignore[call-arg]
    )
    async with open_engine(settings, "benchmark") as engine, serving(engine) as url:
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, engine.stopping.set)
        print(f"{url}/mparticle/firehose/{TOKEN}", flush=True)
        await live.work(engine)


@contextlib.contextmanager
def server(iterable_url: str, data_dir: str, database_url: str | None) -> Iterator[str]:
    """Run a process that accepts changes and uploads them; yields its URL."""
    command = [sys.executable, "-m", "tests.benchmarks.firehose", "--url", iterable_url, "--data-dir", data_dir]
    command += ["--database-url", database_url] if database_url else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()


def main() -> None:
    """Accept changes until SIGINT."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--database-url")
    arguments = parser.parse_args()
    gc.set_threshold(collector.THRESHOLD)
    asyncio.run(_serve(arguments.url, arguments.data_dir, arguments.database_url))


if __name__ == "__main__":
    main()
