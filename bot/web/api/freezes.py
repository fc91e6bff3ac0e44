"""Operations on freezes."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from bot.web.api.operations import Call, Operations
from bot.web.api.schemas import RfcTime, Schema, Sent, time_of
from core.connections import freeze_commands
from core.connections.freeze_commands import MOST_MINUTES
from core.errors import ConflictError
from core.store import freezes, mappings
from core.store.api_tokens import Scope
from core.store.freezes import EVERYTHING
from core.store.freezes import Scope as FreezeScope
from core.store.mappings import AudienceMapping, FreezeHolds

operations = Operations("Freezes")


class Freeze(Schema):
    """Changes of a mapping that wait."""

    mapping_id: int
    holds: Annotated[FreezeHolds, Field(description="Which changes wait.")]
    until: Annotated[datetime | None, Field(description="None: until the campaign has been sent.")]
    campaign: Annotated[str | None, Field(description="The campaign before which it is frozen.")]
    of_all: Annotated[bool, Field(description="Whether all mappings are frozen together.")]


class FreezePage(Schema):
    """The mappings that are frozen, by id."""

    items: list[Freeze]


class FreezeRequest(Sent):
    """Until when changes wait."""

    until: Annotated[RfcTime, Field(description="In the future, within a year.")]
    holds: Annotated[FreezeHolds, Field(description="Which changes wait.")] = FreezeHolds.BOTH


class CampaignFreezeRequest(Sent):
    """How long before a campaign its list is frozen."""

    minutes: Annotated[int, Field(ge=0, le=MOST_MINUTES, description="Minutes before each campaign to the list.")]
    holds: Annotated[FreezeHolds, Field(description="Which changes wait.")] = FreezeHolds.BOTH


class CampaignFreeze(Schema):
    """Whether a mapping is frozen before campaigns to its list."""

    mapping_id: int
    minutes: Annotated[int | None, Field(description="Minutes before each campaign. None: campaigns don't freeze it.")]
    holds: Annotated[FreezeHolds, Field(description="Which changes wait.")]

    @classmethod
    def of(cls, mapping: AudienceMapping) -> "CampaignFreeze":
        """Describe the setting of a mapping."""
        seconds = mapping.freeze_before_s
        minutes = None if seconds is None else round(seconds / 60)
        return cls(mapping_id=mapping.id, minutes=minutes, holds=mapping.freeze_holds)


@operations.add("GET", "/freezes", Scope.READ, result=FreezePage)
async def list_freezes(call: Call) -> FreezePage:
    """List the mappings that are frozen now, by hand or before a campaign."""
    return await _frozen(call)


@operations.add(
    "POST", "/mappings/{mapping_id}/freeze", Scope.ADMIN, body=FreezeRequest, result=FreezePage, errors=(404,)
)
async def freeze_mapping(call: Call, body: FreezeRequest) -> FreezePage:
    """Freeze a mapping. Its changes wait until a time; syncs are prepared and approved meanwhile."""
    _, mapping = await call.mapping(call.number("mapping_id"))
    await _freeze(call, FreezeScope(mapping.id), body)
    return await _frozen(call)


@operations.add("DELETE", "/mappings/{mapping_id}/freeze", Scope.ADMIN, result=FreezePage, errors=(404, 409))
async def unfreeze_mapping(call: Call) -> FreezePage:
    """End the freeze of a mapping. The changes that have waited are sent."""
    _, mapping = await call.mapping(call.number("mapping_id"))
    await _unfreeze(call, FreezeScope(mapping.id))
    return await _frozen(call)


@operations.add("GET", "/mappings/{mapping_id}/campaign-freeze", Scope.READ, result=CampaignFreeze, errors=(404,))
async def get_campaign_freeze(call: Call) -> CampaignFreeze:
    """Get whether a mapping is frozen before campaigns to its list."""
    return await _campaign_freeze(call)


@operations.add(
    "PUT",
    "/mappings/{mapping_id}/campaign-freeze",
    Scope.ADMIN,
    body=CampaignFreezeRequest,
    result=CampaignFreeze,
    errors=(404, 409),
)
async def freeze_before_campaigns(call: Call, body: CampaignFreezeRequest) -> CampaignFreeze:
    """Freeze a mapping from so many minutes before each campaign to its list until that has been sent."""
    await _set_campaign_freeze(call, body.minutes, body.holds)
    return await _campaign_freeze(call)


@operations.add(
    "DELETE", "/mappings/{mapping_id}/campaign-freeze", Scope.ADMIN, result=CampaignFreeze, errors=(404, 409)
)
async def end_campaign_freeze(call: Call) -> CampaignFreeze:
    """Let campaigns not freeze a mapping. A freeze by hand stays."""
    if (await _campaign_freeze(call)).minutes is None:
        raise ConflictError("Campaigns don't freeze this mapping.", mapping_id=call.number("mapping_id"))
    await _set_campaign_freeze(call, None, FreezeHolds.BOTH)
    return await _campaign_freeze(call)


@operations.add("POST", "/freeze", Scope.ADMIN, body=FreezeRequest, result=FreezePage)
async def freeze_all(call: Call, body: FreezeRequest) -> FreezePage:
    """Freeze all mappings that the token sees."""
    await _freeze(call, _everything(call), body)
    return await _frozen(call)


@operations.add("DELETE", "/freeze", Scope.ADMIN, result=FreezePage, errors=(409,))
async def unfreeze_all(call: Call) -> FreezePage:
    """End the freeze of all mappings."""
    await _unfreeze(call, _everything(call))
    return await _frozen(call)


async def _campaign_freeze(call: Call) -> CampaignFreeze:
    return CampaignFreeze.of((await call.mapping(call.number("mapping_id")))[1])


async def _set_campaign_freeze(call: Call, minutes: int | None, holds: FreezeHolds) -> None:
    _, mapping = await call.mapping(call.number("mapping_id"))
    await freeze_commands.set_campaign_freeze(
        call.engine, mapping.id, minutes, holds=holds, by=call.actor, team_id=call.token.team_id
    )


async def _frozen(call: Call) -> FreezePage:
    connections = await call.connections()
    async with call.engine.database.read() as db:
        ids = [mapping.id for each in connections for mapping in await mappings.of_connection(db, each.id)]
        frozen = await freezes.of_mappings(db, ids)
    return FreezePage(items=[_described(each, frozen[each]) for each in sorted(ids) if each in frozen])


async def _freeze(call: Call, scope: FreezeScope, body: FreezeRequest) -> None:
    await freeze_commands.freeze(
        call.engine,
        scope,
        until=body.until.timestamp(),
        holds=body.holds,
        by=call.actor,
        team_id=call.token.team_id,
    )


async def _unfreeze(call: Call, scope: FreezeScope) -> None:
    await freeze_commands.unfreeze(call.engine, scope, by=call.actor, team_id=call.token.team_id)


def _everything(call: Call) -> FreezeScope:
    """Return the scope of all mappings that the token sees."""
    return EVERYTHING if call.token.team_id is None else FreezeScope(team_id=call.token.team_id)


def _described(mapping_id: int, freeze: freezes.Freeze) -> Freeze:
    return Freeze(
        mapping_id=mapping_id,
        holds=freeze.holds,
        until=None if freeze.until is None else time_of(freeze.until),
        campaign=freeze.campaign,
        of_all=freeze.of_all,
    )
