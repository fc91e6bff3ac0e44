"""The modal, menus and buttons of runs, and the shortcut *Sync to Iterable*."""

from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.ids import RunAction, RunCallback, RunShortcut
from bot.features.runs import actions, columns, start, views
from bot.features.runs.file_links import attached
from bot.features.runs.mapping_options import MappingOptions
from bot.features.runs.rejected_file import RejectedFileSender
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.reply import reply_privately
from bot.ui.blocks import Message


def register(app: AsyncApp, services: Services) -> None:
    """Register this feature's listeners."""
    _register_form(app, services)
    _register_actions(app, services)


def _register_form(app: AsyncApp, services: Services) -> None:
    suggestions = MappingOptions(services)

    @app.action(RunAction.START)
    async def on_start(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        mapping_id = value_of(body)
        await start.open_start(services, client, Actor.of(body), mapping_id=int(mapping_id) if mapping_id else None)

    @app.shortcut(RunShortcut.SYNC)
    async def on_shortcut(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor, files = Actor.of(body), tuple(attached(body.get("message") or {}))
        if files:
            await start.open_start(services, client, actor, files=files)
        else:
            await reply_privately(client, actor, views.no_file())

    @app.action(RunAction.OPTIONS)
    async def on_options(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        await start.form_on_screen(services, actor, body["view"]).show_options(client, actor)

    @app.options(RunAction.MAPPING)
    async def on_typing(ack: AsyncAck, body: dict[str, Any]) -> None:
        options = await suggestions.of(Actor.of(body), str(body.get("value") or ""))
        await ack(options=[each.to_dict() for each in options])

    @app.view(RunCallback.START)
    async def on_submit(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await start.submit(services, ack, body, client)

    @app.action(RunAction.COLUMNS)
    async def on_choose_columns(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await columns.open_choice(services, client, Actor.of(body), value_of(body))

    @app.view(RunCallback.COLUMNS)
    async def on_columns(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await columns.submit(services, ack, body, client)


def _register_actions(app: AsyncApp, services: Services) -> None:
    def on(action: RunAction, act: Callable[[Services, Actor, str], Awaitable[Message]]) -> None:
        @app.action(action)
        async def on_click(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
            await ack()
            actor = Actor.of(body)
            await reply_privately(client, actor, await act(services, actor, value_of(body)))

    on(RunAction.CANCEL, actions.cancel)
    on(RunAction.AGAIN, actions.again)
    on(RunAction.SEND, actions.send)
    on(RunAction.RETRY, actions.retry)
    on(RunAction.STOP_RETRYING, actions.stop_retrying)
    on(RunAction.RETRY_REJECTED, actions.retry_rejected)

    rejected = RejectedFileSender(services)

    @app.action(RunAction.SEE_WHY)
    async def on_see_why(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await rejected.explain(client, Actor.of(body), value_of(body))

    @app.action(RunAction.REJECTED)
    async def on_rejected(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        view = body.get("view")
        view_id = view["id"] if view is not None and view["type"] == "modal" else None
        await rejected.send(client, Actor.of(body), value_of(body), view_id)
