"""The actions on mappings: propose, approve, decline, pause, resume. Each checks who may do it."""

from bot.features.mapping import cards, views
from bot.features.mapping.audience_select import resolve_audience
from bot.features.mapping.form import MapForm, ReviewMetadata
from bot.features.mapping.list_select import ListChoice, resolve, resolve_approved
from bot.features.mapping.variants import find_variants, variants_result
from bot.features.mapping_lookup import MappingRef, by_id, require_start
from bot.features.permissions import why_not_decide
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.file_source import address_of
from bot.slack.submission import ModalResult
from bot.ui.blocks import Message
from core.connections import mapping_lifecycle
from core.connections.lists import check_list, note_list
from core.connections.new_lists import create_list_of_mapping
from core.errors import InputError
from core.live import decisions
from core.models.run import RunRequest
from core.runs import commands
from core.sources.audience_ref import from_bucket_name, from_download_name
from core.store.mappings import NO_LIST, MappingStatus


async def propose(services: Services, actor: Actor, wanted: MapForm) -> ModalResult:
    """Propose a mapping, and start its first run if a file was uploaded. A new list is created after approval.

    If the file has the variants of an A/B test, nothing is proposed yet: the result asks for a list for each.

    Raises InputError if the mapping exists or the person may not, a SyncError if Iterable can't be asked for the
    list, or mParticle for the audience.
    """
    connection = await services.connection(actor, wanted.metadata.connection_id)
    require_start(connection, actor.person, "propose mappings")
    if wanted.file is not None and (variants := await find_variants(services, actor, wanted)):
        return variants_result(wanted, variants)
    assert wanted.choice is not None
    target = await resolve(services, connection, wanted.choice)
    listed = None if wanted.audience_id is None else await resolve_audience(services, connection, wanted.audience_id)
    mapping = await mapping_lifecycle.propose(
        services.engine,
        connection,
        target,
        audience=listed.id if listed else wanted.audience or _audience_of_file(wanted),
        audience_name=listed.name if listed else None,
        mode=wanted.mode,
        removals=wanted.removals,
        channel=wanted.channel,
        by=actor.person,
        team_id=actor.team_id,
        limits=wanted.addition_limits,
    )
    if wanted.file is not None:
        await commands.start(
            services.engine,
            mapping,
            RunRequest(path=address_of(actor.team_id, wanted.file.id)),
            by=actor.person,
            channel=wanted.channel,
            team_id=actor.team_id,
        )
    services.wake()
    ref = MappingRef(connection, mapping, target.name)
    return ModalResult(views.proposed_view(ref, wanted.file), views.proposed_sentences(ref, wanted.file))


def _audience_of_file(wanted: MapForm) -> str | None:
    """Return the audience in the file's name; None if planning has to read it from the file."""
    assert wanted.file is not None
    reference = from_download_name(wanted.file.name)
    return reference.name or from_bucket_name(wanted.file.name).name


async def approve(
    services: Services, actor: Actor, metadata: ReviewMetadata, choice: ListChoice | None, comment: str | None
) -> ModalResult:
    """Approve a mapping. `choice` is the list, if the mapping has none yet. Raises a SyncError if the list can't be
    used."""
    ref = await by_id(services, actor, metadata.mapping_id)
    if refusal := await why_not_review(services, actor, ref):
        return _result(refusal)
    engine, mapping = services.engine, ref.mapping
    if mapping.list_id == NO_LIST:
        assert choice is not None
        target = await resolve_approved(services, ref.connection, choice)
        async with engine.database.write() as db:
            await note_list(db, ref.connection.id, target)
        await decisions.approve(
            engine, mapping.id, list_id=target.id, by=actor.person, team_id=actor.team_id, comment=comment
        )
    elif mapping.is_live:
        await _approve_as_it_came(services, actor, ref, comment)
    else:
        is_approved = await mapping_lifecycle.decide_proposal(
            engine, mapping.id, MappingStatus.ACTIVE, by=actor.person, comment=comment, team_id=actor.team_id
        )
        if is_approved:  # if Iterable can't be asked now, its first run creates the list
            await create_list_of_mapping(engine, mapping.id)
    return await _outcome(services, actor, mapping.id)


async def decline(services: Services, actor: Actor, mapping_id: int, comment: str | None) -> ModalResult:
    """Decline a mapping. The waiting changes of a live one are dropped, as the confirmation says."""
    ref = await by_id(services, actor, mapping_id)
    if refusal := await why_not_review(services, actor, ref):
        return _result(refusal)
    await mapping_lifecycle.decide_proposal(
        services.engine, mapping_id, MappingStatus.DECLINED, by=actor.person, comment=comment, team_id=actor.team_id
    )
    return await _outcome(services, actor, mapping_id)


async def _approve_as_it_came(services: Services, actor: Actor, ref: MappingRef, comment: str | None) -> None:
    """Approve the list that mParticle's settings name. Raises an IterableError if it can't be used."""
    engine, mapping = services.engine, ref.mapping
    target = await check_list(engine, ref.connection, mapping.list_id)
    async with engine.database.write() as db:
        await note_list(db, ref.connection.id, target)
    await decisions.approve(
        engine, mapping.id, list_id=target.id, by=actor.person, team_id=actor.team_id, comment=comment
    )


async def _outcome(services: Services, actor: Actor, mapping_id: int) -> ModalResult:
    """The result shows the decision, even if someone else was faster."""
    services.wake()
    return _result(views.decided_sentence(await by_id(services, actor, mapping_id)))


def _result(sentence: str) -> ModalResult:
    return ModalResult(views.reviewed_view(sentence), sentence)


async def pause(services: Services, actor: Actor, ref: MappingRef) -> Message:
    """Pause a mapping. Raises InputError if the person may not."""
    require_start(ref.connection, actor.person, "pause its mappings")
    done = await mapping_lifecycle.pause(services.engine, ref.mapping.id, by=actor.person, team_id=actor.team_id)
    return await _answer(services, actor, ref, done, "paused")


async def resume(services: Services, actor: Actor, ref: MappingRef) -> Message:
    """Resume a paused mapping. Raises InputError if the person may not."""
    require_start(ref.connection, actor.person, "resume its mappings")
    if ref.mapping.disconnected_at is not None:
        raise InputError(
            f"mParticle disconnected {ref.mapping.label}, so no changes arrive. Decide on the Home page "
            "whether its people stay on the list, or connect it again in mParticle."
        )
    done = await mapping_lifecycle.resume(services.engine, ref.mapping.id, by=actor.person, team_id=actor.team_id)
    return await _answer(services, actor, ref, done, "resumed")


async def _answer(services: Services, actor: Actor, ref: MappingRef, done: bool, wanted: str) -> Message:
    now = await by_id(services, actor, ref.mapping.id)
    if not done:
        return cards.not_moved(now, wanted)
    services.wake()
    return cards.moved(now)


async def why_not_review(services: Services, actor: Actor, ref: MappingRef) -> str | None:
    """Return why a person can't decide on a mapping, in a sentence (mrkdwn); None if they can."""
    if ref.mapping.status is not MappingStatus.PROPOSED:
        return views.decided_sentence(ref)
    return await why_not_decide(services, actor, ref.connection, ref.mapping.proposed_by)
