"""The subcommand `connect`, and the modals that admins open: connect, edit, replace the key."""

from slack_sdk.web.async_client import AsyncWebClient

from bot.features.connect import modals, views
from bot.features.connect.form import ConnectionForm
from bot.features.slash_command import SlashCommand
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.reply import open_modal, reply_privately
from bot.ui.blocks import Message, notice
from core.errors import InputError
from core.store.connections import Connection


async def connect(call: SlashCommand) -> None:
    """Open the modal that connects an Iterable project."""
    await open_connect(call.services, call.client, call.actor)


class AdminsOnlyError(InputError):
    """Only admins and owners of the workspace may do this."""

    code = "admins_only"


async def open_connect(services: Services, client: AsyncWebClient, actor: Actor) -> None:
    """Open the modal that connects a project. A person who is no admin reads who can do it."""
    connections = await services.connections(actor)
    if await services.people.is_admin(client, actor.team_id, actor.person):
        groups = await services.group_choices(actor.team_id)
        suggested = ConnectionForm(approvers=(actor.person,))
        await open_modal(client, actor, modals.connect_form(suggested, connections, groups))
    else:
        message = views.admins_only("connect an Iterable project") if connections else views.ask_an_admin()
        await _explain(client, actor, message)


async def open_edit(services: Services, client: AsyncWebClient, actor: Actor, connection_id: int) -> None:
    """Open the modal that edits a connection. A person who is no admin reads who can do it."""
    connection = await for_admins(services, client, actor, connection_id, "change a connection")
    if connection is not None:
        groups = await services.group_choices(actor.team_id)
        await open_modal(client, actor, modals.edit_form(ConnectionForm.of(connection), connection.key_last4, groups))


async def open_key(services: Services, client: AsyncWebClient, actor: Actor, connection_id: int) -> None:
    """Open the modal that replaces an API key. A person who is no admin reads who can do it."""
    connection = await for_admins(services, client, actor, connection_id, "replace an API key")
    if connection is not None:
        await open_modal(client, actor, modals.key_form(connection))


async def require_admin(services: Services, client: AsyncWebClient, actor: Actor, action: str) -> None:
    """Raise AdminsOnlyError if a person is not an admin."""
    if not await services.people.is_admin(client, actor.team_id, actor.person):
        raise AdminsOnlyError(f"Only an admin or owner of this workspace can {action}. Ask one of them to do it.")


async def for_admins(
    services: Services, client: AsyncWebClient, actor: Actor, connection_id: int, action: str
) -> Connection | None:
    """Return a connection for an admin. A person who is no admin reads who can do the action; the result is None."""
    connection = await services.connection(actor, connection_id)
    if await services.people.is_admin(client, actor.team_id, actor.person):
        return connection
    await _explain(client, actor, views.admins_only(action))
    return None


async def _explain(client: AsyncWebClient, actor: Actor, message: Message) -> None:
    """Show a refusal where the person is looking: in the channel, or on top of the home page or the modal."""
    if actor.channel is not None:
        await reply_privately(client, actor, message)
    else:
        await open_modal(client, actor, notice("Ask an admin", message.text))
