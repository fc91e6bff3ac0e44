"""A probe of a host: does it answer at all, and what time does it have?"""

import time
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp

from core import network

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The host answered. `clock_off` is how many seconds this machine's clock is ahead; None if that is unknown."""

    host: str
    clock_off: float | None


async def probe(url: str) -> ProbeResult | str:
    """Send a request without a key to a host. Returns the reason, as text for people, if no answer comes."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout, connector=network.connector()) as session:
            began = time.time()
            async with session.get(f"{url}/api/lists", allow_redirects=False, proxy=network.proxy_for(url)) as answer:
                middle = (began + time.time()) / 2
                return ProbeResult(str(answer.url.origin()), _clock_difference(middle, answer.headers.get("Date")))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return network.certificate_fault(error, urlsplit(url).netloc) or network.why_unreachable(error)
    except ValueError:
        return "no connection can be made"


def _clock_difference(now: float, date: str | None) -> float | None:
    """Return the seconds by which `now` is ahead of a Date header; None if the header is missing or unreadable."""
    if date is None:
        return None
    try:
        host_time = parsedate_to_datetime(date)
    except ValueError:
        return None
    if host_time.tzinfo is None:
        host_time = host_time.replace(tzinfo=UTC)
    return now - host_time.timestamp() - 0.5  # the header is cut off to whole seconds: half a second on average
