"""Verification: a list in Iterable is compared with the ledger, and with mParticle's size of the audience.

First the sizes. Beyond a limit, or if a person asks, the list is read once (`getUsers`, 5 a minute); of a very long
list, a sample of our people is looked up (`users/getByEmail` or `byUserId`, 100 a second). People on the list who are
not ours may have been put there by another tool. The first check takes their number as known; later ones say if it
changed.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from core import alerting
from core.connections.lists import is_new_in_iterable
from core.engine import Engine
from core.errors import ConflictError, NotFoundError, SyncError
from core.identity import ProjectType
from core.models.run import RunStatus
from core.planning import compare_list
from core.planning.list_people import TakeRows
from core.privacy.retention import CHECK_PREFIX
from core.runs.audience_sizes import AudienceSize, audience_size
from core.runs.drift import NONE, OwnChanges, differs, drift_message, limit_of, own_changes
from core.runs.list_people import CHECK_EVERY_S, SETTLES_S, people_on_list, with_enough_memory
from core.store import alert_rules, alerts, audit_log, clock, connections, ledger, list_checks, lists, mappings, runs
from core.store.alert_kinds import AlertKind
from core.store.alert_rules import Rule, RuleSetting
from core.store.audit_log import AuditAction
from core.store.connections import Connection
from core.store.list_checks import ListCheck
from core.store.mappings import NO_LIST, AudienceMapping

# A list with more people is not read: a sample of our people is looked up.
MOST_READ = 2_000_000
SAMPLE = 100
# Lists that are checked before the next look.
MOST_AT_ONCE = 20

logger = logging.getLogger(__name__)


class Depth(StrEnum):
    """How a list is checked."""

    SIZES = "sizes"
    """By sizes; the list is read only if they differ beyond the limit."""
    LIST = "list"
    """The list is read."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a check.

    `is_drift`: something differs; `list_differs`: the list does, not only mParticle's size. `is_early`: a run ended so
    shortly before that Iterable may not show it yet. `audience`: the comparison with mParticle (None: it could not be
    asked). `last_matched_at`: when the list matched last before (UTC seconds); `own`: what this program has done since.
    """

    mapping: AudienceMapping
    check: ListCheck
    is_drift: bool
    is_early: bool
    list_differs: bool = False
    last_matched_at: float | None = None
    audience: AudienceSize | None = None
    own: OwnChanges = NONE

    @property
    def is_read(self) -> bool:
        """Whether the people were compared, and not only the sizes."""
        return self.check.missing is not None


async def verify(
    engine: Engine, mapping_id: int, depth: Depth = Depth.SIZES, take_rows: TakeRows | None = None
) -> Verification:
    """Compare the list of a mapping with the ledger, store the result, and open or close the alert.

    `take_rows` gets the people who differ, if the list is read. Raises NotFoundError if there is no such mapping,
    ConflictError if it has no list or a run is at work on it, and a SyncError if Iterable can't be asked.
    """
    mapping, connection, of_list, is_early = await _subject(engine, mapping_id)
    ids = [each.id for each in of_list]
    async with engine.database.read() as db:
        before = await list_checks.of_list(db, connection.id, mapping.list_id)
        ours = await list_checks.ours(db, ids, by_user_id=connection.project_type is ProjectType.USER_ID)
        rule = (await alert_rules.settings(db, connection.id, mapping.id)).get(Rule.DRIFT)
        now = await clock.now(db)
    async with engine.client(connection) as client:
        if await is_new_in_iterable(engine, connection.id, mapping.list_id):
            client.expect_new_list(mapping.list_id)
        in_iterable = await client.get_list_size(mapping.list_id)
    audience = await audience_size(engine, mapping)
    others = before.others if before is not None else 0
    limit = _limit(rule, ours, in_iterable)
    missing = extra = None
    sampled = 0
    if depth is Depth.LIST or abs(in_iterable - ours - others) > limit:
        if in_iterable <= MOST_READ or take_rows is not None:
            missing, extra = await _read(engine, connection, mapping, ids, take_rows)
        else:
            missing, sampled = await _look_up_some(engine, connection, mapping.list_id, ids)
    is_first = before is None or before.checked_at is None
    if is_first and extra is not None:
        others = extra
    last_matched_at = None if before is None else before.matched_at
    check = ListCheck(
        connection_id=connection.id,
        list_id=mapping.list_id,
        due_at=now + CHECK_EVERY_S,
        checked_at=now,
        matched_at=last_matched_at,
        ours=ours,
        in_iterable=in_iterable,
        in_mparticle=None if audience is None else audience.in_mparticle,
        missing=missing,
        extra=extra,
        sampled=sampled,
        others=others,
    )
    list_differs = differs(check, limit)
    is_drift = list_differs or (audience is not None and audience.differs)
    if not is_early and not list_differs:
        check = replace(check, matched_at=now)
    message = _message(check, audience, list_differs=list_differs)
    await _store(engine, mapping, check, rule, message, is_drift=is_drift, is_early=is_early)
    async with engine.database.read() as db:
        own = await own_changes(db, replace(check, matched_at=last_matched_at))
    return Verification(mapping, check, is_drift, is_early, list_differs, last_matched_at, audience, own)


async def _subject(engine: Engine, mapping_id: int) -> tuple[AudienceMapping, Connection, list[AudienceMapping], bool]:
    """Return the mapping, its connection, all mappings of its list, and whether a run changed the list a moment ago."""
    async with engine.database.read() as db:
        mapping = await mappings.by_id(db, mapping_id)
        if mapping is None:
            raise NotFoundError(f"There is no mapping {mapping_id}. Check its id.", mapping_id=mapping_id)
        if mapping.list_id <= NO_LIST:
            raise ConflictError(f"The mapping of {mapping.label} has no list in Iterable yet.", mapping_id=mapping_id)
        connection = await connections.by_id(db, mapping.connection_id)
        assert connection is not None
        of_list = await mappings.of_connection(db, mapping.connection_id, mapping.list_id)
        state = await lists.get(db, mapping.connection_id, mapping.list_id)
        last = await runs.latest_of(db, [each.id for each in of_list], 5)
        now = await clock.now(db)
    if state is not None and state.locked_by_run_id is not None:
        raise ConflictError(
            f"Run {state.locked_by_run_id} is at work on list {mapping.list_id}. Verify the list when it has ended.",
            list_id=mapping.list_id,
        )
    ended = [run.finished_at for run in last if run.status is not RunStatus.PLANNED and run.finished_at is not None]
    return mapping, connection, of_list, any(0.0 <= now - at < SETTLES_S / 2 for at in ended)


async def _read(
    engine: Engine, connection: Connection, mapping: AudienceMapping, ids: Sequence[int], take_rows: TakeRows | None
) -> tuple[int, int]:
    """Read the list, and return how many of ours are missing and how many on it are extra."""
    project_type = connection.project_type or ProjectType.EMAIL
    name, data_dir = f"{CHECK_PREFIX}{runs.new_id()}", engine.settings.data_dir
    async with people_on_list(engine, connection, mapping.list_id, name) as people, engine.planning_slots.hold(None):
        difference = await with_enough_memory(
            lambda mb: compare_list(
                engine.database, data_dir, name, ids, people, mb, take_rows, project_type=project_type
            )
        )
    return difference.missing, difference.extra


async def _look_up_some(
    engine: Engine, connection: Connection, list_id: int, mapping_ids: Sequence[int]
) -> tuple[int, int]:
    """Look up a sample of our people. Returns how many are not on the list, and of how many."""
    by_user_id = connection.project_type is ProjectType.USER_ID
    async with engine.database.read() as db:
        people = await ledger.sample(db, mapping_ids, SAMPLE)
    missing = 0
    async with engine.client(connection) as client:
        for email, user_id in people:
            if user_id is not None and (by_user_id or email is None):
                user = await client.user_by_id(user_id)
            else:
                user = await client.user_by_email(email or "")
            missing += user is None or list_id not in user.list_ids
    return missing, len(people)


def _limit(rule: RuleSetting, *sizes: int) -> int:
    """Return how many people may differ: by the rule of the mapping or, without one, by the size of the list."""
    return limit_of(*sizes) if rule.threshold is None else int(rule.threshold)


async def _store(
    engine: Engine,
    mapping: AudienceMapping,
    check: ListCheck,
    rule: RuleSetting,
    message: str,
    *,
    is_drift: bool,
    is_early: bool,
) -> None:
    async with engine.database.write() as db:
        await list_checks.schedule(db, check.connection_id, check.list_id, check.due_at)
        if is_early and is_drift:  # Iterable may not show the last run yet
            await list_checks.schedule(db, check.connection_id, check.list_id, (check.checked_at or 0.0) + SETTLES_S)
            return
        await list_checks.record(
            db,
            check.connection_id,
            check.list_id,
            checked_at=check.checked_at,
            matched_at=check.matched_at,
            ours=check.ours,
            in_iterable=check.in_iterable,
            in_mparticle=check.in_mparticle,
            missing=check.missing,
            extra=check.extra,
            sampled=check.sampled,
            others=check.others,
        )
        known = await alerts.open_of(db, mapping.connection_id, mapping.id, AlertKind.DRIFT)
        if is_drift and rule.is_on:
            await alerting.open_or_repeat(
                db,
                connection_id=mapping.connection_id,
                mapping_id=mapping.id,
                run_id=None,
                code=AlertKind.DRIFT.value,
                message=message,
            )
        elif known is not None:
            await alerting.resolve(db, mapping.connection_id, mapping.id, AlertKind.DRIFT)


def _message(check: ListCheck, audience: AudienceSize | None, *, list_differs: bool) -> str:
    """Return how the sizes differ, in sentences."""
    sentences = [drift_message(check)] if list_differs else []
    sentences += [audience.message] if audience is not None and audience.differs else []
    return " ".join(sentences)


async def record_differences_taken(
    engine: Engine, mapping_id: int, people: int, *, by: str, team_id: str | None
) -> None:
    """Write the audit entry for a file of the people who differ."""
    async with engine.database.write() as db:
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.DIFFERENCES_TAKEN,
            subject=f"mapping:{mapping_id}",
            after={"people": people},
        )


async def accept(engine: Engine, mapping_id: int, *, by: str, team_id: str | None) -> None:
    """Take the people who are extra on a list as known: from now on only a change of their number is drift.

    Raises ConflictError if no check has counted them.
    """
    mapping, connection, _, _ = await _subject(engine, mapping_id)
    async with engine.database.write() as db:
        check = await list_checks.of_list(db, connection.id, mapping.list_id)
        if check is None or check.extra is None:
            raise ConflictError("No check has counted who is extra on this list. Verify it first.")
        await list_checks.record(db, connection.id, mapping.list_id, others=check.extra)
        known = await alerts.open_of(db, mapping.connection_id, mapping.id, AlertKind.DRIFT)
        rule = (await alert_rules.settings(db, connection.id, mapping.id)).get(Rule.DRIFT)
        limit = _limit(rule, check.ours or 0, check.in_iterable or 0)
        if known is not None and (check.missing or 0) <= limit:
            await alerting.resolve(db, mapping.connection_id, mapping.id, AlertKind.DRIFT)
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.OTHERS_ACCEPTED,
            subject=f"mapping:{mapping.id}",
            before={"others": check.others},
            after={"others": check.extra},
        )


async def verify_due_lists(engine: Engine) -> None:
    """Check the lists that are due. Of several processes, one checks each."""
    async with engine.database.read() as db:
        due = await list_checks.due(db, await clock.now(db), MOST_AT_ONCE)
    for connection, check in due:
        async with engine.database.write() as db:
            now = await clock.now(db)
            of_list = await mappings.of_connection(db, connection.id, check.list_id)
            is_ours = await list_checks.claim(db, check, now + CHECK_EVERY_S)
        active = [each for each in of_list if each.status is mappings.MappingStatus.ACTIVE]
        if not is_ours or not active or engine.stopping.is_set():
            continue
        try:
            await verify(engine, active[0].id)
        except ConflictError:  # a run is at work
            async with engine.database.write() as db:
                await list_checks.schedule(db, connection.id, check.list_id, now + SETTLES_S)
        except SyncError as error:
            logger.info("could not check list %s: %s", check.list_id, error.code)
