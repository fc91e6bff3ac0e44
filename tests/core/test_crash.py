"""A run is killed at any point: resumed, or followed by another, it ends like a run that was never disturbed."""

from pathlib import Path

import pytest
from sqlalchemy import select, update

from core.identity import ProjectType, UserIdField
from core.models.batch import decode
from core.store import connections, doubts, runs
from core.store.tables import batch_members, batches
from tests.core.crashing import crash, job
from tests.core.harness import OTHER_LIST, Member, RunStatus, people, syncing

# Events at which the second of three syncs is killed: in planning, and in each phase of its upload.
SOME_EVENTS = [10, 12, 14, 16, 18, 19, 21, 22, 24, 27, 30, 33, 36]
# One database before the next sync, the other before the run is resumed. The campaign tries all events on both, and
# `make test` some on SQLite.
ONE, OTHER = (
    [
        pytest.param(
            kinds[at % 2],
            event,
            id=f"{kinds[at % 2]}-{event}",
            marks=[] if event in quick else [pytest.mark.extended],
        )
        for at, event in enumerate(SOME_EVENTS)
    ]
    for kinds, quick in ((("sqlite", "postgresql"), (16,)), (("postgresql", "sqlite"), (19,)))
)

# While the additions of the second sync are sent.
AT_ADDITIONS = 35
MPID = UserIdField.MPID
FIRST = [Member(n) for n in range(1, 6)] + people(range(10, 20))
# 1 and 2 get an address (renames), 10 gets another one, 11 and 12 leave, 30 and 31 join, 32 shares an address with 13.
SECOND = [
    Member(1, "one@example.com"),
    Member(2, "two@example.com"),
    *[Member(n) for n in range(3, 6)],
    Member(10, "ten@example.com"),
    *people([13, 14, 15, 16, 17, 18, 19, 30, 31]),
    Member(32, "p13@example.com"),
]
UNDISTURBED = {
    "members": 16,
    "left": 2,
    "added": 2,
    "updated": 3,
    "removed": 2,
    "unchanged": 10,
    "duplicates": 1,
}
# Members who joined or changed in the second sync leave, change again, or stay.
THIRD = [Member(1, "uno@example.com"), *[Member(n) for n in range(3, 6)], *people([14, 15, 16, 17, 18, 30])]


def expected(members: list[Member], project_type: ProjectType = ProjectType.EMAIL) -> set[str]:
    """The addresses on a list that is equal to these members. In a userID-based project there are no placeholders."""
    at = "" if project_type is ProjectType.USER_ID else "@placeholder.email"
    return {member.email or f"{member.mpid}{at}" for member in members}


def undisturbed(project_type: ProjectType) -> dict[str, int]:
    """The counts of the second sync. In a userID-based project two people with one address are two subscribers."""
    if project_type is not ProjectType.USER_ID:
        return UNDISTURBED
    return {name: number for name, number in UNDISTURBED.items() if name != "duplicates"} | {"added": 3}


@pytest.mark.parametrize(("database_url", "event"), ONE, indirect=["database_url"])
async def test_next_sync_after_a_crash(tmp_path: Path, database_url: str, event: int) -> None:
    """The next sync removes leavers that a killed process may have added."""
    async with syncing(tmp_path, database_url) as sync:
        await sync.mirror(FIRST, user_id=MPID)
        assert await crash(job(sync, sync.mirror_file(SECOND), MPID), event)
        outcome = await sync.mirror(THIRD, user_id=MPID, approved=True)
        assert outcome.run.status is RunStatus.SUCCEEDED
        assert sync.emails() == expected(THIRD)
        assert (await sync.mirror(THIRD, user_id=MPID)).run.requests == 0


@pytest.mark.parametrize(("database_url", "event"), OTHER, indirect=["database_url"])
async def test_resume_after_a_crash(tmp_path: Path, database_url: str, event: int) -> None:
    """A killed run that is resumed ends with the numbers and the list of an undisturbed one."""
    async with syncing(tmp_path, database_url) as sync:
        await sync.mirror(FIRST, user_id=MPID)
        assert await crash(job(sync, sync.mirror_file(SECOND), MPID), event)
        await sync.engine.presence.reap_dead_workers()
        async with sync.engine.database.read() as db:
            stopped = (await runs.latest(db, 1))[0]
        assert stopped.status is not RunStatus.SUCCEEDED
        outcome = await sync.resume(stopped.id)
        assert outcome.run.status is RunStatus.SUCCEEDED
        assert outcome.counts == UNDISTURBED
        assert sync.emails() == expected(SECOND)


