"""The server of the page: the state of a person, actions, events, the panel and its proxy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.async_app import AsyncAck, AsyncApp

from sandbox.slack import Slack, running
from tests.sandbox.slack.bolt import client_of, serving


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client."""
    async with aiohttp.ClientSession() as client:
        yield client


async def state(slack: Slack, session: aiohttp.ClientSession, person: str, channel: str) -> dict[str, Any]:
    """Return what the page shows to a person."""
    url = f"{slack.page_url}_page/state?as={person}&channel={channel}"
    async with session.get(url) as answer:
        shown: dict[str, Any] = await answer.json()
        return shown


async def test_people_see_their_own_conversations(slack: Slack, session: aiohttp.ClientSession) -> None:
    """Only its members see a private channel and its messages."""
    await slack.operator.say("secret", "crm-leads")

    hers = await state(slack, session, "U01OKSANA", "C01CRM")
    others = await state(slack, session, "U01MAYA", "C01CRM")

    assert [each["text"] for each in hers["messages"]] == ["secret"]
    assert others["messages"] == []
    assert "C01CRM" not in [each["id"] for each in others["channels"]]


async def test_ephemeral_message_is_in_the_state_of_its_reader(slack: Slack, session: aiohttp.ClientSession) -> None:
    """Only its reader gets an ephemeral message, marked as such."""
    await client_of(slack).chat_postEphemeral(channel="C01MARKETING", user="U01MAYA", text="Psst")

    hers = await state(slack, session, "U01MAYA", "C01MARKETING")
    others = await state(slack, session, "U01AMIR", "C01MARKETING")

    assert [each["only_for_me"] for each in hers["messages"]] == [True]
    assert others["messages"] == []


async def test_command_from_the_page(slack: Slack, app: AsyncApp, session: aiohttp.ClientSession) -> None:
    """A text with a slash that is typed on the page is a command."""

    @app.command("/iterable-sync")
    async def handle(ack: AsyncAck) -> None:
        await ack("from the page")

    body = {"as": "U01MAYA", "do": "write", "channel": "C01MARKETING", "text": "/iterable-sync"}
    async with session.post(f"{slack.page_url}_page/act", json=body) as answer:
        assert (await answer.json())["ok"]

    assert slack.marketer.messages("marketing")[-1].text == "from the page"


async def test_events_signal_changes(slack: Slack, session: aiohttp.ClientSession) -> None:
    """The stream signals a change at once."""
    async with session.get(f"{slack.page_url}_page/events") as stream:
        first = await stream.content.readuntil(b"\n\n")
        await slack.marketer.say("Hello", "marketing")
        second = await asyncio.wait_for(stream.content.readuntil(b"\n\n"), 5)

    assert int(second.split()[1]) > int(first.split()[1])


async def test_file_is_for_those_who_see_it(slack: Slack, session: aiohttp.ClientSession) -> None:
    """A member of the channel can download a file from the page, and another person can't."""
    message = await slack.operator.upload_file("crm-leads", "vip.csv", b"a,b\n")
    url = f"{slack.page_url}_page/files/{message.files[0].id}"

    async with session.get(f"{url}?as=U01AMIR") as allowed:
        assert await allowed.read() == b"a,b\n"
        assert "vip.csv" in allowed.headers["Content-Disposition"]
    async with session.get(f"{url}?as=U01MAYA") as refused:
        assert refused.status == 404


async def test_faults_are_switched_on_the_panel(slack: Slack, session: aiohttp.ClientSession) -> None:
    """The panel adds a fault, and removes it."""
    url = f"{slack.page_url}_sandbox/slack/faults"
    async with session.post(url, json={"kind": "is_archived", "method": "chat.*"}) as answer:
        fault = (await answer.json())["faults"][0]
    assert slack.faults.active[0].kind == "is_archived"
    async with session.post(url, json={"no_such": 1}) as refused:
        assert refused.status == 400
    async with session.delete(f"{url}/{fault['id']}") as answer:
        assert (await answer.json())["faults"] == []


async def test_local_iterable_is_reached_through_the_panel(session: aiohttp.ClientSession) -> None:
    """Requests under /_sandbox/iterable go to the control API of the local Iterable, with body and query."""
    requests: list[tuple[str, str, bytes]] = []

    async def record(request: web.Request) -> web.Response:
        requests.append((request.method, request.path_qs, await request.read()))
        return web.json_response({"lists": []})

    iterable = web.Application()
    iterable.router.add_route("*", "/_sandbox{tail:.*}", record)
    async with serving(iterable) as url, running(iterable_url=url) as slack:
        page = f"{slack.page_url}_sandbox/iterable"
        async with session.get(f"{page}/requests?limit=3") as answer:
            assert await answer.json() == {"lists": []}
        async with session.put(f"{page}/faults", json={"faults": []}):
            pass

    assert requests == [("GET", "/_sandbox/requests?limit=3", b""), ("PUT", "/_sandbox/faults", b'{"faults": []}')]


async def test_iterable_that_does_not_answer(session: aiohttp.ClientSession) -> None:
    """An unreachable Iterable is answered with 502 and a sentence."""
    async with (
        running(iterable_url="http://127.0.0.1:1") as slack,
        session.get(f"{slack.page_url}_sandbox/iterable") as answer,
    ):
        assert answer.status == 502
        assert "doesn't answer" in (await answer.json())["error"]


async def test_page_works_offline(slack: Slack, session: aiohttp.ClientSession) -> None:
    """The page works offline: it names no address outside of this server."""
    async with session.get(slack.page_url) as answer:
        text = await answer.text()

    assert "//" not in text.replace("<!doctype", "")
    assert "/static/js/main.js" in text
