"""Rounds: the changes of several live mappings are planned together, with one read and one write before they are sent.

A statement and a commit cost more than the planning of a few changes, so mappings share them. What is unusual about a
mapping is left to the general path (core/live/micro_batch.py): more than SMALL_MEMBERS changes, data fields whose types
this process has not read yet, excluded files, another run that comes first, a request without an answer, or a change of
a profile's address.

The planning reads the ledger before the list is locked. The write, which locks it, notices whether a run has changed
the ledger in between. From that write on the batches count as sent, so a crash leaves what a crash of the general path
leaves: a run that is resumed, and batches that are sent again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from core import telemetry
from core.connections import data_fields
from core.connections.exclusions import exclusion_settings
from core.connections.forgotten import FRESH_S
from core.connections.lists import is_just_created
from core.engine import Engine
from core.iterable import FailureReason
from core.live.micro_batch import REQUEST, can_deliver, deliverable, delivery_filter
from core.models.batch import Phase
from core.models.exclusions import ExclusionKind
from core.models.run import Run, RunCounters, RunPhase, RunStatus, SyncMode, digest_of
from core.planning.ledger_lookup import LedgerLookup, look_up
from core.planning.live_planner import LiveFields, LivePlan, LivePlanning
from core.planning.small_exclusions import find_excluded
from core.planning.small_workspace import SMALL_MEMBERS
from core.store import last_known_emails, ledger, live_attributes, live_rounds, live_runs, runs, salts, suppressions
from core.store.batches import Batch
from core.store.connections import Connection
from core.store.erasures import SuppressionList
from core.store.forgotten_files import files_of
from core.store.live_rounds import RoundState, WaitingChange
from core.store.live_runs import NewRun
from core.store.live_work import LiveWork
from core.store.mappings import is_new_list

# The changes that are read for a round, and those that are planned: of as many mappings, the longest waiting first.
MOST_READ, MOST_CHANGES = 20_000, 5_000
# A run starts before the gathering time is over if this many members are pending.
ENOUGH_MEMBERS = 1_000
# How soon a mapping is looked at again whose changes are all held back, and one that another round holds, in seconds.
RECHECK_S, SOON_S = 0.5, 0.1
# The phases whose batches are single requests.
_PLAIN = {Phase.REMOVE, Phase.UPDATE, Phase.ADD}


@dataclass(frozen=True, slots=True)
class Delivery:
    """A run that is about to send, and its batches in order. The list lock is held."""

    run: Run
    state: RoundState
    batches: Sequence[Batch]
    is_just_created: bool
    """Whether parts of Iterable may not know the list yet."""
    rejects_forgotten: bool
    """Whether members were rejected because Iterable has forgotten them."""

    @property
    def connection(self) -> Connection:
        """The connection of the list."""
        return self.state.connection


@dataclass(slots=True)
class Round:
    """What becomes of the mappings of a round: deliveries, those left to the general path, and those that wait.

    `later` is after how many seconds a mapping is to be looked at again, by its id.
    """

    deliveries: list[Delivery] = field(default_factory=list)
    others: list[LiveWork] = field(default_factory=list)
    later: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A mapping whose changes are planned."""

    work: LiveWork
    state: RoundState
    changes: Sequence[WaitingChange]
    run: Run

    @property
    def connection(self) -> Connection:
        return self.state.connection

    @property
    def list_key(self) -> tuple[int, int]:
        return self.run.connection_id, self.run.list_id


@dataclass(frozen=True, slots=True)
class _Planned:
    candidate: _Candidate
    live_plan: LivePlan

    def run(self) -> Run:
        """The run with its plan. Its revision is that of the plan."""
        run, plan, mode = self.candidate.run, self.live_plan.plan, self.live_plan.mode
        assert run.ledger_revision is not None
        counters = RunCounters(
            members=plan.members,
            left=plan.left,
            unchanged=plan.unchanged,
            duplicates=plan.duplicates,
            rejected=plan.rejected,
        )
        digest = digest_of(run, plan, mode, run.ledger_revision)
        return run.model_copy(update={"plan": plan, "mode": mode, "counters": counters, "plan_digest": digest})


@dataclass(slots=True)
class RoundPlan:
    """A round that is planned and not stored yet. `round` has the mappings that are not planned."""

    round: Round = field(default_factory=Round)
    planned: list[_Planned] = field(default_factory=list)


async def plan_round(engine: Engine, db: AsyncConnection, works: Sequence[LiveWork]) -> RoundPlan:
    """Plan the pending changes of these mappings. No run of them is unfinished. Reads only."""
    plan = RoundPlan()
    chosen: dict[tuple[int, int], LiveWork] = {}
    for work in works:  # of one list, the mapping that has waited longest
        key = (work.mapping.connection_id, work.mapping.list_id)
        if key in engine.not_given_back:
            plan.round.others.append(work)
        elif key in engine.held or key in chosen:
            plan.round.later[work.mapping.id] = SOON_S
        else:
            chosen[key] = work
    if chosen:
        with telemetry.span("round", mappings=len(chosen)):
            candidates = await _candidates(engine, db, list(chosen.values()), plan.round)
            of_connections = {
                connection_id: await suppressions.of_connection(db, engine.vault, connection_id)
                for connection_id in {each.connection.id for each in candidates if each.state.has_suppressions}
            }
            plan.planned = await _plan(engine, db, candidates, of_connections, plan.round)
    return plan


