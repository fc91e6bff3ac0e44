"""The life of a mapping: proposed, approved or declined, paused, resumed. Each step is audited."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from core.connections.lists import note_list
from core.connections.succession import settle
from core.engine import Engine
from core.errors import ConflictError, ValidationError
from core.iterable import IterableList
from core.models.data_fields import DataFields
from core.store import audit_log, inbox, lists, mappings
from core.store.audit_log import CONFIGURATION, AuditAction
from core.store.connections import Connection
from core.store.mappings import (
    NO_LIMITS,
    NO_LIST,
    AdditionLimits,
    AudienceMapping,
    MappingStatus,
    RemovalPolicy,
    is_new_list,
    new_list_id,
)

AUDIENCE_MAX_LENGTH = 200


@dataclass(frozen=True, slots=True)
class NewList:
    """A list that is created in Iterable once its mapping is approved."""

    name: str


async def propose(
    engine: Engine,
    connection: Connection,
    target: IterableList | NewList,
    *,
    audience: str | None,
    mode: str,
    removals: RemovalPolicy = RemovalPolicy.REMOVE,
    channel: str | None = None,
    by: str,
    team_id: str | None,
    status: MappingStatus = MappingStatus.PROPOSED,
    limits: AdditionLimits = NO_LIMITS,
    audience_name: str | None = None,
    fields: DataFields | None = None,
) -> AudienceMapping:
    """Save a mapping of an audience (its name or id; None: the audience in its first file) to a list, and return it.

    `audience_name` is the name if `audience` is an id and mParticle was asked for it. `fields` are its data fields,
    from `check_fields`. `status` is PROPOSED if an approver has to decide, ACTIVE if `by` needs no approval (the
    command line). A mapping that was declined is proposed again. Raises ValidationError if the audience's name is
    invalid, and ConflictError if the mapping exists already or the list's id belonged to another list.
    """
    name = None if audience is None else check_audience(audience)
    async with engine.database.write() as db:
        return await propose_in(
            db,
            connection,
            target,
            name,
            mode=mode,
            status=status,
            removal_policy=removals,
            channel=channel,
            by=by,
            team_id=team_id,
            limits=limits,
            fields=fields,
            audience_name=audience_name,
        )


async def propose_in(
    db: AsyncConnection,
    connection: Connection,
    target: IterableList | NewList,
    audience: str | None,
    *,
    mode: str,
    status: MappingStatus,
    removal_policy: RemovalPolicy,
    channel: str | None,
    by: str,
    team_id: str | None,
    limits: AdditionLimits = NO_LIMITS,
    fields: DataFields | None = None,
    audience_name: str | None = None,
    replaces: AudienceMapping | None = None,
) -> AudienceMapping:
    """Save a mapping as `propose` does, in the caller's transaction. `replaces`: the mapping whose place it takes."""
    if isinstance(target, IterableList):
        await note_list(db, connection.id, target)
    declined = await _declined_before(db, connection, target, audience, audience_name)
    return await add(
        db,
        connection,
        target,
        audience,
        mode=mode,
        status=status,
        removal_policy=removal_policy,
        channel=channel,
        by=by,
        team_id=team_id,
        limits=limits,
        fields=fields,
        in_place_of=declined,
        audience_name=audience_name,
        replaces=replaces,
    )


async def add(
    db: AsyncConnection,
    connection: Connection,
    target: IterableList | NewList,
    audience: str | None,
    *,
    mode: str,
    status: MappingStatus,
    removal_policy: RemovalPolicy = RemovalPolicy.REMOVE,
    channel: str | None = None,
    by: str,
    team_id: str | None,
    limits: AdditionLimits = NO_LIMITS,
    fields: DataFields | None = None,
    in_place_of: int | None = None,
    audience_name: str | None = None,
    replaces: AudienceMapping | None = None,
) -> AudienceMapping:
    """Store a mapping (or change the declined mapping `in_place_of`) in the caller's transaction, and return it.

    An audience that is a number is an id, with the name `audience_name` if that is known; any other text is a name.
    """
    is_id = audience is not None and audience.isdecimal()
    mapping_id = in_place_of
    if mapping_id is None:
        mapping_id = await mappings.add(
            db,
            connection_id=connection.id,
            list_id=target.id if isinstance(target, IterableList) else NO_LIST,
            audience_id=audience if is_id else None,
            audience_name=audience_name if is_id else audience,
            mode=mode,
            status=status,
            removal_policy=removal_policy,
            channel=channel,
            proposed_by=by,
            limits=limits,
            fields=fields,
        )
        if isinstance(target, NewList):
            list_id = new_list_id(mapping_id)
            await lists.add(db, connection.id, list_id, target.name, None)
            await mappings.change(db, mapping_id, list_id=list_id)
    else:
        await mappings.change(
            db,
            mapping_id,
            mode=mode,
            status=status,
            removal_policy=removal_policy,
            channel=channel,
            proposed_by=by,
            decided_by=None,
            decided_at=None,
            comment=None,
            max_added=limits.number,
            max_added_share=limits.share,
        )
        await mappings.replace_fields(db, mapping_id, fields or {})
    await audit_log.add(
        db,
        team_id=team_id,
        actor=by,
        action=AuditAction.MAPPING_PROPOSED,
        subject=f"mapping:{mapping_id}",
        after={
            "audience": audience_name or audience,
            "list": target.id if isinstance(target, IterableList) else target.name,
            "mode": mode,
            "removals": removal_policy.value,
            "state": status.value,
            **({"fields": dict(fields)} if fields else {}),
            **({"replaces": replaces.id} if replaces is not None else {}),
        },
    )
    mapping = await mappings.by_id(db, mapping_id)
    assert mapping is not None
    return mapping


