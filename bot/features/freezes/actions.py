"""The actions of this feature. Each checks who may do it."""

from datetime import datetime

from slack_sdk.web.async_client import AsyncWebClient

from bot.features.freezes import views
from bot.features.freezes.form import FreezeForm
from bot.features.mapping_lookup import MappingRef, by_id, require_start
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.submission import ModalResult
from core.connections import freeze_commands
from core.connections.permissions import may_start
from core.connections.until import parse_until
from core.errors import PermissionDeniedError
from core.store import freezes
from core.store.freezes import Freeze, Scope
from core.store.mappings import FreezeHolds


async def freeze(
    services: Services,
    client: AsyncWebClient,
    actor: Actor,
    ref: MappingRef | None,
    until: str,
    holds: FreezeHolds = FreezeHolds.BOTH,
) -> Freeze:
    """Freeze a mapping (None: all) until a time that the person typed, in their time zone. Returns the freeze.

    Raises PermissionDeniedError if the person may not, and ValidationError if the time can't be read.
    """
    await _require(services, actor, ref)
    zone = await services.people.time_zone(client, actor.team_id, actor.person)
    at = parse_until(until, datetime.fromtimestamp(await services.engine.time(), zone))
    await freeze_commands.freeze(
        services.engine, scope_of(services, actor, ref), until=at, holds=holds, by=actor.person, team_id=actor.team_id
    )
    services.wake()
    return Freeze(holds, at, by=actor.person, of_all=ref is None)


async def unfreeze(services: Services, actor: Actor, ref: MappingRef | None) -> Freeze | None:
    """End a freeze by hand. Returns the freeze that still holds the mapping back, if another one does.

    Raises PermissionDeniedError if the person may not, and ConflictError if nothing is frozen by hand.
    """
    await _require(services, actor, ref)
    scope = scope_of(services, actor, ref)
    other = await freeze_commands.unfreeze(services.engine, scope, by=actor.person, team_id=actor.team_id)
    services.wake()
    return other


async def save(services: Services, client: AsyncWebClient, actor: Actor, wanted: FreezeForm) -> ModalResult:
    """Do what the modal *Freeze* says: freeze by hand, before campaigns, or both. Raises as `freeze` does."""
    mapping_id = wanted.metadata.mapping_id
    ref = await by_id(services, actor, mapping_id) if mapping_id is not None else None
    await _require(services, actor, ref)
    current = await freeze(services, client, actor, ref, wanted.until, wanted.holds) if wanted.until else None
    sentence = views.frozen_sentence(ref, current)
    if ref is not None and mapping_id is not None:
        seconds = None if wanted.minutes is None else wanted.minutes * 60.0
        if (seconds, wanted.holds) != (ref.mapping.freeze_before_s, ref.mapping.freeze_holds):
            await freeze_commands.set_campaign_freeze(
                services.engine,
                mapping_id,
                wanted.minutes,
                holds=wanted.holds,
                by=actor.person,
                team_id=actor.team_id,
            )
            ref = await by_id(services, actor, mapping_id)
        sentence += f" {views.before_campaigns_sentence(ref)}"
    return ModalResult(views.saved(sentence), sentence)


async def current_freeze(services: Services, ref: MappingRef) -> Freeze | None:
    """Return the freeze of a mapping now."""
    async with services.engine.database.read() as db:
        return await freezes.of_mapping(db, ref.mapping.id)


def scope_of(services: Services, actor: Actor, ref: MappingRef | None) -> Scope:
    """Return the scope of a freeze: a mapping, else all that the workspace sees."""
    if ref is not None:
        return Scope(ref.mapping.id)
    return freezes.EVERYTHING if services.one_workspace else Scope(team_id=actor.team_id)


async def _require(services: Services, actor: Actor, ref: MappingRef | None) -> None:
    if ref is not None:
        require_start(ref.connection, actor.person, "freeze its mappings")
        return
    connections = await services.connections_of(actor.team_id)
    if actor.is_outsider or not all(may_start(each, actor.person) for each in connections):
        raise PermissionDeniedError(
            "Only people who can start syncs of every connection can freeze all mappings. Freeze single mappings, or "
            "ask an operator of the others."
        )
