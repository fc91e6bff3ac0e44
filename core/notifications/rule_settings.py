"""The use case of alert rules: set one for a connection or a mapping, or go back to the default. Audited."""

import math

from core.engine import Engine
from core.errors import ValidationError
from core.store import alert_rules, audit_log, mappings
from core.store.alert_rules import Rule, RuleSetting
from core.store.audit_log import AuditAction
from core.store.managed import check_by_hand

# The largest threshold, whatever its unit.
_MOST = 1_000_000


async def set_rules(
    engine: Engine,
    connection_id: int,
    mapping_id: int | None,
    chosen: dict[Rule, RuleSetting | None],
    *,
    by: str,
    team_id: str | None,
) -> list[Rule]:
    """Set rules of a mapping, or (None) of the connection. None instead of a setting: back to the default.

    Returns the rules that were changed. Raises ValidationError if a threshold is out of range.
    """
    for setting in chosen.values():
        if setting is not None and setting.threshold is not None:
            check_threshold(setting.threshold)
    async with engine.database.write() as db:
        if mapping_id is not None and (mapping := await mappings.by_id(db, mapping_id)) is not None:
            check_by_hand(mapping.label, mapping.managed, by)
        settings = await alert_rules.settings(db, connection_id, mapping_id)
        stored = settings.of_connection if mapping_id is None else settings.of_mapping
        changed = [rule for rule, setting in chosen.items() if stored.get(rule) != setting]
        for rule in changed:
            await alert_rules.put(db, connection_id, mapping_id, rule, chosen[rule], by)
        if changed:
            subject = f"connection:{connection_id}" if mapping_id is None else f"mapping:{mapping_id}"
            await audit_log.add(
                db,
                team_id=team_id,
                actor=by,
                action=AuditAction.ALERT_RULES_CHANGED,
                subject=subject,
                before={rule.value: _shown(stored.get(rule)) for rule in changed},
                after={rule.value: _shown(chosen[rule]) for rule in changed},
            )
    return changed


def check_threshold(threshold: float) -> float:
    """Return a threshold. Raises ValidationError if it is out of range."""
    if not math.isfinite(threshold) or not 0 < threshold <= _MOST:
        raise ValidationError(f"A limit is a number above 0, of at most {_MOST:,}.")
    return threshold


def _shown(setting: RuleSetting | None) -> str | float:
    if setting is None:
        return "default"
    return "off" if not setting.is_on else "on" if setting.threshold is None else setting.threshold
