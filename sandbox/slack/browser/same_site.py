"""The same-site check: only programs and pages of this machine may use the local Slack, not a page of another site.

A page of another site can send requests to this machine, and by DNS rebinding also read the answers: its own name then
resolves to this machine, and the browser sends that name as the host.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def same_site(bound_host: str) -> Middleware:
    """Return a middleware that refuses requests for other hosts, and those that a page of another origin sends.

    `bound_host` is what the server listens on.
    """

    @web.middleware
    async def check(request: web.Request, handler: _Handler) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        origin = request.headers.get("Origin")
        if not _is_here(host, bound_host):
            return web.Response(status=403, text="This server is known under another name.\n")
        if origin is not None and urlsplit(origin).netloc != host:
            return web.Response(status=403, text="Pages of other sites have no access.\n")
        return await handler(request)

    return check


def _is_here(host: str, bound_host: str) -> bool:
    """Whether a Host header names this machine. DNS can't redirect an address or localhost elsewhere."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name in ("localhost", bound_host) or bool(ipaddress.ip_address(name))
    except ValueError:
        return False
