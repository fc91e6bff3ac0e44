"""Taking back what a run did."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.ids import UndoAction, UndoCallback
from bot.features.undo import actions, views
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.reply import change_modal, open_modal


def register(app: AsyncApp, services: Services) -> None:
    """Add the listeners of this feature to the app."""

    @app.action(UndoAction.OPEN)
    async def on_open(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        it = await actions.for_person(services, actor, value_of(body))
        await open_modal(client, actor, views.undo_modal(it))

    @app.view(UndoCallback.UNDO)
    async def on_preview(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        metadata = views.UndoMetadata.load(body["view"])
        await ack(response_action="update", view=views.working(metadata))
        actor = Actor.of(body)
        asked = await actions.submit_undo(services, actor, metadata.run_id)
        services.wake()
        view = views.queued_modal(asked.run_id, metadata.run_id, asked.channel)
        await change_modal(client, actor, body["view"]["id"], view)
