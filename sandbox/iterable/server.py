"""The HTTP server: reads requests, applies faults, sends answers, keeps the log."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from http.client import responses

from aiohttp import web

from sandbox.iterable import admin_api, dispatch
from sandbox.iterable.answers import REFUSALS
from sandbox.iterable.faults import Fault
from sandbox.iterable.request import Call
from sandbox.iterable.responses import Answer
from sandbox.iterable.state import State

_MOST_READ = 256 * 1024 * 1024  # bytes; a body above the limit is read, and then rejected in JSON
_GATEWAY = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close at once, with RST


def app(state: State | None = None) -> web.Application:
    """Return the local Iterable as an aiohttp application, with its control API under /_sandbox."""
    server = _Server(state or State())
    application = web.Application(client_max_size=_MOST_READ)
    application.router.add_route("*", "/api{tail:.*}", server.handle)
    admin_api.add_routes(application, server.state)
    application.on_shutdown.append(server.stop)
    return application


@dataclass(slots=True)
class Reply:
    """The reply, and the status for the log: 0 for no answer, or half of one."""

    response: web.StreamResponse = field(default_factory=web.Response)
    status: int = 0


class _Server:
    """Applies requests to a state."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._stopping = asyncio.Event()

    async def stop(self, _app: web.Application) -> None:
        """Release the requests that a fault delays."""
        self._stopping.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, unless a fault prevents it, and log it."""
        state = self.state
        at = state.clock()
        state.log.in_flight += 1
        state.log.peak_in_flight = max(state.log.peak_in_flight, state.log.in_flight)
        call = Call(state, request.method, request.path, request.query, request.headers, b"", at)
        route = dispatch.route_of(call)
        reply, fault = Reply(), None
        try:
            call.body = await request.read()
            fault = state.faults.pick(call.method, call.path, call.body)
            reply = (
                _sent(dispatch.answer(call, route)) if fault is None else await self._play(request, call, route, fault)
            )
        finally:
            state.log.in_flight -= 1
            state.log.add(
                at=at,
                now=state.clock(),
                method=call.method,
                path=call.path,
                route=call.route,
                status=reply.status,
                subscribers=call.subscribers,
                list_id=call.list_id,
                fault=fault.action if fault else None,
            )
        return reply.response

    async def _play(self, request: web.Request, call: Call, route: dispatch.Route | None, fault: Fault) -> Reply:
        """Apply a fault to a request."""
        if fault.action == "slow":
            early = dispatch.answer(call, route) if fault.applied else None
            if not await self._pause(fault, fault.delay):
                return _torn(request)
            return _sent(early or dispatch.answer(call, route))
        answer = dispatch.answer(call, route) if fault.applied else Answer()
        waited = await self._pause(fault, fault.delay)
        if fault.action == "hang":
            await self._pause(fault, None)
        if not waited or fault.action in {"hang", "reset"}:
            return _torn(request)
        if fault.action == "cut":
            return await _cut(request, answer)
        return _sent(_spoiled(fault, answer))

    async def _pause(self, fault: Fault, seconds: float | None) -> bool:
        """Wait, without an end if `seconds` is None, but only until the rule is removed. Returns False if the server
        stops meanwhile."""
        if seconds is None or seconds > 0:
            events = [asyncio.create_task(event.wait()) for event in (self._stopping, fault.removed)]
            try:
                await asyncio.wait(events, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for event in events:
                    event.cancel()
        return not self._stopping.is_set()


def _spoiled(fault: Fault, answer: Answer) -> Answer:
    """Return the answer that a fault sends instead of the true one."""
    match fault.action:
        case "answer":
            return REFUSALS[fault.answer].answer()
        case "html":
            page = _GATEWAY.format(f"{fault.status} {responses.get(fault.status, 'Error')}")
            return Answer(fault.status, page.encode(), "text/html")
        case "throttle":
            headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
            return Answer.message("Rate limit exceeded", "RateLimitExceeded", fault.status, headers)
        case "not_json":
            return Answer.text("OK", fault.status)
        case "truncated":
            answer.body = answer.body[: len(answer.body) // 2]
            return answer
        case _:
            return Answer.message(fault.msg, fault.code, fault.status)


def _sent(answer: Answer) -> Reply:
    response = web.Response(
        status=answer.status,
        body=answer.body,
        content_type=answer.content_type,
        charset="utf-8" if answer.content_type.startswith("text/") else None,
        headers=answer.headers,
    )
    return Reply(response, answer.status)


def _torn(request: web.Request) -> Reply:
    """Reset the connection: the client gets no answer."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
    return Reply()


async def _cut(request: web.Request, answer: Answer) -> Reply:
    """Send half of an answer and close the connection."""
    response = web.StreamResponse(status=answer.status)
    response.content_type = answer.content_type
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return Reply(response)
