"""The modal and the buttons of schedules."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.ids import ScheduleAction, ScheduleBlock, ScheduleCallback
from bot.features.mapping_lookup import by_id, require_start
from bot.features.schedules import actions, views
from bot.features.schedules.commands import form_of, open_form
from bot.features.schedules.form import ScheduleForm, ScheduleMetadata, When
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.reply import NOT_CHANGED, change_modal, reply_privately
from bot.slack.submission import FormWithOptions, SubmissionModals, respond_to_submission
from bot.ui.blocks import Message
from bot.ui.modal_state import ViewInputs
from core.automation.schedules import PrecedingMappingError, ScheduleNameError
from core.errors import InputError, PermissionDeniedError, SyncError

_BLOCKS: Mapping[type[SyncError], ScheduleBlock] = {
    ScheduleNameError: ScheduleBlock.NAME,
    PrecedingMappingError: ScheduleBlock.AFTER,
}


def register(app: AsyncApp, services: Services) -> None:
    """Register this feature's listeners."""
    _register_form(app, services)
    _register_buttons(app, services)


def _register_form(app: AsyncApp, services: Services) -> None:
    @app.action(ScheduleAction.OPEN)
    async def on_open(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        await open_form(services, client, actor, await by_id(services, actor, int(value_of(body))))

    @app.action(ScheduleAction.WHEN)
    async def on_when(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor, view = Actor.of(body), body["view"]
        when = When(ViewInputs(view).choice(ScheduleBlock.WHEN) or When.NEW_FILE)
        metadata = ScheduleMetadata.load(view).model_copy(update={"when": when.value})
        ref = await by_id(services, actor, metadata.mapping_id)
        require_start(ref.connection, actor.person, "schedule its syncs")
        form = await form_of(services, actor, ref, metadata)
        await change_modal(client, actor, view["id"], form, NOT_CHANGED, hash=view["hash"])

    @app.action(ScheduleAction.OPTIONS)
    async def on_options(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        await _form(services, actor, body["view"]).show_options(client, actor)

    @app.view(ScheduleCallback.FORM)
    async def on_submit(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        submitted, actor = ScheduleForm.read(body["view"]), Actor.of(body)
        form = _form(services, actor, body["view"])
        if problems := submitted.problems():
            await form.show_errors(ack, problems)
            return
        shown = SubmissionModals(waiting=views.working(), failed=views.failed, at_inputs=_at_inputs, form=form)
        work = actions.add(services, actor, submitted)
        await respond_to_submission(work, shown, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])


def _register_buttons(app: AsyncApp, services: Services) -> None:
    def on(action: ScheduleAction, act: Callable[[Services, Actor, int], Awaitable[Message]]) -> None:
        @app.action(action)
        async def on_click(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
            await ack()
            actor = Actor.of(body)
            await reply_privately(client, actor, await act(services, actor, int(value_of(body))))

    on(ScheduleAction.PAUSE, actions.pause)
    on(ScheduleAction.RESUME, actions.resume)
    on(ScheduleAction.REMOVE, actions.remove)
    on(ScheduleAction.RUN_NOW, actions.run_now)


def _form(services: Services, actor: Actor, view: Mapping[str, Any]) -> FormWithOptions:
    """Return *Schedule syncs* as it is on the screen. To show its options raises InputError if the person may not."""

    async def opened() -> dict[str, object]:
        metadata = ScheduleMetadata.load(view).model_copy(update={"shows_options": True})
        ref = await by_id(services, actor, metadata.mapping_id)
        require_start(ref.connection, actor.person, "schedule its syncs")
        return await form_of(services, actor, ref, metadata)

    return FormWithOptions(view, opened)


def _at_inputs(error: SyncError) -> dict[str, str]:
    """Return the input that an error concerns."""
    if not isinstance(error, InputError) or isinstance(error, PermissionDeniedError):
        return {}
    block = _BLOCKS.get(type(error), ScheduleBlock.ADDRESS)
    return {block: error.message}
