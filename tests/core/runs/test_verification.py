"""Lists are compared with the ledger: drift is found, reported once, and repaired through an approval."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from core.models.run import GuardName, Repair, SyncMode
from core.runs import verification, worker
from core.runs.drift import drift_message
from core.runs.undo import undo
from core.runs.verification import Depth, accept, verify, verify_due_lists
from core.store import alerts, clock, list_checks
from core.store.alert_kinds import AlertKind
from core.store.tables import list_checks as checks_table
from core.store.tables import runs as runs_table
from sandbox.mparticle.platform import DEFAULT_ACCOUNT, ListedAudience
from tests.core.harness import LIST, QUICK, Member, Outcome, RunStatus, Sync, addresses, people, syncing
from tests.core.mparticle_access import listed

OURS = people(range(1, 101))


@pytest.fixture
async def sync(tmp_path: Path, database_url: str) -> AsyncIterator[Sync]:
    """An engine on each kind of database, with 100 people on the list, synced an hour ago."""
    async with syncing(tmp_path, database_url, QUICK) as opened:
        opened.iterable.settings.update({"limits": {"size": 0, "getUsers": 0}})
        await opened.mirror(OURS)
        await an_hour_passes(opened)
        yield opened


async def an_hour_passes(sync: Sync) -> None:
    """All runs ended an hour ago, and the checks of lists are due."""
    async with sync.engine.database.write() as db:
        await db.execute(update(runs_table).values(finished_at=runs_table.c.finished_at - 3600))
        await db.execute(update(checks_table).values(due_at=0.0))


def meddle(sync: Sync, removed: Iterable[int] = (), added: Iterable[int] = ()) -> None:
    """Change the list as another program does."""
    state = sync.iterable.state
    names = state.project().people
    numbers = [names.emails.first[f"p{number}@example.com"] for number in removed]
    state.lists[LIST].leave(numbers, state.clock())
    state.lists[LIST].join([names.add(f"x{number}@example.com", None) for number in added], state.clock())


async def open_alert(sync: Sync) -> alerts.Alert | None:
    """The open alert of the mapping."""
    async with sync.engine.database.read() as db:
        return await alerts.open_of(db, 1, 1, AlertKind.DRIFT)


async def repaired(sync: Sync, repairs: Repair) -> Outcome:
    """Run a repair, with its approval."""
    waiting = await sync.run(Path(), repairs=repairs, mode=SyncMode.DELTA)
    assert waiting.run.status is RunStatus.NEEDS_APPROVAL, waiting.run.error
    assert waiting.run.plan is not None
    assert waiting.run.plan.guards[0].name is GuardName.REPAIR
    done = await sync.approve(waiting.run.id)
    assert done.run.status is RunStatus.SUCCEEDED, done.run.error
    assert done.run.counters.missing == 0
    return done


async def test_drift_is_reported_once_and_repaired(sync: Sync) -> None:
    """People who vanish from a list, and people that another program adds, open an alert; a repair puts both right, and
    the next check closes it."""
    await verify_due_lists(sync.engine)
    assert await open_alert(sync) is None
    meddle(sync, removed=range(1, 31), added=range(15))
    await an_hour_passes(sync)

    await verify_due_lists(sync.engine)
    await an_hour_passes(sync)
    await verify_due_lists(sync.engine)

    alert = await open_alert(sync)
    assert alert is not None
    assert (alert.code, alert.occurrences) == (AlertKind.DRIFT, 1)
    assert alert.message.endswith(
        "30 people who were synced to it are missing, and 15 people on it were not synced to it."
    )
    done = await repaired(sync, Repair.BOTH)
    assert done.counts == {"members": 30, "left": 15, "added": 30, "removed": 15}
    assert sync.emails() == addresses(range(1, 101))
    await an_hour_passes(sync)
    await verify_due_lists(sync.engine)
    assert await open_alert(sync) is None


async def test_sizes_hide_nothing_from_who_asks(sync: Sync) -> None:
    """If as many vanish as are added, the sizes are equal; reading the list finds both, and yields the people."""
    meddle(sync, removed=range(1, 13), added=range(12))
    rows: list[tuple[str, str, str | None, str | None]] = []

    by_size = await verify(sync.engine, 1)
    by_reading = await verify(sync.engine, 1, Depth.LIST, rows.extend)

    assert (by_size.is_drift, by_size.is_read) == (False, False)
    assert (by_reading.check.missing, by_reading.check.extra, by_reading.is_drift) == (12, 12, True)
    assert sorted(row[2] or "" for row in rows if row[0] == "missing") == sorted(addresses(range(1, 13)))
    assert len([row for row in rows if row[0] == "extra"]) == 12


@pytest.mark.extended
async def test_missing_people_alone(sync: Sync) -> None:
    """A repair of those who are missing removes no one, and people who are extra can be accepted."""
    await verify(sync.engine, 1)
    meddle(sync, removed=range(1, 21), added=range(50))
    assert (await verify(sync.engine, 1)).is_drift

    await repaired(sync, Repair.MISSING)
    await an_hour_passes(sync)
    still = await verify(sync.engine, 1)
    await accept(sync.engine, 1, by="U1", team_id=None)
    after = await verify(sync.engine, 1)

    assert (still.check.missing, still.check.extra, still.is_drift) == (0, 50, True)
    assert (after.is_drift, after.check.others) == (False, 50)
    assert await open_alert(sync) is None


async def test_no_verdict_right_after_a_run(sync: Sync) -> None:
    """While Iterable may not show a run yet, a difference is no drift, and the list is checked again soon."""
    sync.iterable.settings.update({"membership_after": 3600.0})
    await sync.mirror(people(range(1, 151)), approved=True)

    early = await verify(sync.engine, 1)

    assert (early.is_early, early.is_drift) == (True, True)
    assert await open_alert(sync) is None
    async with sync.engine.database.read() as db:
        check = await list_checks.of_list(db, 1, LIST)
    assert check is not None
    assert check.checked_at is None


@pytest.mark.parametrize(("age_s", "is_early"), [(50.0, True), (70.0, False)])
async def test_how_long_a_check_is_early(sync: Sync, age_s: float, is_early: bool) -> None:
    """For a minute after a run Iterable may not show it yet."""
    async with sync.engine.database.write() as db:
        await db.execute(update(runs_table).values(finished_at=await clock.now(db) - age_s))
    assert (await verify(sync.engine, 1)).is_early is is_early


@pytest.mark.parametrize(("missing", "stays_open"), [(10, False), (11, True)])
async def test_accepting_people_does_not_hide_who_is_missing(sync: Sync, missing: int, stays_open: bool) -> None:
    """When the people who are extra are accepted, the alert stays open if more are missing than the limit."""
    await verify(sync.engine, 1)
    meddle(sync, removed=range(1, missing + 1), added=range(50))
    assert (await verify(sync.engine, 1)).is_drift
    await accept(sync.engine, 1, by="U1", team_id=None)
    assert (await open_alert(sync) is not None) is stays_open


@pytest.mark.extended
async def test_when_a_list_matched_last(sync: Sync) -> None:
    """A check that finds a difference, or that follows a run at once, does not say that the list matched then."""
    matching = (await verify(sync.engine, 1)).check
    meddle(sync, removed=range(1, 31))
    differing = (await verify(sync.engine, 1)).check
    meddle(sync, added=range(30))
    await sync.delta([Member(500, "p500@example.com")])
    early = await verify(sync.engine, 1)

    assert matching.matched_at == matching.checked_at
    assert differing.matched_at == matching.matched_at
    assert early.is_early
    assert not early.list_differs
    assert early.check.matched_at == matching.matched_at


@pytest.mark.parametrize(
    ("missing", "extra", "words"),
    [
        (1, 2, "1 person who was synced to it is missing, and 2 people on it were not synced to it."),
        (2, 1, "2 people who were synced to it are missing, and 1 person on it was not synced to it."),
    ],
)
def test_one_person_or_several(missing: int, extra: int, words: str) -> None:
    """The message counts people in the singular and the plural."""
    check = list_checks.ListCheck(1, LIST, 0.0, ours=100, in_iterable=100, missing=missing, extra=extra)
    assert drift_message(check).endswith(words)


async def test_a_long_list_is_sampled(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a list that is too long to read, a sample of our people is looked up."""
    monkeypatch.setattr(verification, "MOST_READ", 10)
    meddle(sync, removed=range(1, 51))

    result = await verify(sync.engine, 1)

    assert (result.check.sampled, result.check.missing, result.is_drift) == (100, 50, True)


