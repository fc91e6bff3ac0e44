"""Subcommands of this feature."""

from bot.features.slash_command import SlashCommand
from bot.features.undo import actions, views
from bot.slack.reply import open_modal, reply_privately


async def undo(call: SlashCommand) -> None:
    """Open the preview of taking a run back; without an argument, show which runs could be."""
    run_id = call.argument.strip().strip("`").lower()
    if run_id:
        it = await actions.for_person(call.services, call.actor, run_id)
        await open_modal(call.client, call.actor, views.undo_modal(it))
        return
    found = await actions.latest(call.services, call.actor)
    await reply_privately(call.client, call.actor, views.choices(found))
