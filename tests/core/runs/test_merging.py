"""Placeholders whose real address another profile has already: merged if the connection allows it, else left."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.connections import manage
from core.delivery import call_interval
from core.errors import ValidationError
from core.identity import ProjectType, UserIdField
from core.iterable import IterableClient, NoRateLimit
from core.models.run import GuardName, RunStatus
from core.runs import executor
from core.store import approvals, audit_log, connections, mappings
from core.store.mappings import RemovalPolicy
from sandbox.iterable import Fault
from tests.clock import QuickClock
from tests.core.databases import sampled
from tests.core.harness import LIST, OTHER_LIST, Decision, Member, Outcome, Sync, decide, syncing

MPID = UserIdField.MPID
MERGE, RENAME, SUBSCRIBE = "/api/users/merge", "/api/users/updateEmail", "/api/lists/subscribe"
#: 1 and 2 have no email; then 1 gets one that another profile has, and 2 a new one.
BEFORE = [Member(1), Member(2), Member(3, "three@example.com")]
AFTER = [Member(1, "one@example.com"), Member(2, "two@example.com"), Member(3, "three@example.com")]
EXPECTED = {"one@example.com", "two@example.com", "three@example.com"}


async def allow_merging(sync: Sync, *, is_on: bool = True) -> None:
    """Turn merging on or off, as the command line does."""
    await manage.change(sync.engine, await the_connection(sync), by="terminal", team_id=None, merges_profiles=is_on)


async def the_connection(sync: Sync) -> connections.Connection:
    """The only connection."""
    async with sync.engine.database.read() as db:
        return (await connections.everyone(db))[0]


def sent(sync: Sync, after: int) -> list[tuple[str, int]]:
    """The requests that change something, each with the answer's status."""
    return [(each.path, each.status) for each in sync.iterable.state.log.find(method="POST", after=after)]


def profiles(sync: Sync) -> set[str | None]:
    """The emails of all users of the project."""
    people = sync.iterable.state.project().people
    return {email for email in people.emails.values if email is not None}


def last(sync: Sync) -> int:
    """The number of the latest request."""
    return max((each.seq for each in sync.iterable.state.log.find()), default=0)


@pytest.fixture
async def sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sync]:
    """A list with two placeholders, in a project where another profile has the address that one of them gets.

    Single-user calls take effect after a minute, and waiting takes no time.
    """
    monkeypatch.setattr(call_interval, "APART_S", 60.0)
    clock = QuickClock()
    async with syncing(tmp_path, clock=clock.monotonic) as opened:
        opened.engine.clock = clock
        assert (await opened.mirror(BEFORE, user_id=MPID)).counts == {"members": 3, "added": 3}
        await opened.subscribe_by_hand("one@example.com", OTHER_LIST)
        opened.iterable.settings.update({"single_calls_after": 59.0})
        yield opened


async def again(sync: Sync) -> Outcome:
    """Another sync of the audience sends nothing, and the list is equal to it when all calls have taken effect."""
    sync.iterable.state.project().apply_waiting()
    assert sync.emails() == EXPECTED
    outcome = await sync.mirror(AFTER, user_id=MPID)
    assert (outcome.counts, outcome.run.requests) == ({"members": 3, "unchanged": 3}, 0)
    return outcome


async def test_without_merging_both_profiles_remain(sync: Sync) -> None:
    """The placeholder leaves the list, the other profile joins, and the renamed person needs no further request."""
    mark = last(sync)
    outcome = await sync.mirror(AFTER, user_id=MPID)
    assert outcome.run.plan is not None
    assert (outcome.counts, outcome.run.merged, outcome.run.plan.to_merge) == (
        {"members": 3, "updated": 2, "unchanged": 1},
        0,
        0,
    )
    assert sorted(sent(sync, mark)) == [
        (SUBSCRIBE, 200),
        ("/api/lists/unsubscribe", 200),
        (RENAME, 200),
        (RENAME, 409),
    ]
    assert [wait for wait in sync.engine.clock.slept if wait > 1] == []  # type: ignore[attr-defined]
    await again(sync)
    assert profiles(sync) == {*EXPECTED, "1@placeholder.email"}


