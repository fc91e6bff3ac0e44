"""Applies alert rules: to a run that has succeeded, to runs at work, and to mappings that are not synced any longer.

A mapping has at most one open alert about its last run. It is not overdue while a failure is open that explains it.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from core import alerting
from core.engine import Engine
from core.models.run import Run
from core.notifications import rules
from core.notifications.rules import LAST_RUNS
from core.store import alert_rules, alerts, clock, freezes, mappings, rejections, run_history, watched_mappings
from core.store.alert_kinds import AlertKind
from core.store.alert_rules import Rule, Settings
from core.store.alerts import Alert
from core.store.mappings import AudienceMapping
from core.store.rejections import EXCLUDED
from core.store.run_history import PastRun


@dataclass(frozen=True, slots=True)
class _Broken:
    """A rule that is broken, and how."""

    rule: Rule
    sentence: str


async def check_run(db: AsyncConnection, run: Run) -> None:
    """Open or close the alert of a run's mapping by its rules. The run has just succeeded.

    Repairs and undos are left out, because a person has asked for what is unusual in them.
    """
    if run.undo_of is not None or run.request.repairs is not None:
        return
    await alerting.resolve(db, run.connection_id, run.mapping_id, AlertKind.OVERDUE)
    known = await alerts.open_of(db, run.connection_id, run.mapping_id, AlertKind.RUN_RULE)
    settings = await alert_rules.settings(db, run.connection_id, run.mapping_id)
    broken = await _broken(db, run, known, settings)
    if broken:
        await _open(db, run.connection_id, run.mapping_id, broken, f"Run {run.id}:")
    elif known is not None:
        await alerting.resolve(db, run.connection_id, run.mapping_id, AlertKind.RUN_RULE)


async def _broken(db: AsyncConnection, run: Run, known: Alert | None, settings: Settings) -> list[_Broken]:
    now = await clock.now(db)
    history = await run_history.last(db, run.mapping_id, run.mode, LAST_RUNS, before=now, but=run.id)
    current = _as_past(run, now)
    sentences = {
        Rule.REJECTED_SHARE: rules.rejected_share(current, history, settings.get(Rule.REJECTED_SHARE)),
        Rule.NEW_REASON: await _new_reason(db, run, known, settings) if run.counters.rejected else None,
        Rule.DEVIATION: rules.deviation(current, history, settings.get(Rule.DEVIATION)),
        Rule.RUN_TIME: rules.run_time(current.duration_s, history, settings.get(Rule.RUN_TIME)),
    }
    return [_Broken(rule, text) for rule, text in sentences.items() if text and settings.get(rule).is_on]


async def _new_reason(db: AsyncConnection, run: Run, known: Alert | None, settings: Settings) -> str | None:
    """Compare with the runs before the alert: the reason stays new until it does not occur any longer."""
    is_known = known is not None and known.code == Rule.NEW_REASON
    before = known.opened_at if known is not None and is_known else await clock.now(db)
    past = await run_history.last(db, run.mapping_id, None, LAST_RUNS, before=before, but=run.id)
    kept = [each.id for each in past if not each.is_purged or not each.rejected]
    reasons = await run_history.reasons(db, kept)
    counts = await rejections.by_reason(db, run.id)
    counts.pop(EXCLUDED, None)  # a person has approved the exclusions
    return rules.new_reason(counts, reasons, len(kept), settings.get(Rule.NEW_REASON))


def _as_past(run: Run, now: float) -> PastRun:
    counters = run.counters
    return PastRun(
        id=run.id,
        finished_at=now,
        duration_s=now - (run.started_at or now) - run.approval_wait_s,
        size=counters.members + counters.left,
        added=counters.added,
        removed=counters.removed,
        rejected=counters.rejected - (run.plan.excluded if run.plan is not None else 0),
        is_purged=False,
    )


async def watch_mappings(engine: Engine) -> None:
    """Open the alerts of mappings that are overdue, and of runs at work that take too long; close the former."""
    async with engine.database.read() as db:
        watched = await watched_mappings.automatic(db)
        active = await watched_mappings.active_runs(db)
        overdue = await alerts.with_code(db, Rule.OVERDUE)
    for alert in overdue:
        if alert.mapping_id not in watched:
            async with engine.database.write() as db:
                await alerting.resolve(db, alert.connection_id, alert.mapping_id, AlertKind.OVERDUE)
    for mapping_id, is_automatic in watched.items():
        async with engine.database.read() as db:
            needs_change = await _overdue_change(db, mapping_id, is_automatic=is_automatic) is not None
        if needs_change:
            async with engine.database.write() as db:
                await _watch_overdue(db, mapping_id, is_automatic=is_automatic)
    for run in active:
        await _watch_time(engine, run)


@dataclass(frozen=True, slots=True)
class _OverdueChange:
    """A change of state: a mapping is overdue from now on (with a sentence), or no longer (None)."""

    mapping: AudienceMapping
    sentence: str | None


async def _overdue_change(db: AsyncConnection, mapping_id: int, *, is_automatic: bool) -> _OverdueChange | None:
    """Return the change of a mapping, or None if there is none."""
    mapping = await mappings.by_id(db, mapping_id)
    if mapping is None:
        return None
    known = await alerts.open_of(db, mapping.connection_id, mapping_id, AlertKind.OVERDUE)
    if known is None and await alerts.is_failing(db, mapping.connection_id, mapping_id):
        return None
    setting = (await alert_rules.settings(db, mapping.connection_id, mapping_id)).get(Rule.OVERDUE)
    now = await clock.now(db)
    past = [each.finished_at for each in await run_history.last(db, mapping_id, None, LAST_RUNS, before=now)]
    limit = rules.overdue_after(past, setting, is_automatic=is_automatic) if setting.is_on else None
    since = past[0] if past else mapping.created_at
    is_frozen = await freezes.of_mapping(db, mapping_id) is not None
    is_overdue = limit is not None and now - since > limit and not is_frozen
    if is_overdue == (known is not None):
        return None
    if not is_overdue or limit is None:
        return _OverdueChange(mapping, None)
    usual = "The limit is" if setting.threshold is not None else "By the last syncs, one was expected within"
    return _OverdueChange(
        mapping,
        f"No sync of {mapping.label} has succeeded for {rules.length(now - since)}. {usual} {rules.length(limit)}.",
    )


async def _watch_overdue(db: AsyncConnection, mapping_id: int, *, is_automatic: bool) -> None:
    change = await _overdue_change(db, mapping_id, is_automatic=is_automatic)
    if change is None:
        return
    connection_id = change.mapping.connection_id
    if change.sentence is None:
        await alerting.resolve(db, connection_id, mapping_id, AlertKind.OVERDUE)
    else:
        await _open(db, connection_id, mapping_id, [_Broken(Rule.OVERDUE, change.sentence)])


async def _watch_time(engine: Engine, run: Run) -> None:
    async with engine.database.read() as db:
        setting = (await alert_rules.settings(db, run.connection_id, run.mapping_id)).get(Rule.RUN_TIME)
        now = await clock.now(db)
        history = await run_history.last(db, run.mapping_id, run.mode, LAST_RUNS, before=now)
        known = await alerts.open_of(db, run.connection_id, run.mapping_id, AlertKind.RUN_RULE)
    took = now - (run.started_at or now) - run.approval_wait_s
    sentence = rules.run_time(took, history, setting) if setting.is_on and known is None else None
    if sentence is not None:
        async with engine.database.write() as db:
            await _open(db, run.connection_id, run.mapping_id, [_Broken(Rule.RUN_TIME, sentence)], f"Run {run.id}:")


async def _open(
    db: AsyncConnection, connection_id: int, mapping_id: int, broken: list[_Broken], start: str = ""
) -> None:
    message = " ".join([*([start] if start else []), *(each.sentence for each in broken)])
    await alerting.open_or_repeat(
        db,
        connection_id=connection_id,
        mapping_id=mapping_id,
        run_id=None,
        code=broken[0].rule.value,
        message=message,
    )
