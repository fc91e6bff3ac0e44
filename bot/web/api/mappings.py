"""Operations on mappings."""

from bot.web.api.cursors import Cursor
from bot.web.api.operations import Call, Operations
from bot.web.api.schemas import Mapping, MappingPage, PageQuery
from core.connections import mapping_lifecycle
from core.errors import ConflictError
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
