"""Deciding on a proposed mapping of which no run waits."""

from bot.features.mapping import views
from bot.features.mapping.form import ReviewMetadata
from bot.features.mapping.list_select import ListChoice, resolve
from bot.features.mapping.open import why_not_review
from bot.features.mapping_lookup import MappingRef, by_id
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.submission import ModalResult
from core import mapping_lifecycle
from core.connections.lists import check_list
from core.live import decisions
from core.store import lists
from core.store.mappings import NO_LIST, MappingStatus


async def approve(
    services: Services, actor: Actor, metadata: ReviewMetadata, choice: ListChoice | None, comment: str | None
) -> ModalResult:
    """Approve a mapping, to the list that was chosen where it had none. Raises a SyncError where that can't be had."""
    it = await by_id(services, actor, metadata.mapping_id)
    if refusal := await why_not_review(services, actor, it):
        return _told(refusal)
    engine, mapping = services.engine, it.mapping
    if mapping.list_id == NO_LIST:
        assert choice is not None
        target = await resolve(services, it.connection, choice)
        async with engine.database.write() as db:
            if await lists.get(db, it.connection.id, target.id) is None:
                await lists.add(db, it.connection.id, target.id, target.name, target.created_at)
        await decisions.approve(
            engine, mapping.id, list_id=target.id, by=actor.person, team_id=actor.team_id, comment=comment
        )
    elif mapping.is_live:
        await _approve_as_it_came(services, actor, it, comment)
    else:
        await mapping_lifecycle.decide_proposal(
            engine, mapping.id, MappingStatus.ACTIVE, by=actor.person, comment=comment, team_id=actor.team_id
        )
    return await _outcome(services, actor, mapping.id)


async def decline(services: Services, actor: Actor, mapping_id: int, comment: str | None) -> ModalResult:
    """Decline a mapping."""
    it = await by_id(services, actor, mapping_id)
    if refusal := await why_not_review(services, actor, it):
        return _told(refusal)
    declined = await mapping_lifecycle.decide_proposal(
        services.engine, mapping_id, MappingStatus.DECLINED, by=actor.person, comment=comment, team_id=actor.team_id
    )
    if declined and it.mapping.is_live:  # the person was told that what waits is dropped
        await decisions.drop_waiting(services.engine, mapping_id, by=actor.person, team_id=actor.team_id)
    return await _outcome(services, actor, mapping_id)


async def _approve_as_it_came(services: Services, actor: Actor, it: MappingRef, comment: str | None) -> None:
    """Approve the list that stands in mParticle's settings. Raises an IterableError where it is not one."""
    engine, mapping = services.engine, it.mapping
    target = await check_list(engine, it.connection, mapping.list_id)
    async with engine.database.write() as db:
        if await lists.get(db, it.connection.id, target.id) is None:
            await lists.add(db, it.connection.id, target.id, target.name, target.created_at)
    await decisions.approve(
        engine, mapping.id, list_id=target.id, by=actor.person, team_id=actor.team_id, comment=comment
    )


async def _outcome(services: Services, actor: Actor, mapping_id: int) -> ModalResult:
    """What is told is how it was decided, also where somebody else was faster."""
    services.wake()
    return _told(views.said_decided(await by_id(services, actor, mapping_id)))


def _told(sentence: str) -> ModalResult:
    return ModalResult(views.reviewed_view(sentence), sentence)
