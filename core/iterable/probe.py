"""Whether a host answers at all, and what its clock says."""

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
    """An answer, whatever it was. `clock_off` is how many seconds this machine's clock is ahead, if that is known."""

    host: str
    clock_off: float | None


async def probe(url: str) -> ProbeResult | str:
    """Ask a host for anything, without a key. Returns why not, in words, where no answer comes."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout, connector=network.connector()) as session:
            began = time.time()
            async with session.get(f"{url}/api/lists", allow_redirects=False, proxy=network.proxy_for(url)) as answer:
                middle = (began + time.time()) / 2
                return ProbeResult(str(answer.url.origin()), _off(middle, answer.headers.get("Date")))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return network.certificate_fault(error, urlsplit(url).netloc) or network.why_unreachable(error)
    except ValueError:
        return "no connection can be made"


def _off(now: float, date: str | None) -> float | None:
    if date is None:
        return None
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:
        return None
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=UTC)
    return now - theirs.timestamp() - 0.5  # the header has whole seconds, cut off
