"""Socket Mode: WebSocket connections, envelopes, and acknowledgements matched by envelope."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import uuid
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from sandbox.slack.delivery.ack import TIMED_OUT, UNREACHABLE, Answer
from sandbox.slack.faults import Faults
from sandbox.slack.workspace.workspace import World

MOST_CONNECTIONS = 10
LINK_SECONDS = 18_060


class SocketMode:
    """The app's connections. An envelope goes to one of them; its acknowledgement may arrive over any."""

    def __init__(self, world: World, faults: Faults, ack_timeout: float) -> None:
        self.world = world
        self.faults = faults
        self.ack_timeout = ack_timeout
        self.connections: list[web.WebSocketResponse] = []
        self.late_acks: list[str] = []
        self.deaf: set[web.WebSocketResponse] = set()
        self.greetings_to_omit = 0
        self._all: dict[web.WebSocketResponse, web.Request] = {}
        self._tickets: set[str] = set()
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._turn = 0

    def new_url(self) -> str:
        """Return the address for one connection; it may be used again after a failed attempt."""
        ticket = secrets.token_hex(8)
        self._tickets.add(ticket)
        return f"{self.world.base_url.replace('http', 'ws', 1)}/link?ticket={ticket}&app_id={self.world.app.id}"

    def forget_links(self) -> None:
        """Expire all addresses issued so far, as Slack does after a while."""
        self._tickets.clear()

    async def link(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends."""
        self.world.asked.add("socket")
        if request.query.get("ticket") not in self._tickets:
            return web.Response(status=403)
        if self.faults.strike("socket", {}):
            return web.Response(status=503)
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        if len(self.connections) >= MOST_CONNECTIONS:
            await socket.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await socket.close()
            return socket
        self.connections.append(socket)
        self._all[socket] = request
        if self.greetings_to_omit:
            self.greetings_to_omit -= 1
        else:
            await socket.send_json(self._greeting())
        self.world.changed()
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    self._acknowledged(orjson.loads(message.data))
        finally:
            self._forget(socket)
            self._all.pop(socket, None)
        return socket

    def _greeting(self) -> dict[str, Any]:
        return {
            "type": "hello",
            "num_connections": len(self.connections),
            "connection_info": {"app_id": self.world.app.id},
            "debug_info": {"host": "local", "build_number": 1, "approximate_connection_time": LINK_SECONDS},
        }

    async def deliver(self, kind: str, payload: dict[str, Any], retry: int = 0, reason: str = "") -> Answer:
        """Send one envelope and wait for its acknowledgement."""
        envelope_id = str(uuid.uuid4())
        envelope: dict[str, Any] = {
            "envelope_id": envelope_id,
            "type": kind,
            "payload": payload,
            "accepts_response_payload": kind != "events_api",
        }
        if kind == "events_api":
            envelope |= {"retry_attempt": retry, "retry_reason": reason}
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[envelope_id] = future
        try:
            if not await self._send(envelope):
                return Answer(error=UNREACHABLE, reason="connection_failed")
            return Answer(payload=await asyncio.wait_for(future, self.ack_timeout))
        except TimeoutError:
            return Answer(error=TIMED_OUT, reason="timeout")
        finally:
            del self._waiting[envelope_id]

    async def _send(self, envelope: dict[str, Any]) -> bool:
        while self.connections:
            self._turn += 1
            socket = self.connections[self._turn % len(self.connections)]
            if socket in self.deaf:
                return True  # it is lost on the way
            try:
                await socket.send_str(orjson.dumps(envelope).decode())
            except (ConnectionError, RuntimeError):
                self._forget(socket)
            else:
                return True
        return False

    def _acknowledged(self, frame: dict[str, Any]) -> None:
        envelope_id = str(frame.get("envelope_id"))
        future = self._waiting.get(envelope_id)
        if future is None or future.done():
            self.late_acks.append(envelope_id)
            self.world.changed()
        else:
            future.set_result(frame.get("payload") or {})

    def deafen(self) -> None:
        """Lose every envelope that goes to a present connection. Pings are answered, and new connections work.

        Seen after idle times: slackapi/bolt-python#1529, slackapi/node-slack-sdk#2443.
        """
        self.deaf.update(self.connections)

    def _forget(self, socket: web.WebSocketResponse) -> None:
        self.deaf.discard(socket)
        if socket in self.connections:
            self.connections.remove(socket)
            self.world.changed()

    async def refresh(self, reason: str = "refresh_requested") -> None:
        """Ask every connection to make a new one, as Slack does from time to time."""
        for socket in list(self.connections):
            self._forget(socket)
            await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "local"}})

    async def drop(self) -> None:
        """Drop every connection without a close frame."""
        for socket, request in list(self._all.items()):
            self._forget(socket)
            if request.transport is not None:
                request.transport.abort()

    async def close(self) -> None:
        """Close every connection."""
        for socket in list(self._all):
            with contextlib.suppress(ConnectionError, RuntimeError, TimeoutError):
                await asyncio.wait_for(socket.close(code=1001), 1)
