"""Access of a connection to the local platform API of mParticle, in tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.connections.mparticle import connect_mparticle
from core.engine import Engine
from core.mparticle.models import Pod
from core.store import connections, mappings
from core.store.connections import Connection
from sandbox.mparticle.lifecycle import running
from sandbox.mparticle.platform import DEFAULT_ACCOUNT, ListedAudience, Platform
from tests.core.harness import Sync


async def give_access(
    engine: Engine, connection: Connection, platform: Platform, *, by: str = "U1", team_id: str | None = None
) -> None:
    """Save the right credentials for a connection."""
    await connect_mparticle(
        engine,
        connection,
        client_id=platform.client_id,
        client_secret=platform.client_secret,
        account_id=str(DEFAULT_ACCOUNT),
        pod=Pod.US1,
        by=by,
        team_id=team_id,
    )


@asynccontextmanager
async def listed(sync: Sync, audience: ListedAudience) -> AsyncIterator[Platform]:
    """Run a platform API that lists an audience, which becomes that of the first mapping, and give access to it."""
    platform = Platform(accounts={DEFAULT_ACCOUNT: [audience]})
    async with running(platform) as started:
        sync.engine.settings = sync.engine.settings.model_copy(update={"mparticle_url": started.url})
        async with sync.engine.database.write() as db:
            connection = (await connections.everyone(db))[0]
            await mappings.change(db, 1, audience_id=str(audience.id))
        await give_access(sync.engine, connection, platform)
        yield platform
