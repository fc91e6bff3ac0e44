"""Subscription messages: an audience was connected, changed or disconnected in mParticle."""

from sqlalchemy.ext.asyncio import AsyncConnection

from core.firehose.router import Router, list_setting
from core.firehose.schema import AudienceSubscriptionRequest, SubscriptionAction
from core.store import audit_log, clock, connections, inbox, mappings
from core.store.audit_log import MPARTICLE, AuditAction
from core.store.mappings import ENDED, AudienceMapping, LiveOffer, MappingStatus


async def subscribe(db: AsyncConnection, router: Router, request: AudienceSubscriptionRequest) -> None:
    """Apply a subscription message: add, update or remove the mapping of its audience."""
    if request.action is SubscriptionAction.REMOVE:
        await _remove(db, router, request)
    elif request.action is SubscriptionAction.UPDATE:
        await _update(db, router, request)
    else:
        await _add(db, router, request)


async def _add(db: AsyncConnection, router: Router, request: AudienceSubscriptionRequest) -> None:
    existing = await router.find_mapping(request.account, request.audience_id, request.audience_subscription_settings)
    mapping = existing or await router.mapping(
        request.account, request.audience_id, request.audience_name, request.audience_subscription_settings
    )
    if mapping.live_offer is not None and not mapping.is_live:
        if existing is not None:  # connected again, so a person decides about the offer again
            await mappings.change(db, mapping.id, live_offer=LiveOffer.PROPOSED)
            await _refresh(db, router, mapping)
    elif existing is not None and (mapping.status in ENDED or mapping.disconnected_at is not None):
        mapping = await router.propose(mapping)  # connected again, so a person approves it again
    await _rename(db, router, mapping, request.audience_name)


async def _update(db: AsyncConnection, router: Router, request: AudienceSubscriptionRequest) -> None:
    settings, previous = (
        request.audience_subscription_settings,
        request.previous_audience_subscription_settings,
    )
    if previous and list_setting(previous) != list_setting(settings):
        # A ledger belongs to one list, so another list means another mapping. As if the audience had been disconnected,
        # a person decides what happens to the members of the former list.
        former = await router.find_mapping(request.account, request.audience_id, previous)
        if former is not None:
            await _disconnect(db, router, former)
    await _add(db, router, request)


async def _remove(db: AsyncConnection, router: Router, request: AudienceSubscriptionRequest) -> None:
    mapping = await router.find_mapping(request.account, request.audience_id, request.audience_subscription_settings)
    if mapping is not None:
        await _disconnect(db, router, mapping)


async def _disconnect(db: AsyncConnection, router: Router, mapping: AudienceMapping) -> None:
    """Pause a mapping until a person decides what happens to the members of its list."""
    if mapping.live_offer is not None and not mapping.is_live:  # files still feed it
        await _withdraw(db, router, mapping)
        return
    if mapping.disconnected_at is not None or mapping.status is MappingStatus.ARCHIVED:
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
    await _refresh(db, router, mapping)


async def _withdraw(db: AsyncConnection, router: Router, mapping: AudienceMapping) -> None:
    """Withdraw the offer to feed a mapping that files feed, and drop its pending changes."""
    await inbox.drop_waiting(db, mapping.id)
    await mappings.change(db, mapping.id, mparticle_account_id=None, firehose_list_setting=None, live_offer=None)
    router.forget(mapping)


async def _rename(db: AsyncConnection, router: Router, mapping: AudienceMapping, name: str) -> None:
    if mapping.audience_name == name:
        return
    await mappings.change(db, mapping.id, audience_name=name)
    await _refresh(db, router, mapping)


async def _refresh(db: AsyncConnection, router: Router, mapping: AudienceMapping) -> None:
    current = await mappings.by_id(db, mapping.id)
    assert current is not None
    router.keep(current)
