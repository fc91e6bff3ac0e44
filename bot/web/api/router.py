"""The router of the API: checks the token, its scope and its rate, validates the request, and calls the operation."""

import asyncio
import time
from collections import deque
from functools import cache, partial
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from bot.web.api import (
    alert_routes,
    alert_rules,
    alerts,
    audit,
    checks,
    connections,
    docs,
    freezes,
    mappings,
    members,
    openapi,
    schedules,
    status,
    syncs,
)
from bot.web.api.operations import PREFIX, Call, Operation
from bot.web.api.problems import of_exception, problem
from core.connections.api_tokens import authenticate
from core.engine import Engine
from core.runs.uploads import ContentTooLargeError
from core.store.api_tokens import ApiToken
from core.store.tenancy import Tenant

OPERATIONS: tuple[Operation, ...] = tuple(
    operation
    for module in (
        syncs,
        mappings,
        schedules,
        freezes,
        checks,
        connections,
        alerts,
        alert_rules,
        alert_routes,
        members,
        audit,
        status,
    )
    for operation in module.operations.all
)

# Requests of a token in a minute.
REQUESTS_A_MINUTE = 300
# How long a body without files may take to arrive, in seconds, and its most bytes.
_READ_WITHIN_S = 30.0
_MOST_BYTES = 1_000_000


class _RateLimit:
    """Limits the requests of each token in a minute."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._times: dict[int, deque[float]] = {}

    def seconds_to_wait(self, token_id: int) -> float:
        """Count a request, and return 0; or return how long the token has to wait."""
        times = self._times.setdefault(token_id, deque(maxlen=self._per_minute))
        now = time.monotonic()
        if len(times) == self._per_minute and now - times[0] < 60.0:
            return 60.0 - (now - times[0])
        times.append(now)
        return 0.0


class _Endpoint:
    """The handler of one operation."""

    def __init__(self, operation: Operation, engine: Engine, limit: _RateLimit, *, one_workspace: bool) -> None:
        self._operation = operation
        self._engine = engine
        self._limit = limit
        self._one_workspace = one_workspace

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except Exception as error:  # noqa: BLE001  # it is answered, and logged if it is not the client's fault
            return of_exception(error, self._operation.id)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        token = await _token_of(self._engine, request)
        if token is None:
            detail = "Send a token that is not revoked: `Authorization: Bearer isync_...`."
            return problem(401, detail, "unauthorized", headers={"WWW-Authenticate": 'Bearer realm="iterable-sync"'})
        if wait := self._limit.seconds_to_wait(token.id):
            detail = f"A token may send {REQUESTS_A_MINUTE} requests a minute. Wait {wait:.0f} seconds."
            return problem(429, detail, "rate_limited", headers={"Retry-After": str(int(wait) + 1)})
        scope = self._operation.scope
        if scope not in token.scopes:
            return problem(403, f"This needs a token with the scope {scope}.", "forbidden")
        tenant = Tenant(token.team_id, self._one_workspace)
        call = Call(self._engine, token, tenant, request)
        result = await self._call(call)
        if isinstance(result, BaseModel):
            return web.Response(
                text=result.model_dump_json(), status=self._operation.status, content_type="application/json"
            )
        return result

    async def _call(self, call: Call) -> BaseModel | web.StreamResponse:
        operation = self._operation
        arguments: dict[str, Any] = {}
        if operation.query is not None:
            arguments["query"] = operation.query.model_validate(_query(call.request))
        elif call.request.query_string:
            return problem(400, "This operation takes no query.", "bad_input")
        if operation.body is None:
            return await operation.handler(call, **arguments)
        content_type = call.request.content_type
        if operation.multipart and content_type == "multipart/form-data":
            document, upload = await syncs.read_upload(call)
            try:
                body = operation.body.model_validate_json(document)
                return await operation.handler(call, body=body, upload=upload)
            finally:
                if upload is not None and not upload.is_needed:
                    upload.remove()
        if content_type != "application/json":
            accepted = "application/json" + (" or multipart/form-data" if operation.multipart else "")
            return problem(415, f"Send the body as {accepted}.", "unsupported_media_type")
        arguments["body"] = operation.body.model_validate_json(await _read(call.request))
        if operation.multipart:
            arguments["upload"] = None
        return await operation.handler(call, **arguments)


async def _read(request: web.Request) -> bytes:
    body = bytearray()
    async with asyncio.timeout(_READ_WITHIN_S):
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > _MOST_BYTES:
                raise ContentTooLargeError(f"A JSON body may have {_MOST_BYTES:,} bytes.")
    return bytes(body)


def _query(request: web.Request) -> dict[str, str | list[str]]:
    """Return the parameters; one that is given twice becomes a list, which no schema accepts."""
    return {name: values[0] if len(values := request.query.getall(name)) == 1 else values for name in request.query}


async def _token_of(engine: Engine, request: web.Request) -> ApiToken | None:
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    return await authenticate(engine, secret.strip()) if kind.lower() == "bearer" and secret.strip() else None


def add_routes(server: web.Application, engine: Engine, *, one_workspace: bool) -> None:
    """Add the operations, the OpenAPI description, and the page that shows it."""
    limit = _RateLimit(REQUESTS_A_MINUTE)
    for operation in OPERATIONS:
        endpoint = _Endpoint(operation, engine, limit, one_workspace=one_workspace)
        server.router.add_route(operation.method, PREFIX + operation.path, endpoint.handle)
    server.router.add_get(f"{PREFIX}/openapi.json", _get_description)
    server.router.add_get(f"{PREFIX}/docs", _get_page)
    for path in dict.fromkeys(operation.path for operation in OPERATIONS):
        allowed = ", ".join(sorted(operation.method for operation in OPERATIONS if operation.path == path))
        server.router.add_route("*", PREFIX + path, partial(_refuse_method, allowed))
    server.router.add_route("*", PREFIX + "/{rest:.*}", _refuse_path)


@cache
def _description() -> dict[str, Any]:
    # Made when it is asked for: it takes longer than the rest of the start of `serve`.
    return openapi.describe(OPERATIONS)


async def _get_description(_request: web.Request) -> web.Response:
    return web.json_response(_description())


async def _get_page(_request: web.Request) -> web.Response:
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return web.Response(text=docs.render(_description()), content_type="text/html", headers=headers)


async def _refuse_method(allowed: str, request: web.Request) -> web.Response:
    detail = f"{request.method[:20]} is not possible here. Use {allowed}."
    return problem(405, detail, "method_not_allowed", headers={"Allow": allowed})


async def _refuse_path(request: web.Request) -> web.Response:
    return problem(404, f"The API has no operation at {request.path[:200]}.", "not_found")
