"""The setup for tests of the Firehose: an engine with a local Iterable, its HTTP server, and a local mParticle."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import SecretStr

from bot.web import firehose, health, metrics
from core import live
from core.engine import Engine, open_engine
from core.lease import LeaseTimes
from core.settings import Settings
from core.store import clock, mappings
from core.store import live_mappings as store
from core.store.mappings import AudienceMapping
from sandbox.iterable import Running, running
from sandbox.mparticle import Audience, MParticle, Profile
from tests.core.databases import furnish
from tests.core.harness import LIST, OTHER_LIST, QUICK, Kept, until

TOKEN = "a-token-of-the-tests-which-is-long"
#: An audience whose settings name the list, as after using the hosted integration.
VIPS = Audience(8754, "VIPs", {"listId": str(LIST)})


def person(number: int, **changed: Any) -> Profile:
    """A profile with an email and a customer id that follow from the number."""
    return Profile(**{"mpid": number, "email": f"p{number}@example.com", "customer_id": f"c{number}", **changed})


@dataclass
class Live:
    """An engine, its server, and the services that it talks to."""

    engine: Engine
    iterable: Running
    mparticle: MParticle
    base_url: str

    async def mappings(self) -> list[AudienceMapping]:
        """All live mappings."""
        async with self.engine.database.read() as db:
            return await store.everyone(db)

    async def mapping(self, audience: Audience = VIPS) -> AudienceMapping:
        """The live mapping of an audience."""
        (mapping,) = [m for m in await self.mappings() if m.audience_id == str(audience.id)]
        return mapping

    async def status(self, audience: Audience = VIPS) -> store.LiveStatus:
        """The state of an audience's mapping."""
        mapping = await self.mapping(audience)
        async with self.engine.database.read() as db:
            return await store.status(db, mapping.id, await clock.now(db))

    async def approve(self, audience: Audience = VIPS, list_id: int = LIST) -> None:
        """Approve the mapping of an audience, as a person does in Slack."""
        mapping = await self.mapping(audience)
        assert await live.approve(self.engine, mapping.id, list_id=list_id, by="U1")

    async def settled(self, audience: Audience = VIPS) -> store.LiveStatus:
        """Wait until an audience has no pending change and no run under way. Returns the state of its mapping."""
        mapping = await self.mapping(audience)

        async def is_settled() -> bool:
            async with self.engine.database.read() as db:
                open_runs = await store.unended(db, mapping.id)
                current = await mappings.by_id(db, mapping.id)
            return not open_runs and current is not None and (await self.status(audience)).backlog == 0

        await until(is_settled)
        return await self.status(audience)

    def emails(self, list_id: int = LIST) -> set[str]:
        """The addresses (or user ids) on a list in the local Iterable."""
        return {email or user_id or "" for email, user_id in self.iterable.state.members(list_id)}


def settings_for(directory: Path, url: str, database_url: str | None = None, **changed: Any) -> Settings:
    """The settings of a process that receives a Firehose."""
    return Settings(
        **{
            "iterable_url": url,
            "data_dir": directory / "data",
            "database_url": SecretStr(database_url) if database_url else None,
            "firehose_token": SecretStr(TOKEN),
            "firehose_gather_s": 0.02,
            "firehose_merge_window_s": 0.0,
            "_env_file": None,
            **changed,
        }
    )


@asynccontextmanager
async def serving(engine: Engine) -> AsyncIterator[str]:
    """Serve HTTP for the length of the block; yields the base URL."""
    app = web.Application()
    health.add_liveness(app)
    health.add_readiness(app, engine)
    for part in (firehose, metrics):
        part.add_routes(app, engine)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def working(engine: Engine) -> AsyncIterator[None]:
    """Deliver live changes for the length of the block."""
    engine.stopping.clear()
    worker = asyncio.create_task(live.work(engine))
    try:
        yield
    finally:
        engine.stopping.set()
        await worker


@asynccontextmanager
async def firehosing(
    directory: Path,
    database_url: str | None = None,
    *,
    account: dict[str, str] | None = None,
    worker: bool = True,
    iterable: dict[str, Any] | None = None,
    kept: Kept | None = None,
    times: LeaseTimes | None = None,
    **settings: Any,
) -> AsyncIterator[Live]:
    """Open an engine on a new database, or on a copy of `kept`, with its server, its worker, a local Iterable and a
    local mParticle."""
    state = {} if kept is None else kept.restore(directory)
    async with running(**{"bulk_per_second": 0, **state, **(iterable or {})}) as local:
        opened_with = settings_for(directory, local.url, database_url, **settings)
        furnish(opened_with)
        account_settings = {"apiKey": local.key, "userIdField": "customerId"} if account is None else account
        async with (
            open_engine(opened_with, "test", retry_policy=QUICK, times=times) as engine,
            serving(engine) as base_url,
        ):
            address = f"{base_url}/mparticle/firehose/{TOKEN}"
            async with MParticle(address, settings=account_settings, attempts=1) as mparticle:
                service = Live(engine, local, mparticle, base_url)
                if worker:
                    async with working(engine):
                        yield service
                else:
                    yield service


__all__ = [
    "LIST",
    "OTHER_LIST",
    "QUICK",
    "TOKEN",
    "VIPS",
    "Live",
    "firehosing",
    "person",
    "serving",
    "settings_for",
    "until",
    "working",
]
