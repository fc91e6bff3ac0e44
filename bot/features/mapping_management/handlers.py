"""The modals and buttons that edit, archive, restore and delete mappings."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.ids import MappingAction, MappingBlock, MappingCallback
from bot.features.mapping_lookup import MappingRef, by_id
from bot.features.mapping_management import actions, exclusions, list_form, people, views
from bot.features.mapping_management.commands import delete_view, open_edit
from bot.features.mapping_management.form import EditForm, ManagementMetadata
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.reply import change_modal, reply_privately
from bot.slack.submission import SubmissionModals, respond_to_submission
from bot.ui.blocks import Message
from bot.ui.modal_state import ViewInputs


def register(app: AsyncApp, services: Services) -> None:
    """Register this feature's listeners."""
    _register_edit(app, services)
    _register_end(app, services)
    _register_delete(app, services)
    _register_exclusions(app, services)
    _register_people(app, services)
    _register_list(app, services)


def _register_edit(app: AsyncApp, services: Services) -> None:
    @app.action(MappingAction.EDIT)
    async def on_edit(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        await open_edit(services, client, actor, await by_id(services, actor, int(value_of(body))))

    @app.view(MappingCallback.EDIT)
    async def on_save(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        form = EditForm.read(body["view"])
        if problems := form.problems():
            await ack(response_action="errors", errors=problems)
            return
        actor = replace(Actor.of(body), channel=form.metadata.channel)
        work = actions.save(services, actor, form)
        await respond_to_submission(work, _SHOWN, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])


def _register_end(app: AsyncApp, services: Services) -> None:
    def on(action: MappingAction, act: Callable[[Services, Actor, MappingRef], Awaitable[Message]]) -> None:
        @app.action(action)
        async def on_click(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
            await ack()
            actor = Actor.of(body)
            answer = await act(services, actor, await by_id(services, actor, int(value_of(body))))
            if "view" in body and body["view"]["type"] == "modal":
                await change_modal(client, actor, body["view"]["id"], views.done(answer.text), answer.text)
            else:
                await reply_privately(client, actor, answer)

    on(MappingAction.ARCHIVE, actions.archive)
    on(MappingAction.RESTORE, actions.restore)


def _register_delete(app: AsyncApp, services: Services) -> None:
    @app.action(MappingAction.DELETE)
    async def on_delete(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        view = await delete_view(services, actor, await by_id(services, actor, int(value_of(body))))
        await change_modal(client, actor, body["view"]["id"], view)

    @app.view(MappingCallback.DELETE)
    async def on_submit(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        metadata = ManagementMetadata.load(body["view"])
        members = ViewInputs(body["view"]).choice(MappingBlock.MEMBERS)
        actor = replace(Actor.of(body), channel=metadata.channel)
        work = actions.delete(services, actor, metadata.mapping_id, members)
        await respond_to_submission(work, _SHOWN, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])


def _register_exclusions(app: AsyncApp, services: Services) -> None:
    @app.action(MappingAction.EXCLUSIONS)
    async def on_exclusions(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        view = await exclusions.view_of(services, actor, await by_id(services, actor, int(value_of(body))))
        await change_modal(client, actor, body["view"]["id"], view)

    @app.view(MappingCallback.EXCLUSIONS)
    async def on_submit(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        form = exclusions.ExclusionForm.read(body["view"])
        actor = replace(Actor.of(body), channel=form.metadata.channel)
        work = exclusions.save(services, actor, form)
        await respond_to_submission(work, _SHOWN, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])


def _register_people(app: AsyncApp, services: Services) -> None:
    @app.action(MappingAction.PEOPLE)
    async def on_people(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        view = await people.view_of(services, client, actor, int(value_of(body)))
        await change_modal(client, actor, body["view"]["id"], view)

    @app.view(MappingCallback.PEOPLE)
    async def on_submit(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        actor, form = Actor.of(body), people.PeopleForm.read(body["view"])
        work = people.save(services, client, actor, form)
        await respond_to_submission(work, _SHOWN, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])


def _register_list(app: AsyncApp, services: Services) -> None:
    @app.action(MappingAction.CHANGE_LIST)
    async def on_change_list(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        view = await list_form.view_of(services, actor, await by_id(services, actor, int(value_of(body))))
        await change_modal(client, actor, body["view"]["id"], view)

    @app.view(MappingCallback.LIST)
    async def on_submit(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        form = list_form.ListForm.read(body["view"])
        if problems := form.problems():
            await ack(response_action="errors", errors=problems)
            return
        actor = replace(Actor.of(body), channel=form.metadata.channel)
        work = list_form.save(services, actor, form)
        await respond_to_submission(work, _SHOWN, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])


_SHOWN = SubmissionModals(waiting=views.working(), failed=views.failed, at_inputs=lambda _: {})
