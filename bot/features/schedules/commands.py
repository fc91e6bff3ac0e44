"""The subcommands `schedule` and `schedules`."""

from slack_sdk.web.async_client import AsyncWebClient

from bot.features.ids import ScheduleAction
from bot.features.mapping.commands import the_one
from bot.features.mapping_lookup import MappingRef, require_start
from bot.features.schedules import actions, many, views
from bot.features.schedules.form import ScheduleMetadata
from bot.features.slash_command import SlashCommand
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.reply import open_modal, reply_privately
from bot.slack.time_zone import time_zone_of
from core.errors import ConflictError


async def schedule(call: SlashCommand) -> None:
    """Open the form that schedules syncs of a mapping."""
    ref = await the_one(call, ScheduleAction.OPEN, "Schedule")
    if ref is not None:
        await open_form(call.services, call.client, call.actor, ref)


async def schedules(call: SlashCommand) -> None:
    """Show the schedules, with their buttons."""
    listed = await actions.list_all(call.services, call.actor, call.argument)
    await reply_privately(call.client, call.actor, views.schedule_list(listed))


async def sync_all(call: SlashCommand) -> None:
    """Look for new files of all mappings with a source, or sync the audiences of the place in the argument."""
    await reply_privately(
        call.client, call.actor, await many.sync_all(call.services, call.actor, call.argument.strip())
    )


async def open_form(services: Services, client: AsyncWebClient, actor: Actor, ref: MappingRef) -> None:
    """Open the form. Raises InputError if the person may not schedule, or if mParticle feeds the mapping."""
    require_start(ref.connection, actor.person, "schedule its syncs")
    if ref.mapping.is_live:
        raise ConflictError(f"mParticle feeds {ref.plain} live, so it needs no schedule.")
    zone = await time_zone_of(client, actor)
    metadata = ScheduleMetadata(mapping_id=ref.mapping.id, time_zone=zone, channel=actor.channel)
    await open_modal(client, actor, await form_of(services, actor, ref, metadata))


async def form_of(services: Services, actor: Actor, ref: MappingRef, metadata: ScheduleMetadata) -> dict[str, object]:
    """Return the form for a mapping."""
    others = await actions.others_of(services, actor, ref)
    source = await actions.source_of(services, ref)
    places = services.engine.settings.audience_places(actor.team_id)
    return views.schedule_form(metadata, ref, others, source, places)
