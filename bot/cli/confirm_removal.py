"""Asks for confirmation before stored mappings are removed."""

import asyncio
from collections.abc import Sequence

from bot.cli.session import Session
from core.engine import Engine
from core.errors import InputError
from core.store import mappings, runs
from core.store.mappings import AudienceMapping


async def confirm_removal(
    session: Session, engine: Engine, subject: str, affected: Sequence[AudienceMapping], *, yes: bool
) -> bool:
    """Return whether these mappings may be removed. Raises InputError while a run works on one of them.

    The person has to confirm if members were synced: afterwards no sync can remove those from the list.
    """
    await engine.presence.reap_dead_workers()
    async with engine.database.read() as db:
        active = [run for m in affected for run in await runs.unfinished(db, mapping_id=m.id) if run.status.is_active]
        sizes = await mappings.sizes(db, [m.id for m in affected])
    if active:
        raise InputError(
            f"Run {active[0].id} is working on {subject}. Wait for it, or: iterable-sync runs cancel {active[0].id}"
        )
    members = sum(sizes.values())
    if not members or yes:
        return True
    session.terminal.say(
        f"{subject.capitalize()} has {members:,} synced members. Their record is lost permanently: "
        "they stay on the list, and no later sync removes them."
    )
    if session.terminal.is_attended:
        given_up = asyncio.Event()
        with session.interruption.stopping_with(given_up.set):
            return await session.terminal.ask("Remove it?", given_up)
    session.terminal.say("To proceed anyway, pass --yes.", "yellow")
    return False
