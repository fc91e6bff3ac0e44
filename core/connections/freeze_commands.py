"""Freezing mappings: by hand until a time, or automatically before campaigns. Each change has one audit entry."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.errors import ConflictError, NotFoundError, ValidationError
from core.store import audit_log, clock, freezes, mappings
from core.store.audit_log import AuditAction
from core.store.freezes import Freeze, Scope
from core.store.managed import check_by_hand
from core.store.mappings import AudienceMapping, FreezeHolds

# The longest freeze by hand, in seconds.
LONGEST_S = 366 * 24 * 3600.0
#: The longest time before a campaign, in minutes.
MOST_MINUTES = 7 * 24 * 60


async def freeze(
    engine: Engine,
    scope: Scope,
    *,
    until: float,
    holds: FreezeHolds = FreezeHolds.BOTH,
    by: str,
    team_id: str | None,
) -> None:
    """Let changes of this kind wait until a time (UTC seconds). It replaces an earlier freeze of the same scope.

    Runs are planned and approved meanwhile, but send nothing that is held back; live changes gather. Raises
    NotFoundError if the mapping was removed, and ValidationError if the time is not in the next year.
    """
    async with engine.database.write() as db:
        await _check(db, scope)
        now = await clock.now(db)
        if not now < until <= now + LONGEST_S:
            raise ValidationError("A freeze ends at a time in the future, within a year.")
        await freezes.put(db, scope, holds, until, by)
        after = {"until": until, "holds": holds.value}
        await _record(db, AuditAction.FROZEN, scope, by, team_id, after)
    _look(engine)


async def unfreeze(engine: Engine, scope: Scope, *, by: str, team_id: str | None) -> Freeze | None:
    """End a freeze by hand. Returns the freeze that still holds the mapping back, if another one does.

    Raises NotFoundError if the mapping was removed, and ConflictError if nothing of this scope is frozen by hand.
    """
    async with engine.database.write() as db:
        await _check(db, scope)
        if not await freezes.end(db, scope):
            raise ConflictError(_why_not(scope, await _of(db, scope)), mapping_id=scope.mapping_id)
        await _record(db, AuditAction.UNFROZEN, scope, by, team_id, None)
        other = await _of(db, scope)
    _look(engine)
    return other


async def set_campaign_freeze(
    engine: Engine,
    mapping_id: int,
    minutes: int | None,
    *,
    holds: FreezeHolds = FreezeHolds.BOTH,
    by: str,
    team_id: str | None,
) -> None:
    """Freeze a mapping from so many minutes before each campaign to its list until that has been sent (None: don't).

    Raises NotFoundError if there is no such mapping, and ValidationError if the number is out of range.
    """
    if minutes is not None and not 0 <= minutes <= MOST_MINUTES:
        raise ValidationError(f"The minutes before a campaign must be 0 to {MOST_MINUTES:,} (7 days).")
    seconds = None if minutes is None else minutes * 60.0
    async with engine.database.write() as db:
        known = await _check(db, Scope(mapping_id))
        assert known is not None
        check_by_hand(known.label, known.managed, by)
        await mappings.change(db, mapping_id, freeze_before_s=seconds, freeze_holds=holds)
        await freezes.reconsider(db)
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.MAPPING_CHANGED,
            subject=f"mapping:{mapping_id}",
            before={"freeze_before_s": known.freeze_before_s, "freeze_holds": known.freeze_holds.value},
            after={"freeze_before_s": seconds, "freeze_holds": holds.value},
        )
    _look(engine)


async def _check(db: AsyncConnection, scope: Scope) -> AudienceMapping | None:
    if scope.mapping_id is None:
        return None
    mapping = await mappings.by_id(db, scope.mapping_id)
    if mapping is None:
        raise NotFoundError(f"There is no mapping {scope.mapping_id}. Check its id.", mapping_id=scope.mapping_id)
    return mapping


async def _of(db: AsyncConnection, scope: Scope) -> Freeze | None:
    return None if scope.mapping_id is None else await freezes.of_mapping(db, scope.mapping_id)


def _why_not(scope: Scope, other: Freeze | None) -> str:
    if other is not None and other.campaign is not None:
        return (
            f'It is frozen until the campaign "{other.campaign}" has been sent. To sync before that, turn the freeze '
            "before campaigns off."
        )
    if other is not None:
        return "All mappings are frozen. Unfreeze all of them."
    return "All mappings are not frozen together." if scope.mapping_id is None else "This mapping is not frozen."


async def _record(
    db: AsyncConnection,
    action: AuditAction,
    scope: Scope,
    by: str,
    team_id: str | None,
    after: Mapping[str, object] | None,
) -> None:
    subject = "mappings" if scope.mapping_id is None else f"mapping:{scope.mapping_id}"
    await audit_log.add(db, team_id=team_id, actor=by, action=action, subject=subject, after=after)


def _look(engine: Engine) -> None:
    engine.queued.set()
    engine.live_work.set()
