"""The cache of mParticle's audiences for type-ahead and status, refreshed in the background."""

import asyncio

from core.connections.lists import ANSWER_WITHIN_S
from core.connections.mparticle import fetch_audiences
from core.connections.refreshed_cache import RefreshedCache
from core.engine import Engine
from core.mparticle.errors import MParticleUnavailableError
from core.mparticle.models import KnownAudiences
from core.store.connections import Connection


class AudienceCache(RefreshedCache[KnownAudiences]):
    """The audiences of each connection's mParticle account. Call `await close()` at the end."""

    def __init__(self, engine: Engine) -> None:
        """Take the engine. No I/O."""
        super().__init__()
        self._engine = engine

    async def fetch(self, connection: Connection) -> KnownAudiences:
        """Fetch the audiences, by name. There are none if the connection has no access to mParticle."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                known = await fetch_audiences(self._engine, connection.id)
        except TimeoutError as error:
            raise MParticleUnavailableError(
                f"mParticle did not answer within {ANSWER_WITHIN_S:.0f} seconds. Try again in a moment."
            ) from error
        return known or KnownAudiences((), 0.0, b"")
