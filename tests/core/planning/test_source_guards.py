"""Guards that compare a source with earlier syncs: by additions, size and age."""

from pathlib import Path

import pytest

from core.models.run import GuardName, Run
from core.planning.source_guards import History, check_additions, check_age, check_size, older_by
from core.store import mappings
from core.store.audit_log import COMMAND_LINE
from core.store.mappings import AudienceMapping, MappingStatus
from tests.core.harness import RunStatus, Sync, people

MAPPING = AudienceMapping(1, 1, 1001, None, "Spring", "auto", 0.0, proposed_by="U1")
DAY_S = 86_400.0


def guards(run: Run) -> list[GuardName]:
    """The guards of a run's plan."""
    assert run.plan is not None
    return [guard.name for guard in run.plan.guards]


@pytest.mark.parametrize(
    ("to_add", "ledger_size", "needs_approval"),
    [(1_001, 2_000, True), (1_000, 100, False), (1_001, 2_002, False), (5_000, 9_000, True), (4_000, 0, True)],
)
def test_additions(to_add: int, ledger_size: int, needs_approval: bool) -> None:
    """Adding more than half of the members synced before, and more than 1,000, needs approval."""
    triggered = check_additions(MAPPING, to_add=to_add, ledger_size=ledger_size)
    assert [guard.name for guard in triggered] == ([GuardName.MASS_ADDITION] if needs_approval else [])


def test_mapping_has_its_own_limits() -> None:
    """A mapping has its own limits on the number and share of additions."""
    strict = AudienceMapping(1, 1, 1001, None, "Spring", "auto", 0.0, max_added=10, max_added_share=0.1)
    assert check_additions(strict, to_add=11, ledger_size=100)
    assert not check_additions(strict, to_add=10, ledger_size=50)
    assert not check_additions(strict, to_add=11, ledger_size=110)


def test_first_sync_triggers_no_guard_on_additions() -> None:
    """The first sync of a proposed mapping needs approval anyway, and one from the command line needs none."""
    proposed = AudienceMapping(1, 1, 1001, None, "Spring", "auto", 0.0, MappingStatus.PROPOSED, proposed_by="U1")
    assert not check_additions(proposed, to_add=9_999, ledger_size=0)
    for proposer in (None, COMMAND_LINE):
        mapping = AudienceMapping(1, 1, 1001, None, "Spring", "auto", 0.0, proposed_by=proposer)
        assert not check_additions(mapping, to_add=9_999, ledger_size=0)


@pytest.mark.parametrize(
    ("sizes", "size", "needs_approval"),
    [
        ([1000, 1010, 990, 1000, 1000, 995, 1005, 1000, 1010, 990], 1300, True),
        ([1000, 1010, 990, 1000, 1000, 995, 1005, 1000, 1010, 990], 700, True),
        ([1000, 1010, 990, 1000, 1000, 995, 1005, 1000, 1010, 990], 1190, False),
        ([200, 2000, 500, 1500, 900, 100, 1800, 700, 1200, 400], 2500, False),
        ([1000, 1000, 1000, 1000], 5000, False),
        ([10, 10, 10, 10, 10], 50, False),
        ([100, 100, 100, 100, 100], 150, True),
        ([99, 99, 99, 99, 99], 150, False),
        ([1000, 1000, 1000, 1000, 1000], 1200, False),
        ([1000, 1000, 1000, 1000, 1000], 1201, True),
        ([900, 1100, 900, 1100, 900, 1100], 1300, False),
        ([900, 1100, 900, 1100, 900, 1100], 1301, True),
        ([5000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 5000], 1000, False),
    ],
)
def test_size(sizes: list[int], size: int, needs_approval: bool) -> None:
    """A size needs approval beyond three standard deviations of the last ten runs and 20 %."""
    assert bool(check_size(size, History(sizes))) is needs_approval


