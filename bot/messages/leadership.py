"""The leader lease: only one process at a time posts messages without a request from Slack."""

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.store import leases

NAME = "slack"


class LeaderLease:
    """The lease of this process."""

    def __init__(self, engine: Engine) -> None:
        """Take the engine. No I/O."""
        self._engine = engine
        self._me = engine.presence.id

    async def take(self) -> bool:
        """Take the lease if it is free or its holder is dead. Returns whether this process holds it now."""
        async with self._engine.database.read() as db:
            holder = await leases.holder(db, NAME)
        if holder == self._me:
            return True
        if holder is not None and not await self._engine.presence.is_dead(holder):
            return False
        async with self._engine.database.write() as db:
            return await leases.take(db, NAME, self._me, instead_of=holder)

    async def is_held(self, db: AsyncConnection) -> bool:
        """Return whether this process holds the lease, inside a transaction."""
        return await leases.holder(db, NAME) == self._me

    async def give_back(self) -> None:
        """Release the lease."""
        async with self._engine.database.write() as db:
            await leases.give_back(db, NAME, self._me)
