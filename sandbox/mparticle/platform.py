"""mParticle's platform API, as far as it lists audiences: tokens, and the audiences of an account.

Sources: mParticle's documentation of the Platform API (developers/platform: token endpoint, `accountId` with every
request, status codes, tokens for eight hours that can't be revoked), of its audiences (active ones, in one array,
without pages) and of its default service limits (429 with `X-mp-rate-limit-exceeded` and `Retry-After`). The token
endpoint is Auth0's, whose answers to wrong credentials are in Auth0's documentation of the client credentials flow.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

DEFAULT_ACCOUNT = 4711
DEFAULT_CLIENT = "sandbox-client"
_AUDIENCE = "https://api.mparticle.com"
_WORKSPACE = {"name": "Shop", "id": 123, "data_type": "workspace", "created_on": "2016-05-09T18:27:57.337"}


@dataclass
class ListedAudience:
    """An audience of an account. `size` is None while mParticle computes it."""

    id: int
    name: str
    size: int | None = 0
    added: int | None = 0
    dropped: int | None = 0
    status: str = "active"
    external_name: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the audience as in mParticle's answer."""
        return {
            "id": self.id,
            "name": self.name,
            "external_name": self.name if self.external_name is None else self.external_name,
            "size": self.size,
            "created_by": "jsmith",
            "last_modified_by": "mmann",
            "last_modified_on": "2017-01-12T17:27:34.387",
            "is_calculated": False,
            "added_last_24_hours": self.added,
            "dropped_last_24_hours": self.dropped,
            "status": self.status,
            "workspaces": [_WORKSPACE],
            "connected_outputs": [],
            "data_type": "audience",
        }


@dataclass
class Refusal:
    """An answer that the API gives instead of the true one, `times` times. `path` is the end of the path."""

    path: str
    status: int
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    text: str = "{}"


@dataclass
class Platform:
    """mParticle with its accounts. A client may read the accounts in `allowed` (403 for the others)."""

    client_id: str = DEFAULT_CLIENT
    client_secret: str = field(default_factory=lambda: secrets.token_hex(24))
    accounts: dict[int, list[ListedAudience]] = field(default_factory=lambda: {DEFAULT_ACCOUNT: []})
    allowed: set[int] = field(default_factory=lambda: {DEFAULT_ACCOUNT})
    token_lasts_s: float = 28_800.0
    clock: Callable[[], float] = time.monotonic
    refusals: list[Refusal] = field(default_factory=list)
    #: How many requests each path got.
    requests: dict[str, int] = field(default_factory=dict)
    _tokens: dict[str, float] = field(default_factory=dict)

    def delete(self, audience_id: int) -> None:
        """Delete an audience. It is no longer listed."""
        for listed in self.accounts.values():
            listed[:] = [each for each in listed if each.id != audience_id]

    def refuse(self, path: str, status: int, **more: Any) -> None:
        """Answer the next request to a path with a refusal."""
        self.refusals.append(Refusal(path, status, **more))

    def expire_tokens(self) -> None:
        """Let eight hours pass: no token is valid any longer."""
        self._tokens.clear()

    def app(self) -> web.Application:
        """Return the API as an aiohttp application."""
        application = web.Application(middlewares=[self._refused])
        application.router.add_post("/oauth/token", self._token)
        application.router.add_get("/v1/audiences", self._audiences)
        return application

    @web.middleware
    async def _refused(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        self.requests[request.path] = self.requests.get(request.path, 0) + 1
        refusal = next((each for each in self.refusals if request.path.endswith(each.path)), None)
        if refusal is None:
            answer: web.StreamResponse = await handler(request)
            return answer
        refusal.times -= 1
        if not refusal.times:
            self.refusals.remove(refusal)
        return web.Response(
            status=refusal.status, text=refusal.text, content_type="application/json", headers=refusal.headers
        )

    async def _token(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("grant_type") != "client_credentials":
            return _denied(403, "Grant type not allowed for the client.")
        if body.get("audience") != _AUDIENCE:
            return _denied(403, "Service not enabled within domain.")
        if (body.get("client_id"), body.get("client_secret")) != (self.client_id, self.client_secret):
            return _denied(401, "Unauthorized")
        token = secrets.token_urlsafe(32)
        self._tokens[token] = self.clock() + self.token_lasts_s
        lasts = int(self.token_lasts_s)
        return web.json_response({"access_token": token, "expires_in": lasts, "token_type": "Bearer"})

    async def _audiences(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        account = request.query.get("accountId", "")
        if self._tokens.get(token, 0.0) <= self.clock() or not account:
            return _failed(401, "UNAUTHORIZED", "User failed authentication.")
        if not account.isdecimal() or int(account) not in self.accounts:
            return _failed(404, "NOT_FOUND", "Resource does not exist or user does not have access.")
        if int(account) not in self.allowed:
            return _failed(403, "FORBIDDEN", "Identity is not authorized to invoke specified method.")
        return web.json_response([each.as_json() for each in self.accounts[int(account)]])


def sample_audiences() -> list[ListedAudience]:
    """Return audiences as a shop has them."""
    return [
        ListedAudience(8754, "SpringShoppers", 4_725, 132, 41),
        ListedAudience(8755, "Lapsed customers, 90 days", 18_230, 402, 377),
        ListedAudience(8756, "Newsletter readers", 96_114, 820, 65),
        ListedAudience(8757, "Birthday this week", None, None, None),
    ]


def _denied(status: int, description: str) -> web.Response:
    return web.json_response({"error": "access_denied", "error_description": description}, status=status)


def _failed(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"data": None, "errors": [{"code": code, "message": message}]}, status=status)
