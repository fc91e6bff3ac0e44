"""The subcommands that start and cancel runs."""

from bot.features.ids import RunAction
from bot.features.mapping.commands import the_one
from bot.features.runs.actions import cancel_by_name
from bot.features.runs.start import open_start
from bot.features.slash_command import SlashCommand
from bot.slack.reply import reply_privately


async def start(call: SlashCommand) -> None:
    """Open *Start a sync*, or *Connect* if nothing is connected."""
    await open_start(call.services, call.client, call.actor)


async def run(call: SlashCommand) -> None:
    """Open *Start a sync* for a mapping."""
    if not call.argument.strip() or not await call.services.connections(call.actor):
        await start(call)
        return
    ref = await the_one(call, RunAction.START, "Start a sync")
    if ref is not None:
        await open_start(call.services, call.client, call.actor, mapping_id=ref.mapping.id)


async def cancel(call: SlashCommand) -> None:
    """Cancel the named run, or the only active one."""
    run_id = call.argument.strip().strip("`").lower()
    await reply_privately(call.client, call.actor, await cancel_by_name(call.services, call.actor, run_id))