def check_audience(text: str) -> str:
    """Return an audience's name or id, trimmed. Raises ValidationError if it is invalid."""
    name = text.strip()
    if not name or len(name) > AUDIENCE_MAX_LENGTH or not name.isprintable():
        raise ValidationError(f"An audience's name has 1 to {AUDIENCE_MAX_LENGTH} printable characters.")
    return name


async def _declined_before(
    db: AsyncConnection, connection: Connection, target: IterableList | NewList, name: str | None, also: str | None
) -> int | None:
    """Return the declined mapping of this audience to this list, if any. Raises ConflictError if one is in use.

    `also` is the audience's name if `name` is its id: a mapping that has only the name is of the same audience.
    """
    names = {} if isinstance(target, IterableList) else await lists.names(db, [connection.id])
    for mapping in await mappings.of_connection(db, connection.id):
        if isinstance(target, IterableList):
            is_same_list = mapping.list_id == target.id
        else:
            is_same_list = is_new_list(mapping.list_id) and names.get((connection.id, mapping.list_id)) == target.name
        is_same = mapping.is_of(name) if name is not None else not (mapping.audience_id or mapping.audience_name)
        is_same |= also is not None and mapping.audience_id is None and mapping.is_of(also)
        if is_same_list and is_same and mapping.status is not MappingStatus.DECLINED:
            raise ConflictError(
                f'{mapping.label} goes to "{target.name}" already: that mapping is {mapping.status}.',
                mapping_id=mapping.id,
            )
        if is_same_list and is_same:
            return mapping.id
    return None


async def pause(engine: Engine, mapping_id: int, *, by: str, team_id: str | None) -> bool:
    """Pause a mapping until it is resumed. Returns False if it was not active."""
    return await _move(
        engine, mapping_id, MappingStatus.ACTIVE, MappingStatus.PAUSED, AuditAction.MAPPING_PAUSED, by, team_id
    )


async def pause_proposed(engine: Engine, mapping_id: int, *, team_id: str | None) -> bool:
    """Pause a mapping of a configuration file that waits for approval. It waits again once it is resumed.

    Returns False if it does not wait.
    """
    async with engine.database.write() as db:
        known = await mappings.by_id(db, mapping_id)
        if known is None or known.status is not MappingStatus.PROPOSED:
            return False
        await mappings.change(db, mapping_id, proposed_by=CONFIGURATION, decided_by=None)
        await _move_in(db, known, MappingStatus.PAUSED, AuditAction.MAPPING_PAUSED, CONFIGURATION, team_id)
    return True


async def resume(engine: Engine, mapping_id: int, *, by: str, team_id: str | None) -> bool:
    """Resume a paused mapping; one that waited for approval waits again. Returns False if it was not paused."""
    return await _move(
        engine, mapping_id, MappingStatus.PAUSED, MappingStatus.ACTIVE, AuditAction.MAPPING_RESUMED, by, team_id
    )


async def decide_proposal(
    engine: Engine, mapping_id: int, state: MappingStatus, *, by: str, comment: str | None, team_id: str | None
) -> bool:
    """Approve (ACTIVE) or decline (DECLINED) a proposed mapping that has no waiting run.

    Declining a live mapping drops its pending changes in the same transaction, so that a process that dies leaves none.
    Returns False if the mapping was decided already.
    """
    action = AuditAction.MAPPING_APPROVED if state is MappingStatus.ACTIVE else AuditAction.MAPPING_DECLINED
    async with engine.database.write() as db:
        decided = await mappings.decide(db, mapping_id, state, by=by, comment=comment)
        if decided is None:
            return False
        after: dict[str, object] = {"comment": comment}
        if decided is MappingStatus.DECLINED and (dropped := await inbox.drop_waiting(db, mapping_id)):
            after["dropped"] = dropped
        await audit_log.add(db, team_id=team_id, actor=by, action=action, subject=f"mapping:{mapping_id}", after=after)
        await settle(db, mapping_id, decided, by=by, team_id=team_id)
    engine.due.set()
    return True


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
        never_decided = known.proposed_by == CONFIGURATION and known.decided_by is None  # see `pause_proposed`
        if after is MappingStatus.ACTIVE and (never_decided or known.waits_for_change):
            after = MappingStatus.PROPOSED
        await _move_in(db, known, after, action, by, team_id)
    engine.live_work.set()
    return True


async def _move_in(
    db: AsyncConnection,
    known: AudienceMapping,
    after: MappingStatus,
    action: AuditAction,
    by: str,
    team_id: str | None,
) -> None:
    await mappings.change(db, known.id, status=after)
    await audit_log.add(
        db,
        team_id=team_id,
        actor=by,
        action=action,
        subject=f"mapping:{known.id}",
        before={"state": known.status.value},
        after={"state": after.value},
    )