@pytest.mark.extended
async def test_an_undo_of_a_repair(sync: Sync) -> None:
    """The undo of a repair puts those back that it removed."""
    meddle(sync, added=range(15))
    done = await repaired(sync, Repair.BOTH)
    undo_id = await undo(sync.engine, done.run.id, by="U1", team_id=None, channel="C1")
    await worker.start(sync.engine, undo_id)
    assert (await sync.approve(undo_id)).run.status is RunStatus.SUCCEEDED
    assert len(sync.emails()) == 115


@pytest.mark.extended
async def test_a_change_between_preview_and_approval(sync: Sync) -> None:
    """If the list changes after the preview of a repair, it is planned again, and asks again if that goes further."""
    meddle(sync, removed=range(1, 21))
    waiting = await sync.run(Path(), repairs=Repair.BOTH, mode=SyncMode.DELTA)
    await sync.delta([Member(500, "p500@example.com")])
    meddle(sync, removed=range(31, 41))

    again = await sync.approve(waiting.run.id)

    assert again.run.status is RunStatus.NEEDS_APPROVAL
    assert again.run.plan is not None
    assert again.run.plan.to_add == 30
    assert (await sync.approve(waiting.run.id)).counts == {"members": 30, "added": 30}
    assert sync.emails() == addresses([*range(1, 101), 500])


