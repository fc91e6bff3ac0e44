"""Editing a mapping: its name, channel and people, the limits above which a run needs approval, who is on the list."""

from collections.abc import Mapping
from typing import TypedDict, Unpack, cast

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.errors import ConflictError, NotFoundError, ValidationError
from core.models.exclusions import exclusions_text, load
from core.models.people import check_people
from core.store import audit_log, mappings
from core.store.audit_log import AuditAction
from core.store.managed import check_by_hand
from core.store.mappings import AudienceMapping, MappingStatus, MappingUpdate, RemovalPolicy

NAME_MAX_LENGTH = 200
_DECISIVE = ("mode", "removal_policy")
MODES = ("auto", "mirror", "delta", "add")


class MappingEdit(TypedDict, total=False):
    """The settings to change. None: the name of the audience, messages to who started a run, the default limit.

    `max_added` is a number of people; `max_added_share` and `max_removed_share` are shares of those who were synced
    before (0.2: a fifth). `operators` and `approvers` are ids of people and user groups in Slack; if there are none,
    those of the connection count. `mode` and `removal_policy` decide who is on the list, so a change of them needs
    approval.
    """

    name: str | None
    channel: str | None
    max_added: int | None
    max_added_share: float | None
    max_removed_share: float | None
    mode: str
    removal_policy: RemovalPolicy
    operators: tuple[str, ...]
    approvers: tuple[str, ...]


async def edit(
    engine: Engine,
    mapping_id: int,
    *,
    by: str,
    team_id: str | None,
    approved: bool = False,
    **wanted: Unpack[MappingEdit],
) -> AudienceMapping:
    """Change settings of a mapping, and return the mapping. One audit entry has them, before and after.

    A change that decides who is on the list waits for the approval of the mapping, unless `by` may approve it
    (`approved`). Raises NotFoundError if there is no such mapping, ConflictError if it is archived (or, for such a
    change, paused or declined), and ValidationError if a setting is invalid.
    """
    _check(wanted)
    async with engine.database.write() as db:
        known = await mappings.by_id(db, mapping_id)
        if known is None:
            raise NotFoundError(f"There is no mapping {mapping_id}. Check its id.", mapping_id=mapping_id)
        if known.status is MappingStatus.ARCHIVED:
            raise ConflictError(f"{known.label} is archived. Restore it before you change it.", mapping_id=mapping_id)
        check_by_hand(known.label, known.managed, by)
        changed: dict[str, object] = {name: value for name, value in wanted.items() if getattr(known, name) != value}
        decisive = {str(name): str(changed.pop(name)) for name in _DECISIVE if name in changed}
        after = known
        if changed:
            await mappings.change(db, mapping_id, **cast(MappingUpdate, changed))
        if changed or decisive:
            after = await change_decisive(
                db, known, decisive, by=by, team_id=team_id, approved=approved, engine=engine, others=changed
            )
    return after


async def change_decisive(
    db: AsyncConnection,
    mapping: AudienceMapping,
    values: Mapping[str, str],
    *,
    by: str,
    team_id: str | None,
    approved: bool,
    engine: Engine,
    others: Mapping[str, object] | None = None,
) -> AudienceMapping:
    """Change settings that decide who is on the list (as stored), write the audit entry, and return the mapping.

    `others` are settings that the caller has changed: they are in the same entry. Raises ConflictError if the mapping
    is paused, archived or was declined.
    """
    stored = mappings.stored_decisive(mapping)
    changed = {name: value for name, value in values.items() if stored[name] != value}
    if changed:
        if mapping.status in (MappingStatus.PAUSED, MappingStatus.DECLINED, MappingStatus.ARCHIVED):
            raise ConflictError(
                f"{mapping.label} is {mapping.status}. Resume, restore or propose it first, and change it then.",
                mapping_id=mapping.id,
            )
        await mappings.set_decisive(db, mapping, changed, by=by, approved=approved)
    if changed or others:
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.MAPPING_CHANGED,
            subject=f"mapping:{mapping.id}",
            before=_for_audit({name: stored[name] for name in changed})
            | {name: getattr(mapping, name) for name in others or {}},
            after=_for_audit(changed) | dict(others or {}),
        )
    after = await mappings.by_id(db, mapping.id)
    assert after is not None
    engine.live_work.set()
    return after


def _for_audit(values: Mapping[str, str]) -> dict[str, object]:
    """Return settings in words: the audit log has no digest of an address."""
    return {name: exclusions_text(load(value)) if name == "exclusions" else value for name, value in values.items()}


def _check(wanted: MappingEdit) -> None:
    """Trim the name. Raises ValidationError if a setting is invalid."""
    if (name := wanted.get("name")) is not None:
        wanted["name"] = name.strip()
        if not wanted["name"] or len(wanted["name"]) > NAME_MAX_LENGTH or not wanted["name"].isprintable():
            raise ValidationError(f"A mapping's name has 1 to {NAME_MAX_LENGTH} printable characters.")
    if "operators" in wanted:
        wanted["operators"] = check_people(wanted["operators"], "operators")
    if "approvers" in wanted:
        wanted["approvers"] = check_people(wanted["approvers"], "approvers")
    if wanted.get("mode", "auto") not in MODES:
        raise ValidationError(f"A mode is one of {', '.join(MODES)}.")
    if (wanted.get("max_added") or 0) < 0 or (wanted.get("max_added_share") or 0.0) < 0.0:
        raise ValidationError("A limit of additions is 0 or more.")
    if not 0.0 <= (wanted.get("max_removed_share") or 0.0) <= 1.0:
        raise ValidationError("The limit of removals is 0 to 100 percent of the people who were synced before.")
