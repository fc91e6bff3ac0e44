"""Publishes the home page when a person opens or refreshes it."""

from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.home.publisher import publish
from bot.features.ids import HomeAction
from bot.services import Services
from bot.slack.actor import Actor


def register(app: AsyncApp, services: Services) -> None:
    """Register this feature's listeners."""

    @app.middleware
    async def note_clicks(body: dict[str, Any], next_: Callable[[], Awaitable[None]]) -> None:
        if body.get("type") == "block_actions" and (body.get("view") or {}).get("type") == "home":
            actor = Actor.of(body)
            services.viewers.clicked(actor.team_id, actor.person)
        await next_()

    @app.event("app_home_opened")
    async def on_opened(event: dict[str, Any], body: dict[str, Any], client: AsyncWebClient) -> None:
        if event.get("tab") == "home":
            await publish(services, client, body["team_id"], event["user"])

    @app.action(HomeAction.REFRESH)
    async def on_refresh(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        await publish(services, client, actor.team_id, actor.person)
