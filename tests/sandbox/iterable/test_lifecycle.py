"""The local Iterable runs within a test, or as a process."""

from __future__ import annotations

import asyncio
import signal
import sys

import aiohttp
import pytest

from sandbox.iterable import DEFAULT_KEY, running
from tests.sandbox.iterable.conftest import LIST, Client, Clock


async def test_two_can_run_at_once() -> None:
    """Two local Iterables have their own ports and states."""
    async with aiohttp.ClientSession() as session, running() as first, running(bulk_per_second=0) as second:
        await Client(first, session).subscribe("a@example.com")
        assert (first.url != second.url, first.state.size(LIST), second.state.size(LIST)) == (True, 1, 0)


async def test_bulk_per_second_limits_batches() -> None:
    """`bulk_per_second` is the rate limit that subscribe and unsubscribe share."""
    async with aiohttp.ClientSession() as session, running(bulk_per_second=1) as iterable:
        statuses = [(await Client(iterable, session).subscribe("a@example.com")).status for _ in range(2)]
    assert statuses == [200, 429]


async def test_less_than_one_request_a_second() -> None:
    """A limit below one a second permits one request in a longer time: 0.1 permits one in ten seconds."""
    clock = Clock()
    async with (
        aiohttp.ClientSession() as session,
        running(bulk_per_second=0.1, clock=clock) as iterable,
    ):
        client = Client(iterable, session)
        assert (await client.subscribe("a@example.com")).status == 200
        clock.now += 9.0
        assert (await client.subscribe("a@example.com")).status == 429
        clock.now += 1.0
        assert (await client.subscribe("a@example.com")).status == 200


async def test_a_lean_server_counts_people_without_storing_them() -> None:
    """A lean server has the right sizes and answers, but can't list members."""
    async with aiohttp.ClientSession() as session, running(lean=True, bulk_per_second=0) as iterable:
        client = Client(iterable, session)
        await client.subscribe("a@example.com", "B@example.com", "c@example.com")
        reply = await client.subscribe("b@example.com", "x@invalid.test", {"userId": "1"})
        await client.unsubscribe("A@example.com", "x@conflict.test")
        users = await client.get(f"/api/lists/getUsers?listId={LIST}")
        size = await client.get(f"/api/lists/{LIST}/size")
    assert (reply.data["successCount"], reply.failed) == (2, {"invalidEmails": ["X@invalid.test"]})
    assert (size.text, users.status) == ("3", 503)


async def test_large_batches() -> None:
    """Batches of 1,000 subscribers have the same result as single subscribers."""
    people = [{"email": f"User{n}@example.com", "userId": str(n)} for n in range(1000)]
    async with aiohttp.ClientSession() as session, running(bulk_per_second=0) as iterable:
        client = Client(iterable, session)
        added = await client.subscribe(*people)
        again = await client.subscribe(*people)
        removed = await client.unsubscribe(*people[:400])
        assert [reply.data["successCount"] for reply in (added, again, removed)] == [1000, 1000, 400]
        assert iterable.state.members(LIST) == [(f"user{n}@example.com", str(n)) for n in range(400, 1000)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_process_prints_address_and_key_and_stops_cleanly(number: signal.Signals) -> None:
    """The command prints its address and key, takes settings, and a signal ends it without an error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sandbox.iterable",
        *("--single-calls-after", "60", "--merge-keeps-lists", "--forget", "gone@example.com"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        address = (await process.stdout.readline()).decode().split()[-1]
        key = (await process.stdout.readline()).decode().split()[-1]
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{address}/api/lists", headers={"Api-Key": key}) as response,
        ):
            status = response.status
            settings = await (await session.get(f"{address}/_sandbox/settings")).json()
            (project, *_) = (await (await session.get(f"{address}/_sandbox")).json())["projects"]
        process.send_signal(number)
        _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (status, key, process.returncode, errors) == (200, DEFAULT_KEY, 0, b"")
    assert (settings["single_calls_after"], settings["merge_keeps_lists"], project["forgotten"]) == (60.0, True, 1)


async def test_a_port_in_use_is_one_sentence() -> None:
    """A process that can't listen says so in one sentence, and its exit code is 1."""
    async with running() as iterable:
        port = iterable.url.rpartition(":")[2]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sandbox.iterable", "--port", port, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await process.communicate()
    assert (process.returncode, errors.count(b"\n"), b"can't listen" in errors) == (1, 1, True)
