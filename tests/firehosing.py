"""What tests of the Firehose stand on: an engine with a local Iterable behind it, its HTTP server, and an mParticle."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import SecretStr

from bot.web import firehose, health, metrics
from core import live
from core.engine import Engine, open_engine
from core.iterable import RetryPolicy
from core.settings import Settings
from core.store import live_mappings as store
from core.store import mappings
from core.store.mappings import AudienceMapping
from sandbox.iterable import Running, running
from sandbox.mparticle import Audience, MParticle, Profile
from tests.core.databases import furnish

TOKEN = "a-token-of-the-tests-which-is-long"
#: A Standard list that the local Iterable has from the start, and another.
LIST, OTHER_LIST = 1001, 1002
#: An audience whose settings name the list, as where the hosted integration was used before.
VIPS = Audience(8754, "VIPs", {"listId": str(LIST)})

QUICK = RetryPolicy(
    max_attempts=3,
    backoff_initial_s=0.001,
    backoff_max_s=0.002,
    retry_after=0.01,
    throttle_timeout_s=0.5,
    request_timeout_s=5.0,
)


def person(number: int, **changed: Any) -> Profile:
    """A profile with an email and a customer id that follow from the number."""
    return Profile(**{"mpid": number, "email": f"p{number}@example.com", "customer_id": f"c{number}", **changed})


@dataclass
class Live:
    """An engine, its server and who talks to it."""

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
        (found,) = [m for m in await self.mappings() if m.audience_id == str(audience.id)]
        return found

    async def status(self, audience: Audience = VIPS) -> store.LiveStatus:
        """How the mapping of an audience stands."""
        import time

        mapping = await self.mapping(audience)
        async with self.engine.database.read() as db:
            return await store.status(db, mapping.id, time.time())

    async def approve(self, audience: Audience = VIPS, list_id: int = LIST) -> None:
        """Approve the mapping of an audience, as somebody would in Slack."""
        mapping = await self.mapping(audience)
        assert await live.approve(self.engine, mapping.id, list_id=list_id, by="U1")

    async def settled(self, audience: Audience = VIPS) -> store.LiveStatus:
        """Wait until nothing is on its way to the list of an audience any more."""
        mapping = await self.mapping(audience)

        async def is_settled() -> bool:
            async with self.engine.database.read() as db:
                left = await store.unended(db, mapping.id)
                now = await mappings.by_id(db, mapping.id)
            return not left and now is not None and (await self.status(audience)).backlog == 0

        await until(is_settled)
        return await self.status(audience)

    def emails(self, list_id: int = LIST) -> set[str]:
        """Who is on a list in the local Iterable."""
        return {email or user_id or "" for email, user_id in self.iterable.state.members(list_id)}


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is so that nobody tells."""
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def settings_for(directory: Path, url: str, database_url: str | None = None, **changed: Any) -> Settings:
    """Settings of a process that is fed by a Firehose."""
    return Settings(
        **{
            "iterable_url": url,
            "data_dir": directory / "data",
            "database_url": SecretStr(database_url) if database_url else None,
            "firehose_token": SecretStr(TOKEN),
            "firehose_gather_s": 0.02,
            "_env_file": None,
            **changed,
        }
    )


@asynccontextmanager
async def serving(engine: Engine) -> AsyncIterator[str]:
    """Answer over HTTP for the length of the block; yields the address."""
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
    """Have live changes carried for the length of the block."""
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
    **settings: Any,
) -> AsyncIterator[Live]:
    """An engine on a new database, with its server, its worker, a local Iterable and a local mParticle."""
    async with running(**{"bulk_per_second": 0, **(iterable or {})}) as local:
        made = settings_for(directory, local.url, database_url, **settings)
        furnish(made)
        given = {"apiKey": local.key, "userIdField": "customerId"} if account is None else account
        async with open_engine(made, "test", retry_policy=QUICK) as engine, serving(engine) as base_url:
            address = f"{base_url}/mparticle/firehose/{TOKEN}"
            async with MParticle(address, settings=given, attempts=1) as mparticle:
                found = Live(engine, local, mparticle, base_url)
                if worker:
                    async with working(engine):
                        yield found
                else:
                    yield found
