"""Alert rules: what is unusual enough for an alert. A mapping's rule overrides that of its connection, and that the
default.
"""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import delete, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import clock
from core.store.tables import alert_rules


class Rule(StrEnum):
    """What a rule watches. The codes of its alerts are the same words."""

    REJECTED_SHARE = "rejected_share"
    """The share of members that were rejected (threshold: percent)."""
    NEW_REASON = "new_reason"
    """Members are rejected for a reason that did not occur before (threshold: members)."""
    DEVIATION = "deviation"
    """A sync adds, removes or has far more or fewer people than the last ten (threshold: percent)."""
    RUN_TIME = "run_time"
    """A sync takes far longer than the last ten (threshold: minutes)."""
    OVERDUE = "overdue"
    """No sync has succeeded for longer than usual (threshold: hours)."""
    BACKLOG = "backlog"
    """Live changes wait for too long (threshold: minutes)."""
    DRIFT = "drift"
    """A list differs from what was synced (threshold: people)."""


@dataclass(frozen=True, slots=True)
class RuleSetting:
    """Whether a rule is on, and its threshold. None: by what is usual."""

    is_on: bool = True
    threshold: float | None = None


DEFAULT = RuleSetting()


@dataclass(frozen=True, slots=True)
class Settings:
    """The rules of a mapping, or of a connection: those that differ from the default, by what was set for each."""

    of_connection: dict[Rule, RuleSetting]
    of_mapping: dict[Rule, RuleSetting]

    def get(self, rule: Rule) -> RuleSetting:
        """Return the setting that holds."""
        return self.of_mapping.get(rule) or self.of_connection.get(rule) or DEFAULT


async def settings(db: AsyncConnection, connection_id: int, mapping_id: int | None) -> Settings:
    """Return the rules of a mapping, or (None) of the connection."""
    query = select(alert_rules).where(
        alert_rules.c.connection_id == connection_id,
        or_(alert_rules.c.mapping_id.is_(None), alert_rules.c.mapping_id == mapping_id),
    )
    by_level: dict[bool, dict[Rule, RuleSetting]] = {True: {}, False: {}}
    for row in await db.execute(query):
        by_level[row.mapping_id is None][Rule(row.rule)] = RuleSetting(row.is_on, row.threshold)
    return Settings(by_level[True], by_level[False])


async def with_rule(db: AsyncConnection, rule: Rule) -> dict[tuple[int, int | None], RuleSetting]:
    """Return the settings of a rule by connection and mapping (None: of the connection), as far as they were set."""
    rows = await db.execute(select(alert_rules).where(alert_rules.c.rule == rule.value))
    return {(row.connection_id, row.mapping_id): RuleSetting(row.is_on, row.threshold) for row in rows}


async def least_threshold(db: AsyncConnection, rule: Rule) -> float | None:
    """Return the least threshold that is set for a rule, of all connections and mappings; None if none is set."""
    query = select(func.min(alert_rules.c.threshold)).where(alert_rules.c.rule == rule.value, alert_rules.c.is_on)
    threshold: float | None = (await db.execute(query)).scalar_one()
    return threshold


async def put(
    db: AsyncConnection, connection_id: int, mapping_id: int | None, rule: Rule, setting: RuleSetting | None, by: str
) -> None:
    """Set a rule of a mapping, or (None) of the connection. `setting` None: back to the default."""
    of_mapping = alert_rules.c.mapping_id.is_(None) if mapping_id is None else alert_rules.c.mapping_id == mapping_id
    await db.execute(
        delete(alert_rules).where(
            alert_rules.c.connection_id == connection_id, of_mapping, alert_rules.c.rule == rule.value
        )
    )
    if setting is None:
        return
    await db.execute(
        insert(alert_rules).values(
            connection_id=connection_id,
            mapping_id=mapping_id,
            rule=rule.value,
            is_on=setting.is_on,
            threshold=setting.threshold,
            changed_by=by,
            changed_at=await clock.now(db),
        )
    )
