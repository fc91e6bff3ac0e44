"""An audience was connected, changed or disconnected in mParticle."""

from sqlalchemy.ext.asyncio import AsyncConnection

from core.firehose.router import Router, list_setting
from core.firehose.schema import AudienceSubscriptionRequest, SubscriptionAction
from core.store import audit_log, clock, connections, inbox, mappings
from core.store.audit_log import MPARTICLE, AuditAction
from core.store.mappings import AudienceMapping, LiveOffer, MappingStatus


async def subscribe(db: AsyncConnection, targets: Router, request: AudienceSubscriptionRequest) -> None:
    """Do what a subscription message says."""
    if request.action is SubscriptionAction.REMOVE:
        await _remove(db, targets, request)
    elif request.action is SubscriptionAction.UPDATE:
        await _update(db, targets, request)
    else:
        await _add(db, targets, request)


async def _add(db: AsyncConnection, targets: Router, request: AudienceSubscriptionRequest) -> None:
    known = await targets.known(request.account, request.audience_id, request.audience_subscription_settings)
    mapping = known or await targets.mapping(
        request.account, request.audience_id, request.audience_name, request.audience_subscription_settings
    )
    if mapping.live_offer is not None and not mapping.is_live:
        if known is not None:  # connected once more: it is to be decided about once more
            await mappings.change(db, mapping.id, live_offer=LiveOffer.PROPOSED)
            await _refresh(db, targets, mapping)
    elif known is not None and (mapping.status is MappingStatus.DECLINED or mapping.disconnected_at is not None):
        mapping = await targets.propose(mapping)  # connected anew: it is to be decided about anew
    await _rename(db, targets, mapping, request.audience_name)


async def _update(db: AsyncConnection, targets: Router, request: AudienceSubscriptionRequest) -> None:
    now, before = request.audience_subscription_settings, request.previous_audience_subscription_settings
    if before and list_setting(before) != list_setting(now):
        # The ledger of a mapping is of one list. So another list is another mapping, and what becomes of the members
        # of the former one is to be decided, as where an audience is disconnected.
        former = await targets.known(request.account, request.audience_id, before)
        if former is not None:
            await _disconnect(db, targets, former)
    await _add(db, targets, request)


async def _remove(db: AsyncConnection, targets: Router, request: AudienceSubscriptionRequest) -> None:
    mapping = await targets.known(request.account, request.audience_id, request.audience_subscription_settings)
    if mapping is not None:
        await _disconnect(db, targets, mapping)


async def _disconnect(db: AsyncConnection, targets: Router, mapping: AudienceMapping) -> None:
    """Pause a mapping, until a person says what becomes of its list's members."""
    if mapping.live_offer is not None and not mapping.is_live:  # files feed it, and go on feeding it
        await _withdraw(db, targets, mapping)
        return
    if mapping.disconnected_at is not None:
        return
    state = mapping.status if mapping.status is MappingStatus.DECLINED else MappingStatus.PAUSED
    await mappings.change(db, mapping.id, status=state, disconnected_at=await clock.now(db))
    connection = await connections.by_id(db, mapping.connection_id)
    await audit_log.add(
        db,
        team_id=connection.team_id if connection else None,
        actor=MPARTICLE,
        action=AuditAction.MAPPING_PAUSED,
        subject=f"mapping:{mapping.id}",
        before={"state": mapping.status.value},
        after={"state": state.value, "disconnected": True},
    )
    await _refresh(db, targets, mapping)


async def _withdraw(db: AsyncConnection, targets: Router, mapping: AudienceMapping) -> None:
    """End the offer to feed a mapping that files feed, with what came for it."""
    await inbox.drop_waiting(db, mapping.id)
    await mappings.change(db, mapping.id, mparticle_account_id=None, firehose_list_setting=None, live_offer=None)
    targets.forget(mapping)


async def _rename(db: AsyncConnection, targets: Router, mapping: AudienceMapping, name: str) -> None:
    if mapping.audience_name == name:
        return
    await mappings.change(db, mapping.id, audience_name=name)
    await _refresh(db, targets, mapping)


async def _refresh(db: AsyncConnection, targets: Router, mapping: AudienceMapping) -> None:
    found = await mappings.by_id(db, mapping.id)
    assert found is not None
    targets.keep(found)
