"""The actions of this feature: edit, archive, restore, delete. Each checks who may do it."""

from bot.features.mapping_lookup import MappingRef, by_id, require_start
from bot.features.mapping_management import views
from bot.features.mapping_management.approvals import may_approve_own
from bot.features.mapping_management.form import EditForm
from bot.features.permissions import why_not_decide
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.submission import ModalResult
from bot.ui.blocks import Message
from core.connections import mapping_end, mapping_settings
from core.errors import PermissionDeniedError
from core.runs.mapping_deletion import request_emptying

_LIMITS = {"max_added", "max_added_share", "max_removed_share"}


async def save(services: Services, actor: Actor, form: EditForm) -> ModalResult:
    """Change a mapping. Raises InputError if the person may not."""
    ref = await by_id(services, actor, form.metadata.mapping_id)
    require_start(ref.connection, actor.person, "change its mappings")
    wanted = form.changes(ref.mapping)
    if wanted.keys() & _LIMITS:
        await _require_approver(services, actor, ref)
    await mapping_settings.edit(
        services.engine,
        ref.mapping.id,
        by=actor.person,
        team_id=actor.team_id,
        approved=await may_approve_own(services, actor, ref),
        **wanted,
    )
    services.wake()
    sentence = views.saved(await by_id(services, actor, ref.mapping.id))
    return ModalResult(views.done(sentence), sentence)


async def archive(services: Services, actor: Actor, ref: MappingRef) -> Message:
    """Archive a mapping. Raises InputError if the person may not."""
    require_start(ref.connection, actor.person, "archive its mappings")
    await mapping_end.archive(services.engine, ref.mapping.id, by=actor.person, team_id=actor.team_id)
    services.wake()
    return views.archived(await by_id(services, actor, ref.mapping.id))


async def restore(services: Services, actor: Actor, ref: MappingRef) -> Message:
    """Restore an archived mapping. Raises InputError if the person may not."""
    require_start(ref.connection, actor.person, "restore its mappings")
    await mapping_end.restore(services.engine, ref.mapping.id, by=actor.person, team_id=actor.team_id)
    services.wake()
    return views.restored(await by_id(services, actor, ref.mapping.id))


async def delete(services: Services, actor: Actor, mapping_id: int, members: str | None) -> ModalResult:
    """Delete a mapping, or take everyone off its list first (`members` is REMOVE). Raises InputError if the person
    may not: an approver decides about the people, and only an approver deletes the record of them.
    """
    ref = await by_id(services, actor, mapping_id)
    require_start(ref.connection, actor.person, "delete its mappings")
    if members == views.REMOVE:
        channel = ref.mapping.channel or actor.channel
        run_id = await request_emptying(
            services.engine, mapping_id, by=actor.person, channel=channel, team_id=actor.team_id
        )
        sentence = views.emptying(ref, run_id, channel)
    else:
        await _require_approver(services, actor, ref)
        await mapping_end.forget(services.engine, mapping_id, by=actor.person, team_id=actor.team_id)
        sentence = views.deleted(ref)
    services.wake()
    return ModalResult(views.done(sentence), sentence)


async def _require_approver(services: Services, actor: Actor, ref: MappingRef) -> None:
    if refusal := await why_not_decide(services, actor, ref.connection):
        raise PermissionDeniedError(refusal)
