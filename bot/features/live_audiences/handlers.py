"""The buttons of live audiences."""

from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.ids import LiveAudienceAction
from bot.features.live_audiences import actions, offers
from bot.features.live_audiences.actions import NotAllowedError
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.reply import reply_privately
from bot.ui.blocks import text_message


def register(app: AsyncApp, services: Services) -> None:
    """Register this feature's listeners."""

    def on(action: LiveAudienceAction, act: Callable[[Services, Actor, int], Awaitable[str]]) -> None:
        @app.action(action)
        async def on_click(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
            await ack()
            actor = Actor.of(body)
            try:
                text = await act(services, actor, int(value_of(body)))
            except NotAllowedError as error:
                text = error.message
            await reply_privately(client, actor, text_message(text))

    on(LiveAudienceAction.ACCEPT_OFFER, offers.accept)
    on(LiveAudienceAction.DECLINE_OFFER, offers.decline)
    on(LiveAudienceAction.DROP, actions.drop)
    on(LiveAudienceAction.REMOVALS, actions.approve_removals)
    on(LiveAudienceAction.KEEP, actions.keep)
    on(LiveAudienceAction.REMOVE, actions.remove)
