"""Another list for a mapping: a new mapping of the audience takes its place once it is approved.

Until then the former mapping is synced as before, and if the new one is declined, nothing has changed. The approval
moves the source and the schedules to the new mapping and archives the former one, whose record of people stays with its
list: no later sync takes them off.
"""

from core.connections.mapping_lifecycle import NewList, propose_in
from core.connections.succession import take_place
from core.engine import Engine
from core.errors import ConflictError, NotFoundError
from core.iterable import IterableList
from core.store import connections, mappings
from core.store.managed import check_by_hand
from core.store.mappings import AdditionLimits, AudienceMapping, MappingStatus


async def propose_list(
    engine: Engine,
    mapping_id: int,
    target: IterableList | NewList,
    *,
    by: str,
    team_id: str | None,
    approved: bool = False,
) -> AudienceMapping:
    """Propose that the audience of a mapping goes to another list, and return the new mapping.

    It has the settings of the former one. `approved`: `by` needs no approval, so it takes the place at once. Raises
    NotFoundError if there is no such mapping, and ConflictError if it is fed live, archived or declined, or if the
    audience goes to that list already.
    """
    async with engine.database.write() as db:
        former = await mappings.by_id(db, mapping_id)
        if former is None:
            raise NotFoundError(f"There is no mapping {mapping_id}. Check its id.", mapping_id=mapping_id)
        check_by_hand(former.label, former.managed, by)
        _check(former, target)
        connection = await connections.by_id(db, former.connection_id)
        assert connection is not None  # a mapping is deleted with its connection
        successor = await propose_in(
            db,
            connection,
            target,
            former.audience_id or former.audience_name,
            audience_name=former.audience_name,
            mode=former.mode,
            status=MappingStatus.ACTIVE if approved else MappingStatus.PROPOSED,
            removal_policy=former.removal_policy,
            channel=former.channel,
            by=by,
            team_id=team_id,
            limits=AdditionLimits(former.max_added, former.max_added_share),
            fields=former.fields,
            replaces=former,
        )
        await mappings.copy_settings(db, former, successor.id)
        if approved:
            await take_place(db, successor.id, by=by, team_id=team_id)
        changed = await mappings.by_id(db, successor.id)
    assert changed is not None
    engine.due.set()
    return changed


def _check(former: AudienceMapping, target: IterableList | NewList) -> None:
    if former.is_live:
        raise ConflictError(
            f"mParticle feeds {former.label} live. Connect the audience there once more, and choose the other list.",
            mapping_id=former.id,
        )
    if former.status in (MappingStatus.ARCHIVED, MappingStatus.DECLINED):
        raise ConflictError(
            f"{former.label} is {former.status}. Restore or propose it first, and change its list then.",
            mapping_id=former.id,
        )
    if isinstance(target, IterableList) and target.id == former.list_id:
        raise ConflictError(f'{former.label} goes to "{target.name}" already.', mapping_id=former.id)
