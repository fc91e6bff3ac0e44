"""Operations on mappings."""

from typing import cast

from bot.web.api.cursors import Cursor
from bot.web.api.mapping_schemas import (
    DeletionQuery,
    ExclusionRequest,
    ListChange,
    ListChanged,
    Mapping,
    MappingChange,
    MappingDeletion,
    MappingPage,
    Members,
)
from bot.web.api.operations import Call, Operations
from bot.web.api.schemas import PageQuery
from core.connections import mapping_end, mapping_lifecycle, mapping_settings
from core.connections.exclusions import ExclusionInput, change_exclusions
from core.connections.lists import check_list
from core.connections.mapping_settings import MappingEdit
from core.connections.people_lookup import look_up_people
from core.errors import ConflictError, ValidationError
from core.models.exclusions import ExclusionKind
from core.runs.mapping_deletion import change_list, request_emptying
from core.store import mappings
from core.store.api_tokens import Scope

operations = Operations("Mappings")


@operations.add("GET", "/mappings", Scope.READ, query=PageQuery, result=MappingPage)
async def list_mappings(call: Call, query: PageQuery) -> MappingPage:
    """List the mappings, by id."""
    connections = await call.connections()
    after = Cursor.read(query.cursor)
    async with call.engine.database.read() as db:
        seen = [mapping for each in connections for mapping in await mappings.of_connection(db, each.id)]
    rest = sorted((each for each in seen if after is None or each.id > after.number), key=lambda each: each.id)
    shown = rest[: query.limit]
    last = Cursor(shown[-1].id).text if len(rest) > query.limit else None
    return MappingPage(items=[Mapping.of(each) for each in shown], next=last)


@operations.add("GET", "/mappings/{mapping_id}", Scope.READ, result=Mapping, errors=(404,))
async def get_mapping(call: Call) -> Mapping:
    """Get a mapping."""
    return await _current(call)


@operations.add("PATCH", "/mappings/{mapping_id}", Scope.ADMIN, body=MappingChange, result=Mapping, errors=(404, 409))
async def change_mapping(call: Call, body: MappingChange) -> Mapping:
    """Change a mapping. What is left out stays as it is."""
    owner, mapping = await call.mapping(call.number("mapping_id"))
    values = body.model_dump(include=body.model_fields_set)
    if "removals" in values:
        values["removal_policy"] = values.pop("removals")
    if any(values.get(name, "") is None for name in ("mode", "removal_policy")):
        raise ValidationError("The mode and the removals can't be null. Leave them out to keep them.")
    for what in ("operators", "approvers"):
        if what in values:
            values[what] = await look_up_people(call.engine, owner.team_id, values[what] or [], what)
    wanted = cast(MappingEdit, values)
    await mapping_settings.edit(call.engine, mapping.id, by=call.actor, team_id=call.token.team_id, **wanted)
    return await _current(call)


@operations.add(
    "PUT",
    "/mappings/{mapping_id}/exclusions",
    Scope.ADMIN,
    body=ExclusionRequest,
    result=Mapping,
    errors=(404, 409),
)
async def set_exclusions(call: Call, body: ExclusionRequest) -> Mapping:
    """Choose who is kept off the list of a mapping.

    The change needs approval, with the next sync. Who is on the list leaves it then.
    """
    _, mapping = await call.mapping(call.number("mapping_id"))
    given = {
        ExclusionKind.ADDRESS: body.addresses,
        ExclusionKind.DOMAIN: body.domains,
        ExclusionKind.FILE: body.files,
        ExclusionKind.MAPPING: body.mappings,
    }
    await change_exclusions(
        call.engine,
        mapping.id,
        add=ExclusionInput(body.addresses or [], body.domains or [], body.files or [], body.mappings or []),
        clear=[kind for kind, values in given.items() if values is not None],
        by=call.actor,
        team_id=call.token.team_id,
        allowed=call.engine.settings.audience_places(call.token.team_id or ""),
    )
    return await _current(call)


