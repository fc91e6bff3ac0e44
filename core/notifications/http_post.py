"""Requests to receivers: one POST, with limits that a hostile receiver can't stretch.

Redirects are not followed, the answer's body is not read, and the whole request has a time limit.
"""

from collections.abc import Mapping

import aiohttp

from core import network
from core.errors import SettingsError
from core.notifications.answer import Answer

# How long a request may take in all, and until it is connected, in seconds.
TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
# How many bytes of headers an answer may have.
_HEADER_BYTES = 8190

#: The receiver has said that it will never take anything again (410 Gone).
_GONE = frozenset({410})


async def post(url: str, body: bytes, headers: Mapping[str, str], *, final: frozenset[int] = _GONE) -> Answer:
    """Send a POST request, and return the receiver's answer. `final` are the statuses after which no retry helps."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(
                connector=network.connector(force_close=True),
                timeout=timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                max_line_size=_HEADER_BYTES,
                max_field_size=_HEADER_BYTES,
                auto_decompress=False,
            ) as session,
            session.post(
                url, data=body, headers=dict(headers), allow_redirects=False, proxy=network.proxy_for(url)
            ) as response,
        ):
            return _answer(response.status, final)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return Answer(False, error=network.why_unreachable(error))
    except SettingsError as error:  # the environment names a proxy or certificates that can't be used
        return Answer(False, error=error.message)


def _answer(status: int, final: frozenset[int]) -> Answer:
    if 200 <= status < 300:
        return Answer(True, status)
    error = "it redirects, which is not followed" if 300 <= status < 400 else f"it answered {status}"
    return Answer(False, status, error, is_final=status in final)
