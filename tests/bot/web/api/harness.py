"""The setup for tests of the API: an engine with a worker, its HTTP server, and clients with tokens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from bot import source_fetchers
from bot.web.api import router
from bot.web.api.operations import PREFIX
from core.connections import api_tokens
from core.connections.environment import environment_connection
from core.connections.lists import check_list
from core.connections.mapping_lifecycle import propose
from core.engine import Engine
from core.iterable import DataCenter
from core.runs import worker
from core.store.api_tokens import Scope
from core.store.audit_log import COMMAND_LINE
from core.store.mappings import AudienceMapping, MappingStatus
from tests.core.harness import LIST, Member, Sync, syncing

ALL = tuple(Scope)


@dataclass
class Answer:
    """An answer of the API: its status, its JSON (or text), and its headers."""

    status: int
    content: Any
    headers: dict[str, str]


@dataclass
class Api:
    """A running API, and the engine behind it."""

    sync: Sync
    url: str
    session: aiohttp.ClientSession

    async def token(
        self, *scopes: Scope, name: str = "program", team_id: str | None = None, by: str = COMMAND_LINE
    ) -> str:
        """Create a token with these scopes (none: all), and return its secret."""
        _, secret = await api_tokens.create(self.sync.engine, name, scopes or ALL, by=by, team_id=team_id)
        return secret

    async def call(self, token: str | None, method: str, path: str, **options: Any) -> Answer:
        """Send a request and return the answer."""
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        headers |= options.pop("headers", {})
        async with self.session.request(method, self.url + PREFIX + path, headers=headers, **options) as answer:
            is_json = "json" in answer.content_type
            content = await answer.json(content_type=None) if is_json else await answer.text("utf-8")
            return Answer(answer.status, content, dict(answer.headers))

    async def upload(self, token: str, members: list[Member], *, key: str | None = None, **request: Any) -> Answer:
        """Start a sync of uploaded members."""
        form = aiohttp.FormData()
        form.add_field("request", aiohttp.JsonPayload(request), content_type="application/json")
        form.add_field("file", self.sync.mirror_file(members).read_bytes(), filename="audience.csv")
        return await self.call(token, "POST", "/syncs", data=form, headers={"Idempotency-Key": key} if key else {})

    async def finished(self, token: str, sync_id: str) -> dict[str, Any]:
        """Wait for the end of a sync, or for its approval, and return it."""
        answer = await self.call(token, "GET", f"/syncs/{sync_id}?wait=30")
        assert answer.status == 200, answer
        current: dict[str, Any] = answer.content
        return current

    async def mapping(
        self, audience: str = "VIPs", list_id: int = LIST, status: MappingStatus = MappingStatus.ACTIVE
    ) -> AudienceMapping:
        """Save a mapping of the project in the environment."""
        engine = self.sync.engine
        connection = await environment_connection(engine, user_id=None, data_center=DataCenter.US, rate=0)
        target = await check_list(engine, connection, list_id)
        return await propose(
            engine, connection, target, audience=audience, mode="mirror", by="U1", team_id=None, status=status
        )


@asynccontextmanager
async def served(engine: Engine, *, one_workspace: bool = True) -> AsyncIterator[str]:
    """Serve the API of an engine for the length of the block. Yields the address of the server."""
    server = web.Application()
    router.add_routes(server, engine, one_workspace=one_workspace)
    runner = web.AppRunner(server, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def api(directory: Path, database_url: str | None = None, *, one_workspace: bool = True) -> AsyncIterator[Api]:
    """Serve the API of a new engine, with a worker, for the length of the block."""
    async with syncing(directory, database_url) as sync:
        await source_fetchers.register(sync.engine)
        work = asyncio.create_task(worker.run_worker(sync.engine))
        try:
            async with served(sync.engine, one_workspace=one_workspace) as url, aiohttp.ClientSession() as session:
                yield Api(sync, url, session)
        finally:
            sync.engine.stopping.set()
            await work