@pytest.mark.extended
async def test_full_sync_sends_everyone(sync: Sync) -> None:
    """A full sync sends unchanged members again, as updates, so that who vanished is back."""
    meddle(sync, removed=range(1, 21))

    full = await sync.mirror(OURS, full=True)

    assert full.counts == {"members": 100, "updated": 100}
    assert sync.emails() == addresses(range(1, 101))


async def test_size_in_mparticle_is_compared(sync: Sync) -> None:
    """If mParticle counts far more people than were synced, an alert says so, although the list itself matches."""
    audience = ListedAudience(8754, "Spring", 400)
    async with listed(sync, audience) as platform:
        larger = await verify(sync.engine, 1)
        alert = await open_alert(sync)
        platform.accounts[DEFAULT_ACCOUNT] = [replace(audience, size=150)]
        sync.engine.mparticle_audiences.clear()
        alike = await verify(sync.engine, 1)

    assert (larger.is_drift, larger.list_differs, larger.check.in_mparticle) == (True, False, 400)
    assert alert is not None
    assert alert.message.startswith("mParticle counts 400 people in the audience, and 100 of it were synced")
    assert (alike.is_drift, alike.check.in_mparticle) == (False, 150)
    assert await open_alert(sync) is None


async def test_own_changes_are_named(sync: Sync) -> None:
    """The result has the runs that have changed the list since it matched last, and no others."""
    await verify(sync.engine, 1)
    assert (await verify(sync.engine, 1)).own.runs == ()
    added = await sync.delta(people([500]))
    await sync.delta(people([600]), dry_run=True)
    meddle(sync, removed=range(1, 31))

    result = await verify(sync.engine, 1, Depth.LIST)

    assert [(run.id, run.counters.added) for run in result.own.runs] == [(added.run.id, 1)]
    assert result.check.missing == 30
