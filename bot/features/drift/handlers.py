"""The buttons of the alert that a list differs from what was synced."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.drift.differences_file import DifferencesFileSender
from bot.features.ids import DriftAction, read_repair_value
from bot.features.mapping_lookup import by_id, require_start
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.reply import reply_privately
from bot.ui.blocks import text_message
from bot.ui.formatting import channel_or_dm
from core.models.run import Repair, RunRequest, SyncMode
from core.runs import commands, verification


def register(app: AsyncApp, services: Services) -> None:
    """Register this feature's listeners."""
    sender = DifferencesFileSender(services)

    async def on_repair(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        mapping_id, repairs = read_repair_value(value_of(body))
        await repair(services, client, actor, mapping_id, Repair(repairs))

    app.action(DriftAction.REPAIR)(on_repair)
    app.action(DriftAction.ADD_MISSING)(on_repair)

    @app.action(DriftAction.PEOPLE)
    async def on_people(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        await sender.send(client, actor, await by_id(services, actor, int(value_of(body))))

    @app.action(DriftAction.KEEP)
    async def on_keep(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        ref = await by_id(services, actor, int(value_of(body)))
        require_start(ref.connection, actor.person, "decide this")
        await verification.accept(services.engine, ref.mapping.id, by=actor.person, team_id=actor.team_id)
        services.wake()
        text = f"{ref.label}: the people who are extra stay. You get another alert if their number changes."
        await reply_privately(client, actor, text_message(text))


async def repair(services: Services, client: AsyncWebClient, actor: Actor, mapping_id: int, repairs: Repair) -> None:
    """Start the repair of a mapping's list. Raises InputError if the person may not, or if it can't be synced now."""
    ref = await by_id(services, actor, mapping_id)
    require_start(ref.connection, actor.person, "repair its lists")
    channel = ref.mapping.channel or actor.channel
    await commands.start(
        services.engine,
        ref.mapping,
        RunRequest(path="", mode=SyncMode.DELTA, repairs=repairs),
        by=actor.person,
        channel=channel,
        team_id=actor.team_id,
    )
    services.wake()
    place = channel_or_dm(channel)
    text = f"Preparing the repair of {ref.label}. What it would change appears {place}, for approval."
    await reply_privately(client, actor, text_message(text))
