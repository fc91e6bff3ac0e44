"""Connections of Socket Mode: how they begin, share work, are lost and renewed."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.slack import Slack
from tests.sandbox.slack.bolt import app_of, over_sockets


async def open_link(slack: Slack, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
    """Open a raw connection."""
    client = AsyncWebClient(slack.app_token, base_url=slack.api_url)
    answer = await client.apps_connections_open(app_token=slack.app_token)
    return await session.ws_connect(answer["url"], autoping=False)


async def test_server_says_hello_first(slack: Slack) -> None:
    """The first frame is hello with the app's id."""
    async with aiohttp.ClientSession() as session, await open_link(slack, session) as socket:
        hello = await socket.receive_json()

    assert hello["type"] == "hello"
    assert hello["connection_info"]["app_id"] == slack.world.app.id


async def test_pong_echoes_the_ping(slack: Slack) -> None:
    """The pong has the payload of the ping."""
    async with aiohttp.ClientSession() as session, await open_link(slack, session) as socket:
        await socket.receive_json()
        await socket.ping(b"sdk-ping-pong:1.5")
        pong = await socket.receive()

    assert (pong.type, bytes(pong.data)) == (aiohttp.WSMsgType.PONG, b"sdk-ping-pong:1.5")


async def test_bot_token_opens_no_connection(slack: Slack) -> None:
    """apps.connections.open needs the app token."""
    client = AsyncWebClient(slack.bot_token, base_url=slack.api_url)

    with pytest.raises(SlackApiError, match="not_allowed_token_type"):
        await client.apps_connections_open(app_token=slack.bot_token)


async def test_envelope_goes_to_one_connection(slack: Slack, app: AsyncApp) -> None:
    """With two connections, each command is handled once."""
    handled_by: list[str] = []

    def count(bolt: AsyncApp, name: str) -> None:
        @bolt.command("/iterable-sync")
        async def handle(ack: AsyncAck) -> None:
            handled_by.append(name)
            await ack()

    other = app_of(slack)
    count(app, "first")
    count(other, "second")
    async with over_sockets(slack, other):
        for _ in range(4):
            await slack.marketer.command("/iterable-sync")

    assert sorted(handled_by) == ["first", "first", "second", "second"]


async def test_acknowledgement_by_another_connection(slack: Slack) -> None:
    """An acknowledgement is matched by its envelope, even if it comes by another connection."""
    async with (
        aiohttp.ClientSession() as session,
        await open_link(slack, session) as first,
        await open_link(slack, session) as second,
    ):
        await first.receive_json()
        await second.receive_json()
        command = asyncio.create_task(slack.marketer.command("/iterable-sync"))
        receiving = [asyncio.create_task(each.receive_json()) for each in (first, second)]
        done, waiting = await asyncio.wait(receiving, return_when=asyncio.FIRST_COMPLETED)
        envelope = done.pop().result()
        other = first if receiving[1].done() else second
        waiting.pop().cancel()
        await other.send_json({"envelope_id": envelope["envelope_id"], "payload": {"text": "by the other"}})
        outcome = await command

    assert outcome.payload == {"text": "by the other"}


async def test_refresh_makes_the_app_reconnect(slack: Slack, app: AsyncApp) -> None:
    """After refresh_requested the app opens another connection and answers commands."""

    @app.command("/iterable-sync")
    async def handle(ack: AsyncAck) -> None:
        await ack("here")

    await slack.refresh_sockets()
    await slack.wait_connected()
    outcome = await slack.marketer.command("/iterable-sync")

    assert outcome.ok
    assert len(slack.calls("apps.connections.open")) == 2


async def test_lost_connection_is_made_again(slack: Slack, app: AsyncApp) -> None:
    """The app replaces a broken connection."""
    await slack.drop_sockets()
    assert slack.delivery.socket_mode.connections == []

    await slack.wait_connected()


async def test_refused_connection_is_tried_again(slack: Slack, app: AsyncApp) -> None:
    """While connections are refused, the app retries with the same address."""
    slack.faults.add("refused", "socket", count=1)
    await slack.drop_sockets()

    await slack.wait_connected()

    assert slack.faults.active[0].struck == 1


async def test_late_acknowledgement_changes_nothing(slack: Slack, app: AsyncApp) -> None:
    """A late acknowledgement has no effect."""
    may_acknowledge = asyncio.Event()

    @app.command("/iterable-sync")
    async def handle(ack: AsyncAck) -> None:
        await may_acknowledge.wait()
        await ack("too late")

    outcome = await slack.marketer.command("/iterable-sync")
    may_acknowledge.set()
    await slack.wait_for(lambda: slack.delivery.socket_mode.late_acks)

    assert outcome.error == "operation_timeout"
    assert all("too late" not in each.text for each in slack.marketer.messages("marketing"))


async def test_event_without_acknowledgement_is_repeated(slack: Slack) -> None:
    """An unacknowledged event is sent three more times, with the same event_id."""
    async with aiohttp.ClientSession() as session, await open_link(slack, session) as socket:
        await socket.receive_json()
        await slack.delivery.event(slack.marketer.user.team_id, {"type": "app_home_opened"})
        await slack.wait_for(lambda: len(slack.delivery.record) == 4)
        envelopes = [await socket.receive_json() for _ in range(4)]

    assert len({each["payload"]["event_id"] for each in envelopes}) == 1
    assert [each["retry_attempt"] for each in envelopes] == [0, 1, 2, 3]
    assert envelopes[1]["retry_reason"] == "timeout"


async def test_deaf_connection(slack: Slack) -> None:
    """Envelopes are lost on a deaf connection, which still answers pings; a new connection gets them."""
    async with aiohttp.ClientSession() as session:
        async with await open_link(slack, session) as socket:
            await socket.receive_json()
            slack.deafen_sockets()
            slack.delivery.socket_mode.ack_timeout = 0.05
            assert not (await slack.marketer.command("/iterable-sync")).ok
            await socket.ping(b"sdk-ping-pong:1.5")
            assert (await socket.receive()).type == aiohttp.WSMsgType.PONG
        await slack.wait_for(lambda: slack.delivery.socket_mode.connections == [])
        async with await open_link(slack, session) as socket:
            await socket.receive_json()
            await slack.marketer.command("/iterable-sync")
            assert (await socket.receive_json())["type"] == "slash_commands"
