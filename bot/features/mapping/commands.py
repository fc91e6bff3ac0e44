"""The subcommands `map`, `pause` and `resume`, and the modals of this feature."""

from collections.abc import Awaitable, Callable

from slack_sdk.web.async_client import AsyncWebClient

from bot.features.connect.handlers import open_connect
from bot.features.ids import MappingAction
from bot.features.mapping import actions, cards, data_fields, views
from bot.features.mapping.actions import why_not_review
from bot.features.mapping.form import MapMetadata
from bot.features.mapping_lookup import MappingRef, by_id, find, require_start, suggest_similar
from bot.features.slash_command import SlashCommand
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.reply import open_modal, reply_privately
from bot.ui.blocks import Message, notice
from bot.ui.formatting import cut, escape
from core.connections.permissions import may_start
from core.store import mparticle_accounts
from core.store.connections import Connection
from core.store.mappings import NO_LIST, MappingStatus

_Move = Callable[[Services, Actor, MappingRef], Awaitable[Message]]


async def map_(call: SlashCommand) -> None:
    """Open the modal that maps an audience to a list."""
    await open_map(call.services, call.client, call.actor)


async def pause(call: SlashCommand) -> None:
    """Pause a mapping."""
    await _move(call, actions.pause, MappingAction.PAUSE, "Pause")


async def resume(call: SlashCommand) -> None:
    """Resume a mapping."""
    await _move(call, actions.resume, MappingAction.RESUME, "Resume")


async def fields(call: SlashCommand) -> None:
    """Open the form *Data fields* of a mapping."""
    ref = await the_one(call, MappingAction.FIELDS, "Data fields")
    if ref is not None:
        await data_fields.open_choice(call.services, call.client, call.actor, ref)


async def the_one(call: SlashCommand, action: MappingAction | str, verb: str) -> MappingRef | None:
    """Return the mapping that the argument names.

    If it names none or several, the person gets the candidates, each with a button for `action` (value: the mapping
    id), and the result is None.
    """
    text = call.argument.strip()
    matches = await find(call.services, call.actor, text) if text else []
    if len(matches) == 1:
        return matches[0]
    if matches:
        title = f"*{escape(cut(text, 80))}* is the name of several mappings."
    else:
        all_mappings = await find(call.services, call.actor)
        matches = (suggest_similar(text, all_mappings) if text else []) or all_mappings
        title = f"There is no mapping *{escape(cut(text, 80))}*." if text else ""
    await reply_privately(call.client, call.actor, cards.which(matches, title, "Which one?", action, verb))
    return None


async def _move(call: SlashCommand, move: _Move, action: MappingAction, verb: str) -> None:
    ref = await the_one(call, action, verb)
    if ref is not None:
        await reply_privately(call.client, call.actor, await move(call.services, call.actor, ref))


async def open_map(services: Services, client: AsyncWebClient, actor: Actor, connection_id: int | None = None) -> None:
    """Open *Map an audience*, or *Connect* if nothing is connected. Raises InputError if the person may not map."""
    connections = await services.connections(actor)
    if not connections:
        await open_connect(services, client, actor)
        return
    mine = [each for each in connections if may_start(each, actor.person)]
    chosen = next((each for each in connections if each.id == connection_id), (mine or connections)[0])
    require_start(chosen, actor.person, "propose mappings")
    await open_modal(client, actor, views.map_form(await map_metadata(services, chosen, actor.channel), mine))


async def mappable(services: Services, actor: Actor) -> list[Connection]:
    """Return the connections in which a person may map audiences."""
    return [each for each in await services.connections(actor) if may_start(each, actor.person)]


async def map_metadata(services: Services, connection: Connection, channel: str | None) -> MapMetadata:
    """Return the state of *Map an audience* for a connection. What it offers is fetched in the background."""
    services.directory.prefetch(connection)
    async with services.engine.database.read() as db:
        account = await mparticle_accounts.of_connection(db, connection.id)
    if account is not None:
        services.audiences.prefetch(connection)
    return MapMetadata(connection_id=connection.id, channel=channel, lists_audiences=account is not None)


async def open_review(services: Services, client: AsyncWebClient, actor: Actor, mapping_id: int) -> None:
    """Open the review of a proposed mapping. A person who can't decide reads why."""
    ref = await by_id(services, actor, mapping_id)
    if refusal := await why_not_review(services, actor, ref):
        is_open = ref.mapping.status is MappingStatus.PROPOSED
        await open_modal(client, actor, notice("You can't approve this" if is_open else "Already decided", refusal))
        return
    if ref.mapping.list_id == NO_LIST:
        services.directory.prefetch(ref.connection)
    await open_modal(client, actor, views.review_modal(ref))
