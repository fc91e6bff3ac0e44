"""Publishes the home page when a person opens or refreshes it, searches in it, or turns a page."""

from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.home.page import HomePage
from bot.features.home.publisher import publish
from bot.features.ids import HomeAction
from bot.features.mapping_lookup import by_id
from bot.features.status.commands import open_history
from bot.services import Services
from bot.slack import menu_choices
from bot.slack.actor import Actor, value_of
from bot.ui.modal_state import ViewInputs


def register(app: AsyncApp, services: Services) -> None:
    """Register this feature's listeners."""
    menu_choices.register(app, HomeAction.MORE)

    @app.middleware
    async def note_clicks(body: dict[str, Any], next_: Callable[[], Awaitable[None]]) -> None:
        if body.get("type") == "block_actions" and (body.get("view") or {}).get("type") == "home":
            actor = Actor.of(body)
            services.viewers.clicked(actor.team_id, actor.person)
        await next_()

    @app.event("app_home_opened")
    async def on_opened(event: dict[str, Any], body: dict[str, Any], client: AsyncWebClient) -> None:
        if event.get("tab") == "home":
            shown = (event.get("view") or {}).get("private_metadata") or ""
            await publish(services, client, body["team_id"], event["user"], shown)

    @app.action(HomeAction.HISTORY)
    async def on_history(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        await open_history(services, client, actor, await by_id(services, actor, int(value_of(body))))

    _register_page(app, services)


def _register_page(app: AsyncApp, services: Services) -> None:
    def on(action: HomeAction, page_after: Callable[[dict[str, Any]], HomePage]) -> None:
        @app.action(action)
        async def on_click(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
            await ack()
            actor = Actor.of(body)
            await publish(services, client, actor.team_id, actor.person, page_after(body).dump())

    on(HomeAction.REFRESH, _shown)
    on(HomeAction.SEARCH, lambda body: HomePage(search=_typed(body)))
    on(HomeAction.SHOW_ALL, lambda _: HomePage())
    on(HomeAction.PREVIOUS_PAGE, _turned)
    on(HomeAction.NEXT_PAGE, _turned)


def _shown(body: dict[str, Any]) -> HomePage:
    return HomePage.load(body.get("view") or {"private_metadata": ""})


def _turned(body: dict[str, Any]) -> HomePage:
    return _shown(body).model_copy(update={"number": int(value_of(body))})


def _typed(body: dict[str, Any]) -> str:
    return ViewInputs(body["view"]).text(body["actions"][0]["block_id"])