async def test_profile_is_merged(sync: Sync) -> None:
    """The placeholder's profile is gone, and the person on the list; the subscribe comes a minute after the merge."""
    await allow_merging(sync)
    mark = last(sync)
    preview = await sync.mirror(AFTER, user_id=MPID, dry_run=True)
    assert preview.run.plan is not None
    assert preview.run.plan.to_merge == 2
    assert sent(sync, mark) == []
    waiting = (await sync.mirror(AFTER, user_id=MPID)).run
    assert (waiting.status, sent(sync, mark)) == (RunStatus.NEEDS_APPROVAL, [])
    assert waiting.plan is not None
    assert [(guard.name, guard.message.split(" in ")[0]) for guard in waiting.plan.guards] == [
        (GuardName.PROFILE_MERGES, "Up to 2 profiles")
    ]
    outcome = await sync.approve(waiting.id)
    assert (outcome.counts, outcome.run.merged) == ({"members": 3, "updated": 2, "unchanged": 1}, 1)
    assert sorted(sent(sync, mark)) == [(SUBSCRIBE, 200), (MERGE, 200), (RENAME, 200), (RENAME, 409)]
    # a wait of a second belongs to the rate limiter
    waits = [round(each) for each in sync.engine.clock.slept]  # type: ignore[attr-defined]
    assert [wait for wait in waits if wait > 1] == [60]
    await again(sync)
    assert profiles(sync) == EXPECTED


async def test_merging_is_turned_off_after_the_plan(sync: Sync) -> None:
    """A plan that was approved with merging merges nothing once merging is off."""
    await allow_merging(sync)
    async with sync.engine.database.write() as db:
        await mappings.change(db, (await sync.latest()).mapping_id, removal_policy=RemovalPolicy.ASK)
    planned = (await sync.mirror(AFTER[:2], user_id=MPID)).run
    assert planned.plan is not None
    assert (planned.status, planned.plan.to_merge) == (RunStatus.NEEDS_APPROVAL, 2)
    await allow_merging(sync, is_on=False)
    mark = last(sync)
    assert (await sync.approve(planned.id)).run.merged == 0
    assert MERGE not in dict(sent(sync, mark))


async def test_merging_is_turned_on_after_the_approval(sync: Sync) -> None:
    """A plan that is made again with merging, after it was approved without, needs approval again."""
    async with sync.engine.database.write() as db:
        await mappings.change(db, (await sync.latest()).mapping_id, removal_policy=RemovalPolicy.ASK)
    planned = (await sync.mirror(AFTER[:2], user_id=MPID)).run
    assert await decide(sync.engine, planned.id, worker=sync.engine.presence.id) is Decision.RECORDED
    await allow_merging(sync)
    async with sync.engine.database.write() as db:
        await approvals.discard_plan(db, planned.id)
    mark = last(sync)
    await executor.execute(sync.engine, planned.id)
    again = (await sync.outcome(planned.id)).run
    assert again.plan is not None
    assert (again.status, again.plan.to_merge, sent(sync, mark)) == (RunStatus.NEEDS_APPROVAL, 2, [])
    assert {guard.name for guard in again.plan.guards} >= {GuardName.CHANGED_PLAN, GuardName.PROFILE_MERGES}


@pytest.mark.parametrize(
    "answer",
    [
        "409 ForgottenUserError",
        pytest.param("400 UnknownEmailError", marks=pytest.mark.extended),
        pytest.param("400 BadParams", marks=pytest.mark.extended),
    ],
)
async def test_merge_that_is_refused(sync: Sync, answer: str) -> None:
    """Then both profiles remain, as without merging."""
    await allow_merging(sync)
    sync.iterable.faults.add(Fault("answer", path=MERGE, answer=answer))
    outcome = await sync.mirror(AFTER, user_id=MPID, approved=True)
    assert (outcome.run.status, outcome.run.merged) == (RunStatus.SUCCEEDED, 0)
    await again(sync)
    assert profiles(sync) == {*EXPECTED, "1@placeholder.email"}


@pytest.mark.parametrize(
    ("path", "applied"),
    [
        (MERGE, True),
        pytest.param(MERGE, False, marks=pytest.mark.extended),
        pytest.param(RENAME, True, marks=pytest.mark.extended),
        pytest.param(RENAME, False, marks=pytest.mark.extended),
        pytest.param(SUBSCRIBE, True, marks=pytest.mark.extended),
        pytest.param(SUBSCRIBE, False, marks=pytest.mark.extended),
    ],
)
async def test_run_fails_in_the_middle_and_is_resumed(sync: Sync, path: str, applied: bool) -> None:
    """Whether the lost request took effect or not, the resumed run ends like an undisturbed one."""
    await allow_merging(sync)
    sync.iterable.faults.add(Fault("error", path=path, status=503, applied=applied))
    stopped = (await sync.mirror(AFTER, user_id=MPID, approved=True)).run
    assert stopped.status is RunStatus.FAILED
    sync.iterable.faults.clear()
    outcome = await sync.resume(stopped.id)
    assert (outcome.run.status, outcome.counts) == (RunStatus.SUCCEEDED, {"members": 3, "updated": 2, "unchanged": 1})
    await again(sync)
    assert profiles(sync) == EXPECTED


