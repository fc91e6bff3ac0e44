"""Removing what is remembered: not while a run works with it, and not without being sure."""

import asyncio
from collections.abc import Sequence

from bot.cli.session import Session
from core.engine import Engine
from core.errors import InputError
from core.store import mappings, runs
from core.store.mappings import AudienceMapping


async def confirm_removal(
    session: Session, engine: Engine, what: str, doomed: Sequence[AudienceMapping], *, yes: bool
) -> bool:
    """Whether these mappings may be forgotten. Raises InputError while a run is at work on one of them.

    Where members were synced a person has to agree, because nothing can take those off the list afterwards.
    """
    await engine.presence.reap_dead_workers()
    async with engine.database.read() as db:
        active = [run for m in doomed for run in await runs.unfinished(db, mapping_id=m.id) if run.status.is_active]
        sizes = await mappings.sizes(db, [m.id for m in doomed])
    if active:
        raise InputError(
            f"Run {active[0].id} is at work on {what}. Wait for it, or: iterable-sync runs cancel {active[0].id}"
        )
    members = sum(sizes.values())
    if not members or yes:
        return True
    session.terminal.say(
        f"{what.capitalize()} has {members:,} synced members. Their record is lost for good: "
        "they stay on the list, and no later sync takes them off."
    )
    if session.terminal.is_attended:
        given_up = asyncio.Event()
        with session.interruption.stopping_with(given_up.set):
            return await session.terminal.asks("Remove it?", given_up)
    session.terminal.say("If that is meant, use --yes.", "yellow")
    return False
