"""The buttons and the modal that freeze and unfreeze mappings."""

from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.freezes import actions, views
from bot.features.freezes.form import FreezeForm
from bot.features.ids import FreezeAction, FreezeBlock, FreezeCallback
from bot.features.mapping_lookup import MappingRef, by_id, require_start
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.reply import open_modal, reply_privately
from bot.slack.submission import SubmissionModals, respond_to_submission
from core.errors import ValidationError


def register(app: AsyncApp, services: Services) -> None:
    """Register this feature's listeners."""

    @app.action(FreezeAction.OPEN)
    async def on_open(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        ref = await _ref(services, actor, value_of(body))
        if ref is None:
            await open_modal(client, actor, views.freeze_form(None))
            return
        require_start(ref.connection, actor.person, "freeze its mappings")
        await open_modal(client, actor, views.freeze_form(ref, await actions.current_freeze(services, ref)))

    @app.action(FreezeAction.UNFREEZE)
    async def on_unfreeze(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        ref = await _ref(services, actor, value_of(body))
        other = await actions.unfreeze(services, actor, ref)
        await reply_privately(client, actor, views.unfrozen(ref, other))

    @app.view(FreezeCallback.FREEZE)
    async def on_save(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        actor = Actor.of(body)
        shown = SubmissionModals(
            waiting=views.working(),
            failed=views.failed,
            at_inputs=lambda error: {FreezeBlock.UNTIL: error.message} if isinstance(error, ValidationError) else {},
        )
        work = actions.save(services, client, actor, FreezeForm.read(body["view"]))
        await respond_to_submission(work, shown, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])


async def _ref(services: Services, actor: Actor, mapping_id: str) -> MappingRef | None:
    """Return the mapping of a button; None if it is about all mappings."""
    return await by_id(services, actor, int(mapping_id)) if mapping_id else None
