"""Applies alert rules: to a run that has succeeded, to runs at work, and to mappings that are not synced any longer.

A mapping has at most one open alert about its last run. It is not overdue while a failure is open that explains it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from core import alerting
from core.engine import Engine
from core.models.run import Run
from core.notifications import rules
from core.notifications.rules import LAST_RUNS
from core.store import alert_rules, alerts, clock, freezes, leases, mappings, rejections, run_history, watched_mappings
from core.store.alert_kinds import AlertKind
from core.store.alert_rules import DEFAULT, Rule, RuleSetting, Settings
from core.store.alerts import Alert
from core.store.mappings import AudienceMapping
from core.store.rejections import EXCLUDED
from core.store.run_history import PastRun

#: The lease of the process that watches mappings.
LEASE = "alert rules"


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
    """Open the alerts of mappings that are overdue, and of runs at work that take too long; close the former.

    Of several processes, one does so: the one that holds a lease.
    """
    if not await _is_ours(engine):
        return
    async with engine.database.read() as db:
        watched = await watched_mappings.automatic(db)
        active = await watched_mappings.active_runs(db)
        overdue = await alerts.with_code(db, Rule.OVERDUE)
        changes = await _overdue_changes(db, watched, overdue)
    for alert in overdue:
        if alert.mapping_id not in watched:
            async with engine.database.write() as db:
                await alerting.resolve(db, alert.connection_id, alert.mapping_id, AlertKind.OVERDUE)
    for change in changes:
        await _carry_out(engine, change.mapping.id, is_automatic=watched[change.mapping.id])
    for run in active:
        await _watch_time(engine, run)


async def _is_ours(engine: Engine) -> bool:
    """Return whether this process holds the lease, which it takes if no living process has it."""
    me = engine.presence.id
    async with engine.database.read() as db:
        holder = await leases.holder(db, LEASE)
    if holder is None or (holder != me and await engine.presence.is_dead(holder)):
        async with engine.database.write(is_news=False) as db:
            return await leases.take(db, LEASE, me, instead_of=holder)
    return holder == me


@dataclass(frozen=True, slots=True)
class _OverdueChange:
    """A change of state: a mapping is overdue from now on (with a sentence), or no longer (None)."""

    mapping: AudienceMapping
    sentence: str | None


async def _overdue_changes(
    db: AsyncConnection, watched: Mapping[int, bool], overdue: Collection[Alert]
) -> list[_OverdueChange]:
    """Return what changes of these mappings (and whether each is synced without a person), given the open alerts."""
    if not watched:
        return []
    now = await clock.now(db)
    known_mappings = await mappings.by_ids(db, watched)
    known = {(alert.connection_id, alert.mapping_id) for alert in overdue}
    failures = await alerts.failures_of(db, {mapping.connection_id for mapping in known_mappings.values()})
    failing = {(alert.connection_id, alert.mapping_id) for alert in failures}
    settings = await alert_rules.with_rule(db, Rule.OVERDUE)
    ends = await run_history.last_ends(db, list(known_mappings), LAST_RUNS, before=now)
    frozen = await freezes.of_mappings(db, watched)
    changes = []
    for mapping in known_mappings.values():
        of_mapping, of_connection = (mapping.connection_id, mapping.id), (mapping.connection_id, None)
        is_known = of_mapping in known
        if not is_known and not failing.isdisjoint((of_mapping, of_connection)):
            continue
        setting = settings.get(of_mapping) or settings.get(of_connection) or DEFAULT
        past = ends.get(mapping.id, [])
        is_automatic = watched[mapping.id]
        limit = rules.overdue_after(past, setting, is_automatic=is_automatic) if setting.is_on else None
        since = past[0] if past else mapping.created_at
        is_overdue = limit is not None and now - since > limit and mapping.id not in frozen
        if is_overdue != is_known:
            sentence = _overdue_sentence(mapping, now - since, limit, setting) if is_overdue else None
            changes.append(_OverdueChange(mapping, sentence))
    return changes


def _overdue_sentence(mapping: AudienceMapping, age: float, limit: float | None, setting: RuleSetting) -> str:
    usual = "The limit is" if setting.threshold is not None else "By the last syncs, one was expected within"
    return f"No sync of {mapping.label} has succeeded for {rules.length(age)}. {usual} {rules.length(limit or 0.0)}."


async def _carry_out(engine: Engine, mapping_id: int, *, is_automatic: bool) -> None:
    """Open or close the alert of a mapping, if it still is to change."""
    async with engine.database.write() as db:
        overdue = await alerts.with_code(db, Rule.OVERDUE)
        for change in await _overdue_changes(db, {mapping_id: is_automatic}, overdue):
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
