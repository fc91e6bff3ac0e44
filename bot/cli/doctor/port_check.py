"""The check of the ports on which `serve` listens."""

import asyncio
import os
import socket

from bot.cli.doctor import CheckResult
from core.settings import Settings

# How long this machine may take to answer itself, in seconds.
ANSWER_WITHIN_S = 3.0


async def port_findings(settings: Settings, *, is_served: bool) -> list[CheckResult]:
    """Return for each address of `serve` whether it is free. A taken one is a fault only with `is_served`."""
    places = [(settings.host, settings.port, "ITERABLE_SYNC")]
    if settings.metrics_port is not None:
        places.append((settings.metrics_host, settings.metrics_port, "ITERABLE_SYNC_METRICS"))
    return [await _finding(*place, is_served=is_served) for place in places]


async def _finding(host: str, port: int, setting: str, *, is_served: bool) -> CheckResult:
    subject = f"{host}, port {port}"
    try:
        await asyncio.to_thread(_bind, host, port)
    except OSError as error:
        if await _is_ours(host, port):
            return CheckResult(subject, True, "is in use by a running `iterable-sync serve`")
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else "no such address"
        remedy = f"Set {setting}_PORT to a port that is free, or {setting}_HOST to an address of this machine."
        text = f"can't be used ({why}). " + (remedy if is_served else f"Only `serve` needs it. {remedy}")
        return CheckResult(subject, not is_served, text)
    return CheckResult(subject, True, "is free for `serve`" if port else "`serve` takes a free port")


def _bind(host: str, port: int) -> None:
    """Bind to the first address of the host. Raises OSError if that is not possible."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as asyncio does
        server.bind(address)


async def _is_ours(host: str, port: int) -> bool:
    """Return whether a server of this program answers there: on `/healthz`, or on `/readyz` if that is by itself."""
    import aiohttp

    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # listens everywhere
    address = f"http://[{loopback}]:{port}" if ":" in loopback else f"http://{loopback}:{port}"
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{address}/readyz") as answer:
            if answer.status in (200, 503) and "migrations" in await answer.text():
                return True
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{address}/healthz") as answer:
            return answer.status == 200 and await answer.text() == "ok\n"
    except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError):
        return False
