"""The sizes that mParticle counts, next to ours, in the tables of the command line."""

import asyncio
from typing import TYPE_CHECKING

from bot.cli.session import Session

if TYPE_CHECKING:
    from core.engine import Engine
    from core.mparticle.models import KnownAudiences
    from core.store.mappings import AudienceMapping

# A command that works without mParticle waits no longer than this for it, in seconds.
WITHIN_S = 10.0


async def audiences_of(session: Session, engine: "Engine", connection_id: int) -> "KnownAudiences | None":
    """Return the audiences of a connection's mParticle account; None, with a line on standard error, if it can't be
    asked, and None without one if the connection has no access."""
    from core.connections.mparticle import fetch_audiences
    from core.errors import SyncError

    try:
        async with asyncio.timeout(WITHIN_S):
            return await fetch_audiences(engine, connection_id)
    except SyncError as error:
        session.terminal.say(error.message, "yellow")
    except TimeoutError:
        session.terminal.say(f"mParticle did not answer within {WITHIN_S:.0f} seconds.", "yellow")
    return None


def size_in_mparticle(known: "KnownAudiences | None", mapping: "AudienceMapping") -> str:
    """Return how many people mParticle counts in a mapping's audience, for a table. Empty if it was not asked."""
    if known is None:
        return ""
    audience = known.of(mapping.audience_id, mapping.audience_name)
    if audience is None:
        return "-"
    return "not computed" if audience.size is None else f"{audience.size:,}"
