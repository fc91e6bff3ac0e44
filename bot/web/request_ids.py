"""Request ids: each request over HTTP has one, in the log and in the header of its answer."""

import re
import uuid
from collections.abc import Awaitable, Callable

from aiohttp import web

from core.telemetry.log_context import log_ids

#: The header in which a proxy may send an id, and in which each answer has it.
HEADER = "X-Request-Id"
# What is taken over: nothing that could break a line of the log.
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@web.middleware
async def identified(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Give a request the id that its proxy has sent, or else a new one. The answer has it, too."""
    sent = request.headers.get(HEADER, "")
    request_id = sent if _ID.fullmatch(sent) else uuid.uuid4().hex
    with log_ids(request_id=request_id):
        try:
            answer = await handler(request)
        except web.HTTPException as error:
            error.headers[HEADER] = request_id
            raise
    answer.headers[HEADER] = request_id
    return answer