async def begin_round(engine: Engine, plan: RoundPlan) -> Round:
    """Store the runs that deliver what is planned.

    Raises the database's errors; then no run was stored, or another look finds it.
    """
    if plan.planned:
        await _begin(engine, plan.planned, plan.round)
    return plan.round


async def _candidates(engine: Engine, db: AsyncConnection, works: Sequence[LiveWork], begun: Round) -> list[_Candidate]:
    """Return the mappings whose changes are ready and few. The others are put into the round."""
    by_id = {work.mapping.id: work for work in works}
    states = {state.mapping.id: state for state in await live_rounds.states(db, by_id.keys())}
    usable = {mapping_id for mapping_id, state in states.items() if _is_usual(engine, state)}
    begun.others += [work for mapping_id, work in by_id.items() if mapping_id not in usable]
    waiting: dict[int, list[WaitingChange]] = defaultdict(list)
    for change in await live_rounds.waiting(db, usable, MOST_READ) if usable else ():
        waiting[change.mapping_id].append(change)
    candidates: list[_Candidate] = []
    room = MOST_CHANGES
    for mapping_id, work in by_id.items():
        if mapping_id not in usable:
            continue
        state, all_changes = states[mapping_id], waiting[mapping_id]
        if room <= 0:
            begun.later[mapping_id] = SOON_S
            continue
        if len(all_changes) > SMALL_MEMBERS:
            begun.others.append(work)
            continue
        allowed = delivery_filter(state.mapping, work.now, engine.settings.firehose_merge_window_s, work.held)
        changes = deliverable(all_changes, allowed)
        if (wait := _gathers_for(engine, changes, work.now)) > 0.0:
            begun.later[mapping_id] = wait
        else:
            candidates.append(_Candidate(work, state, changes, _new_run(engine, state, work.now)))
            room -= len(changes)
    return candidates


def _gathers_for(engine: Engine, changes: Sequence[WaitingChange], now: float) -> float:
    """Return for how many seconds to wait until changes are delivered."""
    if not changes:
        return RECHECK_S
    gather_s, waited = engine.settings.firehose_gather_s, now - min(each.pending_since for each in changes)
    # far below zero: the clock was put back (a change may have arrived since `now` was read)
    is_ready = len(changes) >= ENOUGH_MEMBERS or not -gather_s < waited < gather_s
    return 0.0 if is_ready else gather_s - waited


def _is_usual(engine: Engine, state: RoundState) -> bool:
    """Return whether a round can deliver the changes of a mapping."""
    mapping, connection = state.mapping, state.connection
    if state.is_taken or state.is_blocked or not can_deliver(mapping):
        return False
    if is_new_list(mapping.list_id) or connection.key_rejected_at is not None:
        return False
    if any(each.kind is ExclusionKind.FILE for each in mapping.exclusions):
        return False
    is_known = connection.project_type is not None and mapping.project_type is connection.project_type
    return is_known and files_of(engine.settings.data_dir, connection).age_s <= FRESH_S


def _new_run(engine: Engine, state: RoundState, now: float) -> Run:
    mapping, connection = state.mapping, state.connection
    assert connection.project_type is not None
    return Run(
        id=runs.new_id(),
        mapping_id=mapping.id,
        connection_id=mapping.connection_id,
        list_id=mapping.list_id,
        status=RunStatus.RUNNING,
        phase=RunPhase.UPLOADING,
        mode=SyncMode.DELTA,
        user_id_field=connection.user_id_field,
        project_type=connection.project_type,
        rate=connection.requests_per_second,
        audience=mapping.audience_name or mapping.audience_id,
        request=REQUEST,
        plan=None,
        ledger_revision=state.revision,
        attempt=0,
        worker_id=engine.presence.id,
        stop_requested=None,
        counters=RunCounters(),
        requests=0,
        retries=0,
        throttled=0,
        created_at=now,
        started_at=now,
        finished_at=None,
        error=None,
        error_code=None,
        is_live=True,
    )