async def test_late_request_of_a_killed_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sync after a late request of a killed process repairs the list, and the one after that sends nothing."""
    monkeypatch.setattr(doubts, "ENDED_S", 3600.0)
    async with syncing(tmp_path) as sync:
        await sync.mirror(FIRST, user_id=MPID)
        assert await crash(job(sync, sync.mirror_file(SECOND), MPID), AT_ADDITIONS)
        await sync.engine.presence.reap_dead_workers()
        async with sync.engine.database.read() as db:
            stopped = (await runs.latest(db, 1))[0]
            query = select(batch_members.c.members).join(batches, batches.c.id == batch_members.c.batch_id)
            claimed = (await db.execute(query.where(batches.c.doubted_until.is_not(None)))).scalars().all()
        late = {email for members in claimed for email in decode(members).emails if email}
        assert late - expected(THIRD)
        assert (await sync.resume(stopped.id)).run.status is RunStatus.SUCCEEDED
        await sync.mirror(THIRD, user_id=MPID, approved=True)
        for email in late:  # as if the kernel had delayed what the process wrote before it was killed
            await sync.subscribe_by_hand(email)
        async with sync.engine.database.write() as db:
            await db.execute(update(batches).where(batches.c.doubted_until.is_not(None)).values(doubted_until=1.0))
        await sync.mirror(THIRD, user_id=MPID, approved=True)
        assert sync.emails() == expected(THIRD)
        assert (await sync.mirror(THIRD, user_id=MPID)).run.requests == 0


async def test_a_run_that_is_not_killed(tmp_path: Path, database_url: str) -> None:
    """The process of the other tests makes the list equal to the audience if it is not killed."""
    async with syncing(tmp_path, database_url) as sync:
        await sync.mirror(FIRST, user_id=MPID)
        assert not await crash(job(sync, sync.mirror_file(SECOND), MPID), 1000)
        assert sync.emails() == expected(SECOND)


@pytest.mark.parametrize("event", [14, 19, 24])
@pytest.mark.parametrize("project_type", [ProjectType.USER_ID, ProjectType.HYBRID])
@pytest.mark.extended
async def test_crash_in_a_project_of_another_type(tmp_path: Path, project_type: ProjectType, event: int) -> None:
    """A killed run ends with the numbers and the list of an undisturbed one, and the next sync is right, too."""
    async with syncing(tmp_path, project_type=project_type.value) as sync:
        await sync.mirror(FIRST, user_id=MPID)
        assert await crash(job(sync, sync.mirror_file(SECOND), MPID), event)
        await sync.engine.presence.reap_dead_workers()
        outcome = await sync.resume((await sync.latest()).id)
        assert (outcome.run.status, outcome.counts) == (RunStatus.SUCCEEDED, undisturbed(project_type))
        assert sync.emails() == expected(SECOND, project_type)
        assert (await sync.mirror(THIRD, user_id=MPID, approved=True)).run.status is RunStatus.SUCCEEDED
        assert sync.emails() == expected(THIRD, project_type)
        assert (await sync.mirror(THIRD, user_id=MPID)).run.requests == 0


@pytest.mark.parametrize("event", range(18, 28))
@pytest.mark.extended
async def test_crash_around_a_merge(tmp_path: Path, event: int) -> None:
    """Wherever a run dies that merges a profile, the resumed one ends with the list and with one profile a person."""
    async with syncing(tmp_path) as sync:
        await sync.mirror(FIRST, user_id=MPID)
        await sync.subscribe_by_hand("one@example.com", OTHER_LIST)
        async with sync.engine.database.write() as db:
            (connection,) = await connections.everyone(db)
            await connections.change(db, connection.id, merges_profiles=True)
        assert await crash(job(sync, sync.mirror_file(SECOND), MPID), event)
        await sync.engine.presence.reap_dead_workers()
        outcome = await sync.resume((await sync.latest()).id)
        assert (outcome.run.status, outcome.counts) == (RunStatus.SUCCEEDED, UNDISTURBED)
        assert sync.emails() == expected(SECOND)
        assert "1@placeholder.email" not in sync.iterable.state.project().people.emails.first
        assert (await sync.mirror(SECOND, user_id=MPID)).run.requests <= 1  # the request that was in doubt
        assert (await sync.mirror(SECOND, user_id=MPID)).run.requests == 0
