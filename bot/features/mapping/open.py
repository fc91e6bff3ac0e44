"""Opening the forms of this feature, for those who may."""

from slack_sdk.web.async_client import AsyncWebClient

from bot.features.connect.handlers import open_connect
from bot.features.mapping import views
from bot.features.mapping.form import MapMetadata
from bot.features.mapping_lookup import MappingRef, by_id, require_start
from bot.features.permissions import why_not_decide
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.reply import open_modal, reply_privately
from core.connections.permissions import may_start
from core.store.mappings import NO_LIST, MappingStatus


async def open_map(services: Services, client: AsyncWebClient, actor: Actor, connection_id: int | None = None) -> None:
    """Open *Map an audience*, or *Connect* where nothing is connected. Raises InputError where the person may not."""
    connections = await services.connections(actor.team_id)
    if not connections:
        await open_connect(services, client, actor)
        return
    mine = [each for each in connections if may_start(each, actor.person)]
    chosen = next((each for each in connections if each.id == connection_id), (mine or connections)[0])
    require_start(chosen, actor.person, "propose mappings")
    services.directory.prefetch(chosen)
    await open_modal(client, actor, views.map_form(MapMetadata(connection_id=chosen.id, channel=actor.channel), mine))


async def open_review(services: Services, client: AsyncWebClient, actor: Actor, mapping_id: int) -> None:
    """Open the review of a proposed mapping; who may not decide, or comes too late, is told so."""
    it = await by_id(services, actor, mapping_id)
    if refusal := await why_not_review(services, actor, it):
        await reply_privately(client, actor, views.said(refusal))
        return
    if it.mapping.list_id == NO_LIST:
        services.directory.prefetch(it.connection)
    await open_modal(client, actor, views.review_modal(it))


async def why_not_review(services: Services, actor: Actor, it: MappingRef) -> str | None:
    """Why a person can't decide on a mapping, in a sentence (mrkdwn); None where they can."""
    if it.mapping.status is not MappingStatus.PROPOSED:
        return views.said_decided(it)
    return await why_not_decide(services, actor, it.connection, it.mapping.proposed_by)
