"""Faults: the ways in which the local Iterable can fail on purpose."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from sandbox.iterable import Fault, running
from sandbox.iterable.faults import Action
from tests.sandbox.iterable.conftest import LIST, Client

BULK = "/api/lists/subscribe"


async def test_an_error_with_json(client: Client) -> None:
    """`error` answers with the chosen status, code and message, and the request is not executed."""
    client.iterable.faults.add(Fault("error", status=503, code="DatabaseError", msg="later"))
    reply = await client.subscribe("a@example.com")
    assert (reply.status, reply.data) == (503, {"msg": "later", "code": "DatabaseError", "params": None})
    assert client.iterable.state.size(LIST) == 0


@pytest.mark.parametrize(("status", "title"), [(504, "504 Gateway Timeout"), (520, "520 Error")])
async def test_a_gateway_error_in_html(client: Client, status: int, title: str) -> None:
    """`html` answers with a page, whatever the status."""
    client.iterable.faults.add(Fault("html", status=status))
    reply = await client.subscribe("a@example.com")
    assert (reply.status, reply.headers["Content-Type"], title in reply.text) == (
        status,
        "text/html; charset=utf-8",
        True,
    )


@pytest.mark.parametrize(("retry_after", "header"), [(None, None), (3, "3"), (0.5, "0.5")])
async def test_a_throttle(client: Client, retry_after: float | None, header: str | None) -> None:
    """`throttle` answers with 429, with or without `Retry-After`."""
    client.iterable.faults.add(Fault("throttle", retry_after=retry_after))
    reply = await client.subscribe("a@example.com")
    assert (reply.status, reply.code, reply.headers.get("Retry-After")) == (429, "RateLimitExceeded", header)


@pytest.mark.parametrize(("applied", "size"), [(False, 0), (True, 1)])
async def test_a_reset(client: Client, applied: bool, size: int) -> None:
    """`reset` closes the connection before or after the request is executed."""
    client.iterable.faults.add(Fault("reset", applied=applied))
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.subscribe("a@example.com")
    assert client.iterable.state.size(LIST) == size


async def test_an_error_after_the_request_was_executed(client: Client) -> None:
    """With `applied`, the answer is an error although the request was executed."""
    client.iterable.faults.add(Fault("html", applied=True))
    reply = await client.subscribe("a@example.com")
    assert (reply.status, client.iterable.state.size(LIST)) == (502, 1)


async def test_a_truncated_answer(client: Client) -> None:
    """`truncated` sends a complete answer with incomplete JSON, after the request was executed."""
    client.iterable.faults.add(Fault("truncated"))
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        await client.subscribe("a@example.com")
    assert client.iterable.state.size(LIST) == 1


async def test_an_answer_that_is_cut_off(client: Client) -> None:
    """`cut` closes the connection within the answer."""
    client.iterable.faults.add(Fault("cut"))
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.subscribe("a@example.com")
    assert client.iterable.state.size(LIST) == 1


async def test_an_answer_without_json(client: Client) -> None:
    """`not_json` answers with 200 and plain text."""
    client.iterable.faults.add(Fault("not_json"))
    reply = await client.subscribe("a@example.com")
    assert (reply.status, reply.text, reply.data) == (200, "OK", None)


async def test_a_slow_answer(client: Client) -> None:
    """`slow` gives the normal answer after a delay."""
    client.iterable.faults.add(Fault("slow", delay=0.02))
    reply = await client.subscribe("a@example.com")
    assert (reply.data["successCount"], client.iterable.state.log.records[-1].fault) == (1, "slow")


@pytest.mark.parametrize(("applied", "size"), [(False, 0), (True, 1)])
async def test_a_hang(client: Client, applied: bool, size: int) -> None:
    """`hang` never answers, until the client gives up."""
    client.iterable.faults.add(Fault("hang", applied=applied))
    with pytest.raises(TimeoutError):
        await client.subscribe("a@example.com", timeout=aiohttp.ClientTimeout(total=0.1))
    assert client.iterable.state.size(LIST) == size


class Watched(Fault):
    """A rule that signals when it strikes."""

    struck: asyncio.Event

    def strikes(self, method: str, path: str, body: bytes) -> bool:
        """Decide as Fault does, and signal a strike."""
        if super().strikes(method, path, body):
            self.struck.set()
            return True
        return False


@pytest.mark.parametrize(("action", "size"), [("slow", 1), ("hang", 0)])
async def test_removing_a_rule(client: Client, action: Action, size: int) -> None:
    """When a rule is removed, a slow request is answered at once, and a hung one is torn down."""
    fault = Watched(action, delay=60)
    fault.struck = asyncio.Event()
    client.iterable.faults.add(fault)
    request = asyncio.create_task(client.subscribe("a@example.com"))
    await fault.struck.wait()
    client.iterable.faults.clear()
    (outcome,) = await asyncio.gather(request, return_exceptions=True)
    assert isinstance(outcome, aiohttp.ClientConnectionError) == (action == "hang")
    assert client.iterable.state.size(LIST) == size


@pytest.mark.parametrize("fault", [Watched("hang"), Watched("slow", delay=60)])
async def test_stopping_does_not_wait_for_delayed_requests(fault: Watched) -> None:
    """A server that delays a request stops at once, and closes the connection."""
    async with aiohttp.ClientSession() as session:
        async with running() as iterable:
            fault.struck = asyncio.Event()
            iterable.faults.add(fault)
            request = asyncio.create_task(Client(iterable, session).get("/api/lists"))
            await fault.struck.wait()
        with pytest.raises(aiohttp.ClientConnectionError):
            await request


@pytest.mark.parametrize(
    ("rule", "statuses"),
    [
        ({}, [500] * 5),
        ({"nth": 2}, [200, 500, 200, 200, 200]),
        ({"after": 2}, [200, 200, 500, 500, 500]),
        ({"times": 2}, [500, 500, 200, 200, 200]),
        ({"after": 1, "times": 2}, [200, 500, 500, 200, 200]),
        ({"path": "/api/lists/unsubscribe"}, [200] * 5),
        ({"method": "GET"}, [200] * 5),
        ({"contains": "user3@"}, [200, 200, 200, 500, 200]),
        ({"probability": 0.0}, [200] * 5),
    ],
)
async def test_a_rule_chooses_its_requests(client: Client, rule: dict[str, Any], statuses: list[int]) -> None:
    """A rule matches by path, method and body, and strikes the requests that its counters select."""
    client.iterable.faults.add(Fault("error", **rule))
    assert [(await client.subscribe(f"user{number}@example.com")).status for number in range(5)] == statuses


async def test_the_first_rule_that_strikes_decides(client: Client) -> None:
    """The first rule that strikes decides; a used-up rule does not strike."""
    client.iterable.faults.add(Fault("error", times=1), Fault("html", times=1))
    assert [(await client.subscribe("a@example.com")).status for _ in range(3)] == [500, 502, 200]


async def test_a_seed_repeats_the_same_strikes(client: Client) -> None:
    """The same seed strikes the same requests, and another seed others."""
    runs = []
    for seed in (1, 1, 2):
        client.iterable.faults.set([Fault("error", probability=0.5)], seed)
        runs.append([(await client.subscribe("a@example.com")).status for _ in range(30)])
    assert (runs[0] == runs[1], runs[0] != runs[2], set(runs[0])) == (True, True, {200, 500})


async def test_faults_over_http(client: Client) -> None:
    """Rules are added, listed with their counters, replaced and cleared over HTTP."""
    await client.post("/_sandbox/faults", {"action": "error", "path": BULK, "times": 1})
    struck = await client.subscribe("a@example.com")
    listed = (await client.get("/_sandbox/faults")).data["faults"][0]
    await client.request("PUT", "/_sandbox/faults", {"seed": 3, "faults": [{"action": "html"}]})
    replaced = await client.subscribe("a@example.com")
    cleared = await client.request("DELETE", "/_sandbox/faults")
    assert (struck.status, listed["hits"], listed["matched"], replaced.status) == (500, 1, 1, 502)
    assert cleared.data == {"seed": 3, "faults": []}


async def test_listed_faults_can_be_sent_back(client: Client) -> None:
    """The control API accepts the rules that it lists."""
    await client.post("/_sandbox/faults", {"action": "throttle", "retry_after": 2})
    listed = (await client.get("/_sandbox/faults")).data
    again = await client.request("PUT", "/_sandbox/faults", listed)
    assert again.data == listed


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"action": "explode"},
        {"action": "error", "x": 1},
        {"action": "error", "times": "1"},
        {"action": "error", "probability": 2},
        {"action": "error", "nth": True},
    ],
)
async def test_an_invalid_fault_is_refused(client: Client, fault: dict[str, Any]) -> None:
    """An invalid rule is answered with 400 and a sentence, and changes nothing."""
    reply = await client.post("/_sandbox/faults", fault)
    assert (reply.status, bool(reply.data["error"]), client.iterable.faults.rules) == (400, True, [])
