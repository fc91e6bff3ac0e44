"""The modal *Alert rules* of a mapping, for admins."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.alerts import rules_form
from bot.features.alerts.rules_form import RulesForm, RulesMetadata
from bot.features.connect.commands import require_admin
from bot.features.ids import AlertAction, AlertCallback
from bot.features.mapping_lookup import by_id
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.reply import open_modal
from bot.slack.submission import ModalResult, SubmissionModals, respond_to_submission
from core.notifications.rule_settings import set_rules
from core.store import alert_rules

_WHAT = "change alert rules"
_SHOWN = SubmissionModals(waiting=rules_form.working(), failed=rules_form.failed, at_inputs=lambda _: {})


def register(app: AsyncApp, services: Services) -> None:
    """Register the listeners of the modal."""

    @app.action(AlertAction.RULES)
    async def on_open(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        await require_admin(services, client, actor, _WHAT)
        ref = await by_id(services, actor, int(value_of(body)))
        async with services.engine.database.read() as db:
            settings = await alert_rules.settings(db, ref.connection.id, ref.mapping.id)
        metadata = RulesMetadata(mapping_id=ref.mapping.id)
        await open_modal(client, actor, rules_form.rules_modal(metadata, ref, settings))

    @app.view(AlertCallback.RULES)
    async def on_submit(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        form, actor = RulesForm.read(body["view"]), Actor.of(body)
        if problems := form.problems():
            await ack(response_action="errors", errors=problems)
            return
        work = _save(services, client, actor, form)
        await respond_to_submission(work, _SHOWN, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])


async def _save(services: Services, client: AsyncWebClient, actor: Actor, form: RulesForm) -> ModalResult:
    """Save the rules of a mapping. Raises InputError if the person may not."""
    await require_admin(services, client, actor, _WHAT)
    ref = await by_id(services, actor, form.metadata.mapping_id)
    changed = await set_rules(
        services.engine, ref.connection.id, ref.mapping.id, form.settings(), by=actor.person, team_id=actor.team_id
    )
    async with services.engine.database.read() as db:
        settings = await alert_rules.settings(db, ref.connection.id, ref.mapping.id)
    sentence = rules_form.saved_sentence(ref, changed, settings)
    return ModalResult(rules_form.saved(sentence), sentence)
