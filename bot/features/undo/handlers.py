"""The subcommand `undo`, the button *Undo*, and the modal that they open."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.ids import UndoAction, UndoCallback
from bot.features.slash_command import SlashCommand
from bot.features.undo import actions, views
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.reply import change_modal, open_modal, reply_privately


def register(app: AsyncApp, services: Services) -> None:
    """Register this feature's listeners."""

    @app.action(UndoAction.OPEN)
    async def on_open(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        candidate = await actions.for_person(services, actor, value_of(body))
        await open_modal(client, actor, views.undo_modal(candidate))

    @app.view(UndoCallback.UNDO)
    async def on_preview(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        metadata = views.UndoMetadata.load(body["view"])
        await ack(response_action="update", view=views.working(metadata))
        actor = Actor.of(body)
        request = await actions.submit_undo(services, actor, metadata.run_id)
        services.wake()
        view = views.queued_modal(request.run_id, metadata.run_id, request.channel)
        await change_modal(client, actor, body["view"]["id"], view)


async def undo(call: SlashCommand) -> None:
    """Open the modal that undoes a run. Without an argument, show the runs that can be undone."""
    run_id = call.argument.strip().strip("`").lower()
    if run_id:
        candidate = await actions.for_person(call.services, call.actor, run_id)
        await open_modal(call.client, call.actor, views.undo_modal(candidate))
        return
    candidates = await actions.latest(call.services, call.actor)
    await reply_privately(call.client, call.actor, views.choices(candidates))
