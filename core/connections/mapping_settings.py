"""Editing a mapping: its name, its channel, and the limits beyond which a run needs approval."""

from typing import TypedDict, Unpack

from core.engine import Engine
from core.errors import ConflictError, NotFoundError, ValidationError
from core.store import audit_log, mappings
from core.store.audit_log import AuditAction
from core.store.mappings import AudienceMapping, MappingStatus

NAME_MAX_LENGTH = 200


class MappingEdit(TypedDict, total=False):
    """The settings to change. None: the name of the audience, messages to who started a run, the default limit.

    `max_added` is a number of people; `max_added_share` and `max_removed_share` are shares of those who were synced
    before (0.2: a fifth).
    """

    name: str | None
    channel: str | None
    max_added: int | None
    max_added_share: float | None
    max_removed_share: float | None


async def edit(
    engine: Engine, mapping_id: int, *, by: str, team_id: str | None, **wanted: Unpack[MappingEdit]
) -> AudienceMapping:
    """Change settings of a mapping that don't affect who is on the list, and return the mapping.

    One audit entry has the settings that changed, before and after. Raises NotFoundError if there is no such mapping,
    ConflictError if it is archived, and ValidationError if a setting is invalid.
    """
    _check(wanted)
    async with engine.database.write() as db:
        known = await mappings.by_id(db, mapping_id)
        if known is None:
            raise NotFoundError(f"There is no mapping {mapping_id}. Check its id.", mapping_id=mapping_id)
        if known.status is MappingStatus.ARCHIVED:
            raise ConflictError(f"{known.label} is archived. Restore it before you change it.", mapping_id=mapping_id)
        changed = {name: value for name, value in wanted.items() if getattr(known, name) != value}
        if not changed:
            return known
        await mappings.change(db, mapping_id, **wanted)
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.MAPPING_CHANGED,
            subject=f"mapping:{mapping_id}",
            before={name: getattr(known, name) for name in changed},
            after=changed,
        )
        after = await mappings.by_id(db, mapping_id)
    assert after is not None
    return after


def _check(wanted: MappingEdit) -> None:
    """Trim the name. Raises ValidationError if a setting is invalid."""
    if (name := wanted.get("name")) is not None:
        wanted["name"] = name.strip()
        if not wanted["name"] or len(wanted["name"]) > NAME_MAX_LENGTH or not wanted["name"].isprintable():
            raise ValidationError(f"A mapping's name has 1 to {NAME_MAX_LENGTH} printable characters.")
    if (wanted.get("max_added") or 0) < 0 or (wanted.get("max_added_share") or 0.0) < 0.0:
        raise ValidationError("A limit of additions is 0 or more.")
    if not 0.0 <= (wanted.get("max_removed_share") or 0.0) <= 1.0:
        raise ValidationError("The limit of removals is 0 to 100 percent of the people who were synced before.")
