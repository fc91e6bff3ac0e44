"""Subcommands of this feature."""

from bot.help.call import Call
from bot.reply import open_modal, reply
from bot.undo import offer, views


async def undo(call: Call) -> None:
    """Open the preview of taking a run back; without an argument, show which runs could be."""
    run_id = call.argument.strip().strip("`").lower()
    if run_id:
        it = await offer.for_person(call.services, call.actor, run_id)
        await open_modal(call.client, call.actor, views.undo_modal(it))
        return
    found = await offer.latest(call.services, call.actor)
    await reply(call.client, call.actor, views.choices(found))
