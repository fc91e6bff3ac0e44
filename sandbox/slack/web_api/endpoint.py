"""The endpoint of the Web API: arguments, token, scope, faults, rate limit, method, answer."""

from __future__ import annotations

import asyncio
import base64
from math import inf
from typing import Any

import orjson
from aiohttp import web

from sandbox.slack.delivery.socket_mode import SocketMode
from sandbox.slack.errors import SlackError
from sandbox.slack.faults import LOST_ANSWER, NO_ANSWER, RATE_LIMITED, SERVER_ERROR, Fault, Faults
from sandbox.slack.rate_limits import Rates
from sandbox.slack.web_api.methods import METHODS, Method
from sandbox.slack.web_api.request import ApiRequest, read_arguments
from sandbox.slack.workspace.grants import Call
from sandbox.slack.workspace.workspace import World

SILENCE_SECONDS = 600.0


class WebApi:
    """Answers `/api/<method>`."""

    def __init__(self, world: World, faults: Faults, rates: Rates, socket_mode: SocketMode) -> None:
        self.world = world
        self.faults = faults
        self.rates = rates
        self.socket_mode = socket_mode

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Handle one request, and record it in `world.calls` with its answer."""
        name = request.match_info["method"]
        call = Call(name, "", {}, {}, 200, self.world.now())
        self.world.asked.add(name)
        try:
            answered = await self._answer(request, name, call)
        except SlackError as error:
            answered = respond(error.as_json())
        call.status = answered.status
        if isinstance(answered, web.Response) and isinstance(answered.body, bytes) and not call.answer:
            call.answer = orjson.loads(answered.body) if answered.status in (200, 429) else {}
        self.world.calls.append(call)
        self.world.changed()
        return answered

    async def _answer(self, request: web.Request, name: str, call: Call) -> web.Response:
        args = await read_arguments(request)
        call.args = {key: value for key, value in args.items() if key not in ("token", "client_secret")}
        header = request.headers.get("Authorization", "")
        asked = ApiRequest(self.world, name, args, token=header.removeprefix("Bearer ").strip())
        if header.startswith("Basic "):
            login, _, password = base64.b64decode(header[6:]).decode().partition(":")
            asked.basic = (login, password)
        asked.token = asked.token if header.startswith("Bearer ") else asked.text("token")
        asked.install = self.world.tokens.get(asked.token)
        call.team_id = asked.team_id
        fault = self.faults.strike(name, args)
        if fault and fault.kind != LOST_ANSWER:
            self.world.changed()  # no other change announces a request without an answer
            return await strike(fault)
        method = METHODS.get(name)
        if method is None:
            raise SlackError("unknown_method", req_method=name)
        self._check_token(asked, method)
        wait = self.rates.retry_after(name, asked.team_id, args, self.world.now())
        if wait is not None:
            return respond({"ok": False, "error": RATE_LIMITED}, 429, {"Retry-After": str(wait)})
        answer = {"ok": True, **method.run(asked)}
        if name == "apps.connections.open":
            answer["url"] = self.socket_mode.new_url()
        call.answer = answer
        self.world.changed()
        if fault and request.transport:
            request.transport.abort()
        scopes = ",".join(sorted(asked.install.scopes)) if asked.install else ""
        return respond(answer, headers={"x-oauth-scopes": scopes})

    def _check_token(self, asked: ApiRequest, method: Method) -> None:
        if method.caller == "anybody":
            return
        if not asked.token:
            raise SlackError("not_authed")
        is_app = asked.token == self.world.app.app_token
        if asked.install is None and not is_app:
            raise SlackError("invalid_auth")
        if is_app != (method.caller == "app"):
            raise SlackError("not_allowed_token_type")
        if asked.install is None:
            return
        if self.world.token_ends.get(asked.token, inf) < self.world.now():
            raise SlackError("token_expired")
        if asked.install.gone:
            raise SlackError(asked.install.gone)
        if method.scopes and not asked.install.scopes & set(method.scopes):
            raise SlackError("missing_scope", needed=method.scopes[0], provided=",".join(sorted(asked.install.scopes)))


def respond(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return an answer in JSON."""
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json", headers=headers)


async def strike(fault: Fault) -> web.Response:
    """Return the answer of a fault."""
    if fault.kind == NO_ANSWER:
        await asyncio.sleep(SILENCE_SECONDS)
    if fault.kind == RATE_LIMITED:
        headers = {"Retry-After": str(fault.retry_after)}
        return respond({"ok": False, "error": RATE_LIMITED}, 429, headers)
    if fault.kind in (SERVER_ERROR, NO_ANSWER):
        return web.Response(status=fault.status, text="a fault of the local Slack")
    return respond({"ok": False, "error": fault.kind})
