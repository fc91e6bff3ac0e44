"""POST /mparticle/firehose/<token>: the endpoint for mParticle's Firehose.

200 means that the content of the message is stored. After any other answer, mParticle sends the message again.
"""

import asyncio
import hmac
import logging

from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

from bot import metrics
from core.engine import Engine
from core.errors import StorageError
from core.firehose.ingest import FirehoseIngest
from core.firehose.schema import AudienceMembershipChangeRequest, MalformedError, Request, parse

logger = logging.getLogger(__name__)

# The Retry-After of a 503 answer, in seconds.
RETRY_AFTER_S = 5
_READ_AT_ONCE = 256 * 1024
# How long a message may take to arrive, in seconds.
READ_WITHIN_S = 30.0
# A larger message is read in a thread (bytes): it would block the event loop for milliseconds.
SMALL_BYTES = 64 * 1024


class _Endpoint:
    def __init__(self, engine: Engine, token: str) -> None:
        self._token = token.encode()
        self._intake = FirehoseIngest(engine)
        self._most_bytes = int(engine.settings.firehose_max_mb * 1_000_000)
        self._most_at_once = engine.settings.firehose_max_concurrent
        self._at_once = 0

    async def handle(self, request: web.Request) -> web.Response:
        given = request.match_info["token"].encode(errors="surrogatepass")
        if not hmac.compare_digest(given, self._token) or request.method != "POST":
            raise web.HTTPNotFound
        if self._at_once >= self._most_at_once:
            return _answer(503, "too many messages at once", retry=True)
        self._at_once += 1
        try:
            with metrics.FIREHOSE_SECONDS.time():
                return await self._take(request)
        finally:
            self._at_once -= 1

    async def _take(self, request: web.Request) -> web.Response:
        if (request.content_length or 0) > self._most_bytes:
            return _answer(413, f"a message may have {self._most_bytes:,} bytes")
        body = bytearray()
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                async for chunk in request.content.iter_chunked(_READ_AT_ONCE):
                    body += chunk
                    if len(body) > self._most_bytes:
                        return _answer(413, f"a message may have {self._most_bytes:,} bytes")
        except TimeoutError:
            return _answer(408, f"a message has to arrive within {READ_WITHIN_S:.0f} seconds")
        try:
            message = await _parsed(bytes(body))
            answer = await self._intake.handle(message, request.url.host or "")
        except MalformedError as error:
            logger.warning("rejected a Firehose message: %s", error.message)
            return _answer(400, error.message, field=error.field)
        except (SQLAlchemyError, OSError, StorageError):
            logger.warning("could not store a Firehose message", exc_info=True)
            return _answer(503, "the message could not be stored", retry=True)
        metrics.FIREHOSE_MESSAGES.labels(type=message.type, status="200").inc()
        if isinstance(message, AudienceMembershipChangeRequest) and message.unusable:
            metrics.FIREHOSE_UNUSABLE.inc(message.unusable)
            logger.warning("%d changes of a Firehose message could not be read and were left out", message.unusable)
        return web.json_response(answer)


async def _parsed(body: bytes) -> Request:
    return parse(body) if len(body) <= SMALL_BYTES else await asyncio.to_thread(parse, body)


def add_routes(app: web.Application, engine: Engine) -> None:
    """Add the endpoint, if a token is set."""
    if engine.settings.firehose_token is not None:
        endpoint = _Endpoint(engine, engine.settings.firehose_token.get_secret_value())
        app.router.add_route("*", "/mparticle/firehose/{token}", endpoint.handle)


def _answer(status: int, message: str, *, field: str | None = None, retry: bool = False) -> web.Response:
    metrics.FIREHOSE_MESSAGES.labels(type="", status=str(status)).inc()
    content = {"error": message} | ({"field": field} if field else {})
    headers = {"Retry-After": str(RETRY_AFTER_S)} if retry else {}
    return web.json_response(content, status=status, headers=headers)
