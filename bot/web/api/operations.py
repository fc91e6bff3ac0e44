"""Operations of the API: a handler with its method, path, scope and schemas. The router and the OpenAPI description
are made from them, so neither can differ from the code."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from core.engine import Engine
from core.errors import NotFoundError
from core.models.run import Run
from core.store import alerts, tenancy
from core.store.alerts import Alert
from core.store.api_tokens import ApiToken, Scope
from core.store.connections import Connection
from core.store.mappings import AudienceMapping
from core.store.tenancy import Tenant

#: Where the API begins.
PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True)
class Call:
    """A request to an operation: who sends it, what they see, and the parts of its path."""

    engine: Engine
    token: ApiToken
    tenant: Tenant
    request: web.Request

    @property
    def actor(self) -> str:
        """The name of the token in audit entries."""
        return self.token.actor

    def number(self, name: str) -> int:
        """Return a number in the path. Raises NotFoundError if it is none: nothing has such an id."""
        text = self.request.match_info[name]
        if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
            raise NotFoundError(f"There is no {name.removesuffix('_id')} {text[:_SHOWN]}.")
        return int(text)

    async def connections(self) -> list[Connection]:
        """Return the connections that the token sees, by name."""
        async with self.engine.database.read() as db:
            return await tenancy.connections_of(db, self.tenant)

    async def run(self) -> tuple[Connection, AudienceMapping, Run]:
        """Return the sync in the path. Raises NotFoundError if the token sees none."""
        sync_id = self.request.match_info["sync_id"]
        async with self.engine.database.read() as db:
            run = await tenancy.run(db, self.tenant, sync_id)
        if run is None:
            raise NotFoundError(f'There is no sync "{sync_id[:_SHOWN]}".')
        return run

    async def mapping(self, mapping_id: int) -> tuple[Connection, AudienceMapping]:
        """Return a mapping. Raises NotFoundError if the token sees none with this id."""
        async with self.engine.database.read() as db:
            mapping = await tenancy.mapping(db, self.tenant, mapping_id)
        if mapping is None:
            raise NotFoundError(f"There is no mapping {mapping_id}.")
        return mapping

    async def connection(self) -> Connection:
        """Return the connection in the path. Raises NotFoundError if the token sees none."""
        return await self.connection_with(self.number("connection_id"))

    async def connection_with(self, connection_id: int) -> Connection:
        """Return a connection. Raises NotFoundError if the token sees none with this id."""
        async with self.engine.database.read() as db:
            connection = await tenancy.connection(db, self.tenant, connection_id)
        if connection is None:
            raise NotFoundError(f"There is no connection {connection_id}.")
        return connection

    async def alert(self) -> Alert:
        """Return the alert in the path. Raises NotFoundError if the token sees none."""
        alert_id = self.number("alert_id")
        async with self.engine.database.read() as db:
            alert = await alerts.by_id(db, alert_id)
            owner = None if alert is None else await tenancy.connection(db, self.tenant, alert.connection_id)
        if alert is None or owner is None:
            raise NotFoundError(f"There is no alert {alert_id}.")
        return alert


# A longer number is no id of ours, and the database could not compare it.
_MOST_DIGITS = 15
# An error shows so many characters of an id, because programs may send any text.
_SHOWN = 40

#: A handler gets the call, and its query or body if the operation has one. It returns a model, or a response.
Handler = Callable[..., Awaitable[BaseModel | web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation. `query` and `body` are validated before the handler is called.

    `media` is the type of an answer that is not JSON; `multipart` says that files can be sent with the body.
    `errors` are the statuses of errors besides those that any operation, or any with a body, can answer.
    """

    method: str
    path: str
    scope: Scope
    handler: Handler
    summary: str
    description: str
    tag: str
    result: type[BaseModel] | None
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    status: int = 200
    media: str | None = None
    multipart: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    errors: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        """The name of the operation in clients that are generated from the description."""
        return self.handler.__name__


class Operations:
    """The operations of a module, under one tag."""

    def __init__(self, tag: str) -> None:
        """No I/O."""
        self.tag = tag
        self.all: list[Operation] = []

    def add(self, method: str, path: str, scope: Scope, **details: Any) -> Callable[[Handler], Handler]:
        """Register the decorated handler. The first line of its docstring is the summary, the rest the description."""

        def register(handler: Handler) -> Handler:
            summary, _, description = (handler.__doc__ or "").strip().partition("\n")
            text = " ".join(description.split())
            details.setdefault("result", None)
            self.all.append(Operation(method, path, scope, handler, summary.rstrip("."), text, self.tag, **details))
            return handler

        return register
