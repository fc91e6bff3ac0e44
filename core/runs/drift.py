"""Drift: whether a list differs from what was synced, as sentences, and what is known of who changed it."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.amounts import people
from core.models.run import Run
from core.store import mappings, runs
from core.store.list_checks import ListCheck

# The difference that is no drift, in people and as a share of the list: whichever is larger.
LIMIT, LIMIT_SHARE = 10, 0.01
# Runs of a list that are looked at, and those that a report names.
MOST_SEARCHED, MOST_NAMED = 100, 3


def limit_of(*sizes: int) -> int:
    """Return how many people may differ on a list of this size."""
    return max(LIMIT, int(LIMIT_SHARE * max(sizes)))


def differs(check: ListCheck, limit: int) -> bool:
    """Return whether a list differs by more people than the limit from what was synced to it."""
    assert check.ours is not None
    assert check.in_iterable is not None
    if check.sampled:
        return (check.missing or 0) > max(1, LIMIT_SHARE * check.sampled)
    if check.missing is None or check.extra is None:
        return abs(check.in_iterable - check.ours - check.others) > limit
    return check.missing > limit or abs(check.extra - check.others) > limit


def drift_message(check: ListCheck) -> str:
    """Return how a list differs from what was synced, in sentences."""
    assert check.ours is not None
    assert check.in_iterable is not None
    if check.sampled:
        share = f"{check.missing:,} of {check.sampled:,} people that were looked up are not on it"
        return f"List {check.list_id} differs from what was synced: {share}."
    if check.missing is None or check.extra is None:
        return (
            f"List {check.list_id} has {check.in_iterable:,} people in Iterable, and {check.ours:,} were synced to it."
        )
    parts = []
    if check.missing:
        parts.append(
            f"{people(check.missing)} who {'was' if check.missing == 1 else 'were'} synced to it "
            f"{'is' if check.missing == 1 else 'are'} missing"
        )
    if check.extra:
        known = f" ({check.others:,} at the check before)" if check.others else ""
        parts.append(f"{people(check.extra)} on it {'was' if check.extra == 1 else 'were'} not synced to it{known}")
    return f"List {check.list_id} differs from what was synced: {', and '.join(parts)}."


@dataclass(frozen=True, slots=True)
class OwnChanges:
    """The runs that have changed a list since it matched last, newest first: the first few, and how many more."""

    runs: tuple[Run, ...] = ()
    more: int = 0


NONE = OwnChanges()


async def own_changes(db: AsyncConnection, check: ListCheck) -> OwnChanges:
    """Return what this program has done to a list between its last match and its check.

    Iterable does not say who changed a list, so the rest was someone else.
    """
    if check.matched_at is None or check.checked_at is None:
        return NONE
    of_list = await mappings.of_connection(db, check.connection_id, check.list_id)
    changed = [
        run
        for run in await runs.latest_of(db, [mapping.id for mapping in of_list], MOST_SEARCHED)
        if run.started_at is not None
        and run.started_at <= check.checked_at
        and (run.finished_at is None or run.finished_at >= check.matched_at)
        and (run.counters.added or run.counters.updated or run.counters.removed)
    ]
    return OwnChanges(tuple(changed[:MOST_NAMED]), max(0, len(changed) - MOST_NAMED))


#: What is left to say of who changed a list, after the runs that `own_changes` names, or if there are none.
REST = "Iterable does not say who made the other changes: someone else in Iterable, or another tool."
NONE_OF_OURS = "No sync from here has changed it since then: someone else in Iterable did, or another tool."