@operations.add(
    "POST",
    "/mappings/{mapping_id}/list",
    Scope.ADMIN,
    body=ListChange,
    result=ListChanged,
    errors=(404, 409),
)
async def change_list_of_mapping(call: Call, body: ListChange) -> ListChanged:
    """Propose another list for a mapping.

    A new mapping with the same settings takes its place once it, or a sync of it, is approved: then it gets the source
    and the schedules, and the former one is archived. Until then the former one is synced as before.
    """
    owner, mapping = await call.mapping(call.number("mapping_id"))
    target = await check_list(call.engine, owner, body.list_id)
    successor, sync_id = await change_list(
        call.engine,
        mapping.id,
        target,
        empties=body.people is Members.REMOVE,
        by=call.actor,
        channel=mapping.channel,
        team_id=call.token.team_id,
    )
    return ListChanged(mapping=Mapping.of(successor), sync_id=sync_id)


@operations.add(
    "DELETE", "/mappings/{mapping_id}", Scope.ADMIN, query=DeletionQuery, result=MappingDeletion, errors=(404, 409)
)
async def delete_mapping(call: Call, query: DeletionQuery) -> MappingDeletion:
    """Delete a mapping.

    With `members=leave` it is deleted with its runs, and the people on its list stay there. With `members=remove` a
    sync, which needs approval, takes them off first; then the mapping is archived, and deleted after 30 days.
    """
    _, mapping = await call.mapping(call.number("mapping_id"))
    by, team_id = call.actor, call.token.team_id
    if query.members is Members.LEAVE:
        summary = await mapping_end.forget(call.engine, mapping.id, by=by, team_id=team_id)
        sync_id = None
    else:
        summary = await mapping_end.summarize(call.engine, mapping.id)
        sync_id = await request_emptying(call.engine, mapping.id, by=by, channel=mapping.channel, team_id=team_id)
    return MappingDeletion(
        is_deleted=sync_id is None, people=summary.members, schedules=list(summary.schedules), sync_id=sync_id
    )


@operations.add("POST", "/mappings/{mapping_id}/archive", Scope.ADMIN, result=Mapping, errors=(404, 409))
async def archive_mapping(call: Call) -> Mapping:
    """Archive a mapping. Nothing is synced; its list and the record of its people stay as they are."""
    _, mapping = await call.mapping(call.number("mapping_id"))
    await mapping_end.archive(call.engine, mapping.id, by=call.actor, team_id=call.token.team_id)
    return await _current(call)


@operations.add("POST", "/mappings/{mapping_id}/restore", Scope.ADMIN, result=Mapping, errors=(404, 409))
async def restore_mapping(call: Call) -> Mapping:
    """Restore an archived mapping. Its next sync needs approval."""
    _, mapping = await call.mapping(call.number("mapping_id"))
    await mapping_end.restore(call.engine, mapping.id, by=call.actor, team_id=call.token.team_id)
    return await _current(call)


@operations.add("POST", "/mappings/{mapping_id}/pause", Scope.ADMIN, result=Mapping, errors=(404, 409))
async def pause_mapping(call: Call) -> Mapping:
    """Pause a mapping. Nothing is sent for it until it is resumed."""
    _, mapping = await call.mapping(call.number("mapping_id"))
    if not await mapping_lifecycle.pause(call.engine, mapping.id, by=call.actor, team_id=call.token.team_id):
        raise ConflictError(f"Mapping {mapping.id} is {mapping.status}, so it can't be paused.", mapping_id=mapping.id)
    return await _current(call)


@operations.add("POST", "/mappings/{mapping_id}/resume", Scope.ADMIN, result=Mapping, errors=(404, 409))
async def resume_mapping(call: Call) -> Mapping:
    """Resume a paused mapping."""
    _, mapping = await call.mapping(call.number("mapping_id"))
    if not await mapping_lifecycle.resume(call.engine, mapping.id, by=call.actor, team_id=call.token.team_id):
        raise ConflictError(f"Mapping {mapping.id} is {mapping.status}, not paused.", mapping_id=mapping.id)
    return await _current(call)


async def _current(call: Call) -> Mapping:
    return Mapping.of((await call.mapping(call.number("mapping_id")))[1])
