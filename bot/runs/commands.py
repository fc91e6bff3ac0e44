"""Subcommands of this feature."""

from bot.help.call import Call
from bot.mapping.commands import the_one
from bot.reply import reply
from bot.runs.deeds import cancel_by_name
from bot.runs.ids import Action
from bot.runs.starting import open_start


async def start(call: Call) -> None:
    """Open *Start a sync*, or *Connect* where nothing is connected."""
    await open_start(call.services, call.client, call.actor)


async def run(call: Call) -> None:
    """Open *Start a sync* for a mapping."""
    if not call.argument.strip() or not await call.services.connections(call.actor.team_id):
        await start(call)
        return
    it = await the_one(call, Action.START, "Start a sync")
    if it is not None:
        await open_start(call.services, call.client, call.actor, mapping_id=it.mapping.id)


async def cancel(call: Call) -> None:
    """Cancel a run: the one that is named, or the only one under way."""
    run_id = call.argument.strip().strip("`").lower()
    await reply(call.client, call.actor, await cancel_by_name(call.services, call.actor, run_id))