def test_age() -> None:
    """A source older than the last one needs approval, and the guard says by how much."""
    history = History((), 100 * DAY_S, "k3v9m2x7qa")
    (guard,) = check_age("spring.csv", 93 * DAY_S, history)
    assert guard.name is GuardName.OLDER_SOURCE
    assert "7 days older" in guard.message
    assert not check_age("spring.csv", 100 * DAY_S, history)
    assert not check_age("spring.csv", None, history)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (59.0, "less than a minute"),
        (60.0, "1 minute"),
        (3_599.0, "59 minutes"),
        (3_600.0, "1 hour"),
        (7_200.0, "2 hours"),
        (DAY_S - 1, "23 hours"),
        (DAY_S, "1 day"),
        (1_234 * DAY_S, "1,234 days"),
    ],
)
def test_length_of_time(seconds: float, words: str) -> None:
    """A length of time has its largest unit, in the singular or the plural."""
    assert older_by(seconds) == words


def download(sync: Sync, name: str, stamp_ms: int, numbers: range) -> Path:
    """A download of an audience with this timestamp."""
    path = sync.directory / name
    rows = [f"{n},{stamp_ms},p{n}@example.com,email\n" for n in numbers]
    path.write_text("mpid,scanned_timestamp_ms,identity_value,identity_type\n" + "".join(rows))
    return path


async def test_download_of_last_week_needs_approval(sync: Sync) -> None:
    """A download with an older timestamp than the last one needs approval."""
    now = 1_543_512_096_000
    await sync.run(download(sync, "77_Spring_172136Nov292018.csv", now, range(10)))
    older = (await sync.run(download(sync, "77_Spring_172136Nov222018.csv", now - 7 * 86_400_000, range(8)))).run
    assert older.status is RunStatus.NEEDS_APPROVAL
    assert guards(older) == [GuardName.OLDER_SOURCE]
    assert older.plan is not None
    assert "7 days older" in older.plan.guards[0].message
    assert len(sync.emails()) == 10


@pytest.mark.extended
async def test_old_file_needs_approval_again(sync: Sync) -> None:
    """A file without timestamps is as old as its first sync: run again after a newer one, it needs approval."""
    old = sync.mirror_file(people(range(10)))
    await sync.run(old)
    await sync.mirror(people(range(2, 12)))
    repeated = (await sync.run(old)).run
    assert guards(repeated) == [GuardName.OLDER_SOURCE]
    assert len(sync.emails()) == 10
    assert (await sync.approve(repeated.id)).run.status is RunStatus.SUCCEEDED


@pytest.mark.extended
async def test_last_file_can_be_repeated(sync: Sync) -> None:
    """The file of the last sync can be synced again without approval."""
    file = sync.mirror_file(people(range(10)))
    await sync.run(file)
    assert (await sync.run(file)).run.status is RunStatus.SUCCEEDED


@pytest.mark.parametrize(("size", "difference"), [(160, "33 % more."), (80, "33 % fewer.")])
def test_difference_of_an_unusual_size(size: int, difference: str) -> None:
    """The guard says the usual size, and by how much the audience is larger or smaller."""
    (guard,) = check_size(size, History([120] * 5))
    assert guard.message == (
        f"The audience has {size} people. In the last 5 syncs it had about 120, so this is {difference}"
    )


async def test_unusual_size_needs_approval(sync: Sync) -> None:
    """An audience of an unusual size needs approval."""
    usual = sync.mirror_file(people(range(120)))
    for _ in range(5):
        assert (await sync.run(usual)).run.status is RunStatus.SUCCEEDED
    assert guards((await sync.mirror(people(range(160)))).run) == [GuardName.UNUSUAL_SIZE]
    assert len(sync.emails()) == 120


async def test_many_additions_need_approval(sync: Sync) -> None:
    """A run that adds more than the mapping's limits needs approval, and the guard names both limits."""
    first = await sync.mirror(people(range(20)))
    async with sync.engine.database.write() as db:
        await mappings.change(db, first.run.mapping_id, max_added=5, max_added_share=0.25)
    waiting = (await sync.mirror(people(range(30)))).run
    assert guards(waiting) == [GuardName.MASS_ADDITION]
    assert waiting.plan is not None
    assert "more than 25 % and more than 5" in waiting.plan.guards[0].message
    assert len(sync.emails()) == 20
