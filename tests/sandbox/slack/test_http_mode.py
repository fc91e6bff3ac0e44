"""HTTP mode: the same app behind a request URL, with signed requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.async_app import AsyncAck, AsyncApp

from sandbox.slack import Slack
from tests.sandbox.slack.bolt import (
    actions,
    app_of,
    button,
    client_of,
    field,
    modal,
    option,
    serving,
)


@pytest.fixture
async def app(slack: Slack) -> AsyncIterator[AsyncApp]:
    """A Bolt app over HTTP."""
    bolt = app_of(slack)
    async with serving(bolt.web_app()) as url:
        slack.use_http(f"{url}/slack/events")
        yield bolt


async def test_command(slack: Slack, app: AsyncApp) -> None:
    """A command is a signed form, and the response body is its acknowledgement."""

    @app.command("/iterable-sync")
    async def handle(ack: AsyncAck, command: dict[str, Any]) -> None:
        await ack(f"{command['text']} & more")

    outcome = await slack.marketer.command("/iterable-sync status")

    assert outcome.payload["text"] == "status & more"


async def test_modal_from_button_to_submission(slack: Slack, app: AsyncApp) -> None:
    """Actions, suggestions and submissions work over HTTP."""
    submitted: dict[str, Any] = {}
    select = {"type": "external_select", "action_id": "list", "min_query_length": 1}

    @app.action("open")
    async def press(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await app.client.views_open(trigger_id=body["trigger_id"], view=modal(field("list", select)))

    @app.options("list")
    async def offer(ack: AsyncAck) -> None:
        await ack(options=[option("Newsletter", "42")])

    @app.view("modal")
    async def take(ack: AsyncAck, view: dict[str, Any]) -> None:
        submitted.update(view["state"]["values"]["list"]["list"]["selected_option"])
        await ack(response_action="clear")

    posted = await client_of(slack).chat_postMessage(
        channel="C01MARKETING", text="x", blocks=[actions(button("Open", "open"))]
    )
    message = slack.world.message(posted["channel"], posted["ts"])
    assert message is not None
    await slack.marketer.click(message, "open")
    view = await slack.marketer.open_view()
    await slack.marketer.suggest(view, "list", "n")
    await slack.marketer.fill(view, {"list": "Newsletter"})
    await slack.marketer.submit()

    assert submitted["value"] == "42"
    assert slack.marketer.views == []


async def test_wrong_signature_is_refused_by_bolt(slack: Slack, app: AsyncApp) -> None:
    """A request with a wrong signature does not reach a listener."""
    slack.delivery.http_mode.signing_secret = "another"

    outcome = await slack.marketer.command("/iterable-sync")

    assert outcome.error == "dispatch_failed"


async def test_request_url_is_verified(slack: Slack, app: AsyncApp) -> None:
    """Bolt answers the challenge of url_verification."""
    http = slack.delivery.http_mode
    assert http.request_url

    assert await http.verify_url(http.request_url)


async def test_event_is_repeated_with_retry_headers(slack: Slack) -> None:
    """An event that is not answered with 2xx is repeated, with the retry number and the reason."""
    retries: list[tuple[str, str]] = []

    async def refuse(request: web.Request) -> web.Response:
        headers = request.headers
        retries.append((headers.get("X-Slack-Retry-Num", ""), headers.get("X-Slack-Retry-Reason", "")))
        return web.Response(status=500 if len(retries) < 3 else 200)

    app = web.Application()
    app.router.add_post("/slack/events", refuse)
    async with serving(app) as url:
        slack.use_http(f"{url}/slack/events")
        await slack.delivery.event(slack.marketer.user.team_id, {"type": "app_home_opened"})
        await slack.wait_for(lambda: len(slack.delivery.record) == 3)

    assert retries == [("", ""), ("1", "http_error"), ("2", "http_error")]


async def test_unreachable_request_url(slack: Slack) -> None:
    """An unreachable request URL is dispatch_failed."""
    slack.use_http("http://127.0.0.1:1/slack/events")

    assert (await slack.marketer.command("/iterable-sync")).error == "dispatch_failed"


async def test_options_url(slack: Slack, app: AsyncApp) -> None:
    """Suggestions go to the options URL if one is set."""
    paths: list[str] = []

    async def offer(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.json_response({"options": [option("Newsletter", "42")]})

    options = web.Application()
    options.router.add_post("/slack/options", offer)
    menu = {"type": "external_select", "action_id": "list", "min_query_length": 0}
    posted = await client_of(slack).chat_postMessage(channel="C01MARKETING", text="x", blocks=[actions(menu)])
    message = slack.world.message(posted["channel"], posted["ts"])
    assert message is not None
    async with serving(options) as url:
        slack.delivery.http_mode.options_url = f"{url}/slack/options"
        await slack.marketer.suggest(message, "list", "")

    assert paths == ["/slack/options"]


async def test_ssl_check_is_answered(slack: Slack, app: AsyncApp) -> None:
    """Bolt answers ssl_check without a signature."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(str(slack.delivery.http_mode.request_url), data={"ssl_check": "1", "token": "x"}) as answer,
    ):
        assert answer.status == 200
