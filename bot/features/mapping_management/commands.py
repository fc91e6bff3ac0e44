"""The subcommands `edit` and `restore`, and the modals that the buttons open."""

from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.features.ids import MappingAction
from bot.features.mapping import cards
from bot.features.mapping.commands import the_one
from bot.features.mapping_lookup import MappingRef, named, require_start
from bot.features.mapping_management import actions, views
from bot.features.mapping_management.form import ManagementMetadata
from bot.features.permissions import why_not_decide
from bot.features.slash_command import SlashCommand
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.reply import open_modal, reply_privately
from bot.ui.blocks import text_message
from core.connections import mapping_end, mapping_search


async def edit(call: SlashCommand) -> None:
    """Open the form *Edit a mapping*."""
    ref = await the_one(call, MappingAction.EDIT, "Edit")
    if ref is not None:
        await open_edit(call.services, call.client, call.actor, ref)


async def restore(call: SlashCommand) -> None:
    """Restore the archived mapping that the argument names, or show the archived ones."""
    services, actor = call.services, call.actor
    archived = await named(services, await mapping_search.archived(services.engine, services.tenant(actor)))
    text = call.argument.strip().casefold()
    matches = [ref for ref in archived if text and text in (ref.audience.casefold(), str(ref.mapping.id))]
    if len(matches) == 1:
        await reply_privately(call.client, actor, await actions.restore(services, actor, matches[0]))
    elif not archived:
        await reply_privately(call.client, actor, text_message("No mapping is archived."))
    else:
        shown = cards.which(matches or archived, "", "Which one?", MappingAction.RESTORE, "Restore")
        await reply_privately(call.client, actor, shown)


async def open_edit(services: Services, client: AsyncWebClient, actor: Actor, ref: MappingRef) -> None:
    """Open the form *Edit a mapping*. Raises InputError if the person may not change it."""
    require_start(ref.connection, actor.person, "change its mappings")
    metadata = ManagementMetadata(mapping_id=ref.mapping.id, channel=actor.channel)
    may_set_limits = await why_not_decide(services, actor, ref.connection) is None
    await open_modal(client, actor, views.edit_modal(metadata, ref, may_set_limits=may_set_limits))


async def delete_view(services: Services, actor: Actor, ref: MappingRef) -> dict[str, Any]:
    """Return the modal *Delete a mapping*. Raises InputError if the person may not delete it."""
    require_start(ref.connection, actor.person, "delete its mappings")
    metadata = ManagementMetadata(mapping_id=ref.mapping.id, channel=actor.channel)
    return views.delete_modal(metadata, ref, await mapping_end.summarize(services.engine, ref.mapping.id))
