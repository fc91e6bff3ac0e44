"""Mappings as people make them: proposed by one, approved by one who may, paused and resumed. All of it is audited."""

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.errors import InputError
from core.iterable import IterableList
from core.store import audit_log, connections, lists, mappings
from core.store.audit_log import AuditAction
from core.store.connections import Connection
from core.store.mappings import AudienceMapping, MappingStatus, RemovalPolicy

AUDIENCE_MAX_LENGTH = 200


async def propose(
    engine: Engine,
    connection: Connection,
    target: IterableList,
    *,
    audience: str | None,
    mode: str,
    removals: RemovalPolicy,
    channel: str | None,
    by: str,
    team_id: str | None,
) -> AudienceMapping:
    """Save a proposed mapping of an audience (its name, or its id; None: as its first file says) to a list.

    Raises InputError where there is one already, or where the audience's name can't be one. One that was declined is
    proposed anew.
    """
    name = None if audience is None else check_audience(audience)
    is_id = name is not None and name.isdecimal()
    async with engine.database.write() as db:
        if await lists.get(db, connection.id, target.id) is None:
            await lists.add(db, connection.id, target.id, target.name, target.created_at)
        mapping_id = await _declined_before(db, connection, target, name)
        if mapping_id is None:
            mapping_id = await mappings.add(
                db,
                connection_id=connection.id,
                list_id=target.id,
                audience_id=name if is_id else None,
                audience_name=None if is_id else name,
                mode=mode,
                status=MappingStatus.PROPOSED,
                removal_policy=removals,
                channel=channel,
                proposed_by=by,
            )
        else:
            await mappings.change(
                db,
                mapping_id,
                mode=mode,
                status=MappingStatus.PROPOSED,
                removal_policy=removals,
                channel=channel,
                proposed_by=by,
                decided_by=None,
                decided_at=None,
                comment=None,
            )
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.MAPPING_PROPOSED,
            subject=f"mapping:{mapping_id}",
            after={"audience": name, "list": target.id, "mode": mode, "removals": removals.value},
        )
        made = await mappings.by_id(db, mapping_id)
    assert made is not None
    return made


def check_audience(text: str) -> str:
    """Return an audience's name or id as it is stored. Raises InputError where it can't be one."""
    name = text.strip()
    if not name or len(name) > AUDIENCE_MAX_LENGTH or not name.isprintable():
        raise InputError(f"An audience's name has 1 to {AUDIENCE_MAX_LENGTH} printable characters.")
    return name


async def _declined_before(
    db: AsyncConnection, connection: Connection, target: IterableList, name: str | None
) -> int | None:
    """The mapping of this audience to this list that was declined. Raises InputError where there is a living one."""
    for known in await mappings.of_connection(db, connection.id, target.id):
        if _is_of(known, name):
            if known.status is not MappingStatus.DECLINED:
                raise InputError(f'{known.label} goes to "{target.name}" already: that mapping is {known.status}.')
            return known.id
    return None


def _is_of(known: AudienceMapping, name: str | None) -> bool:
    names = [each.casefold() for each in (known.audience_id, known.audience_name) if each]
    return name.casefold() in names if name is not None else not names


async def pause(engine: Engine, mapping_id: int, *, by: str, team_id: str | None) -> bool:
    """Let nothing of a mapping be synced until somebody resumes it. Returns False where it was not active."""
    return await _move(
        engine, mapping_id, MappingStatus.ACTIVE, MappingStatus.PAUSED, AuditAction.MAPPING_PAUSED, by, team_id
    )


async def resume(engine: Engine, mapping_id: int, *, by: str, team_id: str | None) -> bool:
    """Let a paused mapping be synced again. Returns False where it was not paused."""
    return await _move(
        engine, mapping_id, MappingStatus.PAUSED, MappingStatus.ACTIVE, AuditAction.MAPPING_RESUMED, by, team_id
    )


async def decide_proposal(
    engine: Engine, mapping_id: int, state: MappingStatus, *, by: str, comment: str | None, team_id: str | None
) -> bool:
    """Approve (ACTIVE) or decline (DECLINED) a proposed mapping of which no run waits. Returns False where somebody
    has decided already."""
    action = AuditAction.MAPPING_APPROVED if state is MappingStatus.ACTIVE else AuditAction.MAPPING_DECLINED
    async with engine.database.write() as db:
        if not await mappings.decide(db, mapping_id, state, by=by, comment=comment):
            return False
        subject = f"mapping:{mapping_id}"
        await audit_log.add(db, team_id=team_id, actor=by, action=action, subject=subject, after={"comment": comment})
    return True


async def find(
    engine: Engine, team_id: str, text: str, *, with_shared: bool
) -> list[tuple[Connection, AudienceMapping]]:
    """Return the mappings of a workspace whose audience, list id or own id is this text; else those that contain it.

    An empty text finds all of them.
    """
    wanted = text.strip().casefold()
    found: list[tuple[Connection, AudienceMapping]] = []
    async with engine.database.read() as db:
        for connection in await connections.of_team(db, team_id, with_shared=with_shared):
            found += [(connection, mapping) for mapping in await mappings.of_connection(db, connection.id)]
    exact = [pair for pair in found if wanted in _names(pair[1])]
    return exact or [pair for pair in found if any(wanted in name for name in _names(pair[1]))]


def _names(mapping: AudienceMapping) -> list[str]:
    names = (mapping.label, mapping.audience_name, mapping.audience_id, str(mapping.list_id), str(mapping.id))
    return [name.casefold() for name in names if name]


async def _move(
    engine: Engine,
    mapping_id: int,
    before: MappingStatus,
    after: MappingStatus,
    action: AuditAction,
    by: str,
    team_id: str | None,
) -> bool:
    async with engine.database.write() as db:
        known = await mappings.by_id(db, mapping_id)
        if known is None or known.status is not before:
            return False
        await mappings.change(db, mapping_id, status=after)
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=action,
            subject=f"mapping:{mapping_id}",
            before={"state": before.value},
            after={"state": after.value},
        )
    return True