async def _plan(
    engine: Engine,
    db: AsyncConnection,
    candidates: Sequence[_Candidate],
    suppressed: Mapping[int, SuppressionList | None],
    begun: Round,
) -> list[_Planned]:
    planned: list[_Planned] = []
    plannings: list[LivePlanning] = []
    lookups: list[LedgerLookup] = []
    usual: list[_Candidate] = []
    salt_of_fields = await _salt(engine, db, salts.DATA_FIELDS, any(each.state.mapping.fields for each in candidates))
    has_exclusions = any(each.state.mapping.exclusions for each in candidates)
    salt_of_exclusions = await _salt(engine, db, salts.EXCLUSIONS, has_exclusions)
    for each in candidates:
        mapping = each.state.mapping
        fields = _live_fields(engine, each, salt_of_fields) if mapping.fields else None
        if (mapping.fields and fields is None) or (mapping.exclusions and salt_of_exclusions is None):
            begun.others.append(each.work)
            continue
        usual.append(each)
        planning = LivePlanning(each.run, mapping, each.changes, fields)
        keys = planning.without_email
        emails = await last_known_emails.find(db, each.run.mapping_id, keys) if keys else ()
        lookups.append(planning.lookup(each.state.mapping_ids, emails))
        plannings.append(planning)
    await look_up(db, lookups)
    for each, planning, lookup in zip(usual, plannings, lookups, strict=True):
        files = files_of(engine.settings.data_dir, each.connection)
        forgotten, rows, mapping = (files.emails, files.user_ids), lookup.rows, each.state.mapping
        known = planning.digests_needed(rows)
        digests = await ledger.digests_of(db, mapping.id, known) if known else {}
        excluded = None
        if mapping.exclusions and salt_of_exclusions is not None:
            chosen = exclusion_settings(mapping.exclusions, salt_of_exclusions)
            excluded = await find_excluded(db, chosen, planning.identities(rows))
        live_plan = planning.plan(rows, suppressed.get(each.connection.id), forgotten, digests, excluded)
        if _is_plain(live_plan):
            planned.append(_Planned(each, live_plan))
        else:
            begun.others.append(each.work)
        await asyncio.sleep(0)  # so that others get their turn
    return planned


async def _salt(engine: Engine, db: AsyncConnection, name: str, is_needed: bool) -> str | None:
    return await salts.find(db, engine.vault, name) if is_needed else None


def _live_fields(engine: Engine, candidate: _Candidate, salt: str | None) -> LiveFields | None:
    """Return the data fields of a mapping's changes; None if Iterable has to be asked for the types of the fields."""
    fields = candidate.state.mapping.fields
    known = None if salt is None else data_fields.known_settings(engine, candidate.connection, fields, salt)
    if known is None:
        return None
    sealed = {each.member_key: each.sealed_fields for each in candidate.changes if each.sealed_fields is not None}
    return LiveFields(known, {key: live_attributes.opened(engine.vault, token) for key, token in sealed.items()})


def _is_plain(live_plan: LivePlan) -> bool:
    """Return whether each phase is one request."""
    phases = live_plan.phases
    return len(phases) == len(set(phases)) and _PLAIN.issuperset(phases)


async def _begin(engine: Engine, planned: Sequence[_Planned], begun: Round) -> None:
    """Store the runs, unless something has changed since it was read: then the next look finds the changes."""
    list_keys = {each.candidate.list_key for each in planned}
    engine.held |= list_keys
    try:
        stored = await _store(engine, planned)
    except BaseException:  # the commit may have succeeded nevertheless
        engine.not_given_back |= list_keys
        engine.held -= list_keys
        raise
    for each in planned:
        candidate = each.candidate
        if (new := stored.get(candidate.run.id)) is None:
            engine.held.discard(candidate.list_key)
            begun.later[candidate.work.mapping.id] = SOON_S
            continue
        run, batches = new
        begun.deliveries.append(
            Delivery(
                run,
                candidate.state,
                batches,
                is_just_created(candidate.work.now, candidate.state.list_created_at, candidate.state.mapping),
                any(rejection.reason == FailureReason.FORGOTTEN for rejection in each.live_plan.rejections),
            )
        )


async def _store(engine: Engine, planned: Sequence[_Planned]) -> dict[str, tuple[Run, Sequence[Batch]]]:
    """Write the runs of those mappings that are as they were read. Returns each with its batches, by its id."""
    async with engine.database.write() as db:
        same = await live_rounds.unchanged(db, [each.candidate.state for each in planned])
        current = {each.candidate.run.id: each for each in planned if each.candidate.run.mapping_id in same}
        claimed = await live_rounds.claim(db, {key: each.candidate.changes for key, each in current.items()})
        candidates = {key: each.run() for key, each in current.items() if key in claimed}
        held = await live_rounds.hold_lists(db, engine.presence.id, list(candidates.values()))
        await live_rounds.unclaim(db, claimed - held)
        new = []
        for run_id in held:
            run, live_plan = candidates[run_id], current[run_id].live_plan
            assert run.ledger_revision is not None
            run = run.model_copy(update={"ledger_revision": run.ledger_revision + 1})
            new.append(NewRun(run, live_plan.drafts, live_plan.rejections))
        batches = await live_runs.add(db, new, engine.vault)
    return {each.run.id: (each.run, of_run) for each, of_run in zip(new, batches, strict=True)}