@pytest.mark.extended
async def test_person_on_two_lists(sync: Sync) -> None:
    """On another list of ours the merged person is not counted as certain, and the next sync adds them there."""
    await sync.mirror([Member(1)], user_id=MPID, list_id=OTHER_LIST, audience="Other")
    await allow_merging(sync)
    await sync.mirror(AFTER, user_id=MPID, approved=True)
    await sync.mirror([Member(1, "one@example.com")], user_id=MPID, list_id=OTHER_LIST, audience="Other")
    sync.iterable.state.project().apply_waiting()
    assert sync.emails(OTHER_LIST) == {"one@example.com"}
    await again(sync)


async def test_setting_is_audited_and_follows_the_project_type(sync: Sync) -> None:
    """A userID-based project has no placeholders, so merging can't be turned on there."""
    await allow_merging(sync)
    async with sync.engine.database.read() as db:
        connection = (await connections.everyone(db))[0]
        entry = (await audit_log.of(db, [f"connection:{connection.id}"]))[-1]
    assert (entry.before, entry.after) == ({"merge_profiles": False}, {"merge_profiles": True})
    changed: dict[str, Any] = {"by": "terminal", "team_id": None, "project_type": ProjectType.USER_ID}
    with pytest.raises(ValidationError, match="nothing to merge"):
        await manage.change(sync.engine, await the_connection(sync), **changed)


@pytest.mark.parametrize("is_on", sampled([True, False]))
async def test_hybrid_project(tmp_path: Path, is_on: bool) -> None:
    """A user with the address and without a user id is merged; one with another user id is another person."""
    clock = QuickClock()
    async with syncing(tmp_path, clock=clock.monotonic, project_type="hybrid") as sync:
        sync.engine.clock = clock
        await sync.mirror([Member(1), Member(2), Member(3)], user_id=MPID)
        async with IterableClient(sync.iterable.key, base_url=sync.iterable.url, limiter=NoRateLimit()) as client:
            await client.subscribe(OTHER_LIST, [("one@example.com", None), ("two@example.com", "other")])
        await allow_merging(sync, is_on=is_on)
        outcome = await sync.mirror([*AFTER[:2], Member(3, "three@example.com")], user_id=MPID, approved=True)
        assert outcome.run.plan is not None
        assert (outcome.run.merged, outcome.run.plan.to_merge) == ((1, 3) if is_on else (0, 0))
        assert outcome.rejected == {"iterable_conflict": 1 if is_on else 2}
        on_list = set(sync.iterable.state.members(LIST))
        first = ("one@example.com", "1") if is_on else ("1@placeholder.email", "1")
        assert on_list == {first, ("2@placeholder.email", "2"), ("three@example.com", "3")}


@pytest.mark.extended
async def test_one_profile_of_a_plan_that_was_made_again(tmp_path: Path) -> None:
    """If another run changes the ledger after the approval, the profile is merged nevertheless."""
    clock = QuickClock()
    async with syncing(tmp_path, clock=clock.monotonic, project_type="hybrid") as sync:
        sync.engine.clock = clock
        await sync.mirror(BEFORE[:1], user_id=MPID)
        async with IterableClient(sync.iterable.key, base_url=sync.iterable.url, limiter=NoRateLimit()) as client:
            await client.subscribe(OTHER_LIST, [("one@example.com", None)])
        await allow_merging(sync)
        waiting = (await sync.mirror(AFTER[:1], user_id=MPID)).run
        assert waiting.plan is not None
        assert (waiting.status, waiting.plan.to_merge) == (RunStatus.NEEDS_APPROVAL, 1)
        await sync.mirror([Member(9, "nine@example.com")], user_id=MPID, audience="Other")
        outcome = await sync.approve(waiting.id)
        assert (outcome.run.status, outcome.run.merged) == (RunStatus.SUCCEEDED, 1)
        assert set(sync.iterable.state.members(LIST)) == {("one@example.com", "1"), ("nine@example.com", "9")}
