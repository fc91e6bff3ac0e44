"""A local PagerDuty, as far as its Events API v2 takes events.

Source: https://developer.pagerduty.com/docs/events-api-v2-overview and its page on sending an alert event: required
fields, lengths, severities; 202 with `status`, `message` and `dedup_key`; 400 with `errors`; 429 for too many events.
Events with the same `dedup_key` belong to one incident.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

_ACTIONS = ("trigger", "acknowledge", "resolve")
_SEVERITIES = ("critical", "error", "warning", "info")


@dataclass
class Incident:
    """An incident: its latest payload, and whether it is open."""

    payload: dict[str, Any]
    is_open: bool = True
    triggers: int = 1


@dataclass
class PagerDuty:
    """The receiver: its incidents by `dedup_key`, and how it answers. `throttles` is how often it answers 429 first."""

    routing_key: str = "0123456789abcdef0123456789abcdef"
    url: str = ""
    throttles: int = 0
    incidents: dict[str, Incident] = field(default_factory=dict)

    async def enqueue(self, request: web.Request) -> web.Response:
        """Take an event."""
        if self.throttles:
            self.throttles -= 1
            return web.json_response({"status": "throttle exceeded"}, status=429)
        event: dict[str, Any] = await request.json()
        if errors := self._errors(event):
            answer = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
            return web.json_response(answer, status=400)
        self._apply(event)
        answer = {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}
        return web.json_response(answer, status=202)

    def _errors(self, event: dict[str, Any]) -> list[str]:
        errors = []
        if event.get("routing_key") != self.routing_key:
            errors.append("Invalid routing key")
        if event.get("event_action") not in _ACTIONS:
            errors.append("'event_action' is invalid")
        if not 0 < len(str(event.get("dedup_key") or "")) <= 255:
            errors.append("'dedup_key' is missing or too long")
        if event.get("event_action") == "trigger":
            payload = event.get("payload") or {}
            if not 0 < len(payload.get("summary") or "") <= 1024:
                errors.append("'payload.summary' is missing or too long")
            if not payload.get("source"):
                errors.append("'payload.source' is missing or blank")
            if payload.get("severity") not in _SEVERITIES:
                errors.append("'payload.severity' is invalid")
        return errors

    def _apply(self, event: dict[str, Any]) -> None:
        incident = self.incidents.get(event["dedup_key"])
        if event["event_action"] == "trigger":
            if incident is None or not incident.is_open:
                self.incidents[event["dedup_key"]] = Incident(event["payload"])
            else:
                incident.payload, incident.triggers = event["payload"], incident.triggers + 1
        elif event["event_action"] == "resolve" and incident is not None:
            incident.is_open = False


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[PagerDuty]:
    """Run a local PagerDuty for the length of the block."""
    pagerduty = PagerDuty()
    app = web.Application()
    app.router.add_post("/v2/enqueue", pagerduty.enqueue)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        pagerduty.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield pagerduty
    finally:
        await runner.cleanup()
