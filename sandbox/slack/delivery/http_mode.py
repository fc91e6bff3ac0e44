"""HTTP mode: signed requests to the app's request URL."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson

from sandbox.slack.delivery.ack import TIMED_OUT, UNREACHABLE, Answer

FORM = "application/x-www-form-urlencoded"


class HttpMode:
    """Sends signed requests to `request_url`, and requests for options to `options_url` if it is set."""

    def __init__(self, signing_secret: str, ack_timeout: float) -> None:
        self.signing_secret = signing_secret
        self.ack_timeout = ack_timeout
        self.request_url: str | None = None
        self.options_url: str | None = None
        self._session: aiohttp.ClientSession | None = None

    def signed(self, body: bytes) -> dict[str, str]:
        """Return the headers that prove that a request comes from Slack."""
        stamp = str(int(time.time()))
        digest = hmac.new(self.signing_secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256)
        return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest.hexdigest()}"}

    async def deliver(self, kind: str, payload: dict[str, Any], retry: int = 0, reason: str = "") -> Answer:
        """Send one request and read the acknowledgement from its response."""
        if kind == "events_api":
            body, content_type = orjson.dumps(payload), "application/json"
        elif kind == "slash_commands":
            body, content_type = urlencode(payload).encode(), FORM
        else:
            body, content_type = urlencode({"payload": orjson.dumps(payload).decode()}).encode(), FORM
        headers = {"Content-Type": content_type, **self.signed(body)}
        if retry:
            headers |= {"X-Slack-Retry-Num": str(retry), "X-Slack-Retry-Reason": reason}
        url = self.options_url if payload.get("type") == "block_suggestion" else None
        try:
            return await self._post(url or str(self.request_url), body, headers)
        except TimeoutError:
            return Answer(error=TIMED_OUT, reason="http_timeout")
        except aiohttp.ClientError:
            return Answer(error=UNREACHABLE, reason="connection_failed")

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        timeout = aiohttp.ClientTimeout(total=self.ack_timeout)
        async with self._session.post(url, data=body, headers=headers, timeout=timeout) as response:
            content = await response.read()
            if not 200 <= response.status < 300:
                return Answer(error=UNREACHABLE, reason="http_error")
            if not content:
                return Answer()
            if response.content_type == "application/json":
                decoded = orjson.loads(content)
                return Answer(payload=decoded if isinstance(decoded, dict) else {})
            return Answer(payload={"text": content.decode()})

    async def verify_url(self, url: str) -> bool:
        """Whether a request URL answers Slack's challenge."""
        challenge = "a-challenge"
        body = orjson.dumps({"type": "url_verification", "token": "local", "challenge": challenge})
        answer = await self._post(url, body, {"Content-Type": "application/json", **self.signed(body)})
        return answer.payload.get("challenge", answer.payload.get("text")) == challenge

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
