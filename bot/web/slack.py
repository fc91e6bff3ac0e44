"""Slack's requests in HTTP mode: commands, events and interactivity, and the pages of an installation (OAuth).

The signature is checked before the content is read, so that a stranger reaches neither Bolt's code nor ours.
See https://docs.slack.dev/authentication/verifying-requests-from-slack.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.signature import SignatureVerifier

#: The request URL of commands, events and interactivity, and the options URL.
EVENTS_PATH = "/slack/events"
# How long a request may take to arrive, in seconds. Slack itself gives up after three.
READ_WITHIN_S = 10.0
# Installations that may be started in a minute. Each writes a row; people start a few a day.
INSTALLATIONS_A_MINUTE = 30

logger = logging.getLogger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.Response]]


def add_routes(server: web.Application, app: AsyncApp, signing_secret: str) -> None:
    """Answer Slack's signed requests and, if the app can be installed by OAuth, the pages of an installation."""
    server.router.add_post(EVENTS_PATH, _verified(app, SignatureVerifier(signing_secret)))
    if app.oauth_flow is not None:
        install = _limited(_answered_by(app.oauth_flow.handle_installation), INSTALLATIONS_A_MINUTE)
        server.router.add_get(app.oauth_flow.install_path, install)
        server.router.add_get(app.oauth_flow.redirect_uri_path, _answered_by(app.oauth_flow.handle_callback))


def _verified(app: AsyncApp, verifier: SignatureVerifier) -> _Handler:
    """Pass on requests that Slack has signed. The answer to all others is a 401, or a 400 if they can't be read."""

    async def handle(request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                body = await request.read()  # aiohttp limits its size
        except TimeoutError:
            return web.Response(status=408, text=f"A request has to arrive within {READ_WITHIN_S:.0f} seconds.\n")
        if not _is_signed(verifier, body, request):
            return web.Response(status=401, text="The request is not signed by Slack.\n")
        if not _is_readable(body, request.content_type):
            logger.warning("a signed request of Slack could not be read (%s)", request.content_type)
            return web.Response(status=400, text="The request can't be read.\n")
        return await to_aiohttp_response(await app.async_dispatch(await to_bolt_request(request)))

    return handle


def _is_signed(verifier: SignatureVerifier, body: bytes, request: web.Request) -> bool:
    try:
        return verifier.is_valid_request(body, dict(request.headers))
    except (ValueError, UnicodeError):  # a malformed time stamp or body
        return False


def _is_readable(body: bytes, content_type: str) -> bool:
    try:
        text = body.decode()
        return content_type != "application/json" or isinstance(orjson.loads(text), dict)
    except ValueError:
        return False


def _limited(handler: _Handler, per_minute: int) -> _Handler:
    """Limit the requests of all senders together, per minute; the answer to further ones is a 429."""
    started: deque[float] = deque(maxlen=per_minute)

    async def handle(request: web.Request) -> web.Response:
        now = time.monotonic()
        if len(started) == per_minute and now - started[0] < 60.0:
            wait = int(61.0 - (now - started[0]))
            return web.Response(status=429, text="Try again in a minute.\n", headers={"Retry-After": str(wait)})
        started.append(now)
        return await handler(request)

    return handle


def _answered_by(answer: Callable[[AsyncBoltRequest], Awaitable[BoltResponse]]) -> _Handler:
    async def handle(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await answer(await to_bolt_request(request)))

    return handle
