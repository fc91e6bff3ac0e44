"""Iterable answers 500: because of one member, who is found and rejected, or during an outage, which stops the run."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.connections import manage
from core.delivery.isolation import OUTAGE_PROBES, TRIES, TRIES_ALONE
from core.identity import UserIdField
from core.iterable.responses import harmless_words
from core.planning import batching
from core.store import connections, rejections
from sandbox.iterable import Fault
from tests.core.databases import sampled
from tests.core.harness import OTHER_LIST, QUICK, Member, RunStatus, Sync, addresses, people, person, syncing

SUBSCRIBE, UNSUBSCRIBE, RENAME = "/api/lists/subscribe", "/api/lists/unsubscribe", "/api/users/updateEmail"
MPID = UserIdField.MPID


@pytest.fixture
async def sync(tmp_path: Path) -> AsyncIterator[Sync]:
    """An engine that gives up after a moment."""
    async with syncing(tmp_path, retry_policy=QUICK) as opened:
        yield opened


def crashing_address(number: int) -> str:
    """An address that makes the local Iterable fail."""
    return f"p{number}@crash.test"


@pytest.mark.extended
@pytest.mark.parametrize("place", sampled([0, 7, 19], 3))
async def test_one_member_of_the_only_batch(sync: Sync, place: int) -> None:
    """A member who makes Iterable fail is found and rejected with Iterable's words; the others are added."""
    members = [person(n, email=crashing_address(n)) if n == place else person(n) for n in range(20)]
    outcome = await sync.mirror(members)
    assert outcome.run.status is RunStatus.SUCCEEDED
    assert outcome.rejected == {"iterable_error": 1}
    assert outcome.counts == {"members": 20, "added": 19, "rejected": 1}
    assert sync.emails() == {f"p{n}@example.com" for n in range(20) if n != place}
    async with sync.engine.database.read_rows() as db:
        rejected = [each async for each in rejections.of_run(db, outcome.run.id)]
    assert [(each.email, each.words) for each in rejected] == [
        (crashing_address(place), "An error has occurred: failed to create user ...")
    ]


@pytest.mark.extended
async def test_next_sync_sends_the_member_again(sync: Sync) -> None:
    """The next sync sends a member again that was rejected after an error 500."""
    await sync.mirror([*people(range(5)), person(9, email=crashing_address(9))])
    assert (await sync.mirror([*people(range(5)), person(9)])).counts == {"members": 6, "unchanged": 5, "added": 1}


@pytest.mark.extended
async def test_several_members_of_several_batches(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members who make Iterable fail are found in different batches, even if all members of the last one do."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 8)
    members = [person(n, email=crashing_address(n)) if n in (3, 4, 30, 40) else person(n) for n in range(41)]
    outcome = await sync.mirror(members)
    assert outcome.run.status is RunStatus.SUCCEEDED
    assert outcome.rejected == {"iterable_error": 4}
    assert len(sync.emails()) == 37


@pytest.mark.extended
async def test_removal_of_one_member(sync: Sync) -> None:
    """A member whose removal makes Iterable fail is found and rejected."""
    await sync.mirror(people(range(20)))
    sync.iterable.faults.add(Fault("answer", answer="500", path=UNSUBSCRIBE, contains="p3@example.com"))
    outcome = await sync.mirror(people(range(10, 20)), approved=True)
    assert outcome.run.status is RunStatus.SUCCEEDED
    assert outcome.rejected == {"iterable_error": 1}
    assert outcome.counts["removed"] == 9


@pytest.mark.parametrize("size", sampled([2, 20], 2))
async def test_refused_and_failing_members_in_one_batch(sync: Sync, size: int) -> None:
    """Of a batch with a member who is refused and one who makes Iterable fail, each is rejected for its reason."""
    emails = {0: "p0@poison.test", 1: crashing_address(1)}
    outcome = await sync.mirror(person(n, email=emails.get(n, f"p{n}@example.com")) for n in range(size))
    assert outcome.run.status is RunStatus.SUCCEEDED
    assert outcome.rejected == {"iterable_error": 1, "iterable_invalid_data": 1}
    assert sync.emails() == addresses(range(2, size))


@pytest.mark.extended
async def test_rename_of_one_placeholder(sync: Sync) -> None:
    """A member whose rename makes Iterable fail keeps the placeholder, and is renamed when Iterable can do it."""
    await sync.mirror([Member(n) for n in range(1, 5)], user_id=MPID)
    after = [Member(1, "p1@example.com"), Member(2, crashing_address(2)), Member(3, "p3@example.com"), Member(4)]
    outcome = await sync.mirror(after, user_id=MPID)
    assert outcome.run.status is RunStatus.SUCCEEDED
    assert outcome.rejected == {"iterable_error": 1}
    assert outcome.counts == {"members": 4, "updated": 2, "unchanged": 1, "rejected": 1}
    placeholders = {"2@placeholder.email", "4@placeholder.email"}
    assert sync.emails() == {"p1@example.com", "p3@example.com", *placeholders}
    async with sync.engine.database.read_rows() as db:
        rejected = [each async for each in rejections.of_run(db, outcome.run.id)]
    assert [(each.email, each.words) for each in rejected] == [(crashing_address(2), "An error has occurred: ...")]
    after[1] = Member(2, "p2@example.com")
    assert (await sync.mirror(after, user_id=MPID)).counts == {"members": 4, "updated": 1, "unchanged": 3}
    assert sync.emails() == {*addresses(range(1, 4)), "4@placeholder.email"}


@pytest.mark.parametrize("members", sampled([1, 12], 2))
async def test_rename_fails_and_the_run_is_resumed(sync: Sync, members: int) -> None:
    """A resumed run does not subscribe a member under a new address whose placeholder is on the list still."""
    await sync.mirror([Member(n) for n in range(1, members + 1)], user_id=MPID)
    sync.iterable.faults.add(
        Fault("answer", answer="500", path=RENAME, contains='"1@placeholder.email'),
        Fault("error", status=503, path=SUBSCRIBE),
    )
    after = [Member(n, f"p{n}@example.com", None) for n in range(1, members + 1)]
    outcome = await sync.mirror([*after, person(99)], user_id=MPID)
    assert (outcome.run.status, outcome.run.error_code) == (RunStatus.FAILED, "unavailable")
    sync.iterable.faults.set([Fault("answer", answer="500", path=RENAME, contains='"1@placeholder.email')])
    resumed = await sync.resume(outcome.run.id)
    assert (resumed.run.status, resumed.rejected) == (RunStatus.SUCCEEDED, {"iterable_error": 1})
    assert sync.emails() == {*addresses(range(2, members + 1)), "p99@example.com", "1@placeholder.email"}


@pytest.mark.parametrize("project_type", sampled(["email", "hybrid"]))
async def test_merge_of_one_placeholder(tmp_path: Path, project_type: str) -> None:
    """A member whose merge makes Iterable fail is rejected; others are merged."""
    async with syncing(tmp_path, retry_policy=QUICK, project_type=project_type) as sync:
        await sync.mirror([Member(1), Member(2)], user_id=MPID)
        for number in (1, 2):
            await sync.subscribe_by_hand(f"p{number}@example.com", OTHER_LIST)
        async with sync.engine.database.read() as db:
            connection = (await connections.everyone(db))[0]
        await manage.change(sync.engine, connection, by="terminal", team_id=None, merges_profiles=True)
        sync.iterable.faults.add(Fault("answer", answer="500", path="/api/users/merge", contains="p1@example.com"))
        after = [Member(1, "p1@example.com"), Member(2, "p2@example.com")]
        outcome = await sync.mirror(after, user_id=MPID, approved=True)
        assert (outcome.run.status, outcome.rejected) == (RunStatus.SUCCEEDED, {"iterable_error": 1})
        assert (outcome.run.merged, outcome.counts["updated"]) == (1, 1)
        assert sync.emails() == {"1@placeholder.email", "p2@example.com"}


@pytest.mark.extended
async def test_outage_of_renames(sync: Sync) -> None:
    """A run stops if Iterable fails to rename anyone, and is resumed later."""
    await sync.mirror([Member(n) for n in range(1, 31)], user_id=MPID)
    sync.iterable.faults.add(Fault("answer", answer="500", path=RENAME))
    outcome = await sync.mirror([Member(n, f"p{n}@example.com") for n in range(1, 31)], user_id=MPID)
    assert (outcome.run.status, outcome.run.error_code) == (RunStatus.FAILED, "unavailable")
    assert outcome.rejected == {}
    assert outcome.run.requests <= 25
    sync.iterable.faults.clear()
    assert (await sync.resume(outcome.run.id)).counts == {"members": 30, "updated": 30}


@pytest.mark.parametrize(
    ("members", "requests"),
    [
        (200, QUICK.max_attempts + TRIES * OUTAGE_PROBES),
        pytest.param(1, 2 * TRIES_ALONE, marks=pytest.mark.extended),
    ],
)
async def test_outage(sync: Sync, members: int, requests: int) -> None:
    """A run stops after a few requests if all of them fail, rejects no member, and can be resumed."""
    sync.iterable.faults.add(Fault("answer", answer="500", path=SUBSCRIBE))
    outcome = await sync.mirror(people(range(members)))
    assert (outcome.run.status, outcome.run.error_code) == (RunStatus.FAILED, "unavailable")
    assert outcome.rejected == {}
    assert outcome.run.requests == requests
    sync.iterable.faults.clear()
    assert (await sync.resume(outcome.run.id)).counts == {"members": members, "added": members}


async def test_outage_that_begins_during_the_search(sync: Sync) -> None:
    """An outage during the search for a bad member rejects no member."""
    sync.iterable.faults.set(
        [
            Fault("answer", answer="500", path=SUBSCRIBE, times=3),
            Fault("answer", answer="500", path=SUBSCRIBE, after=1),
        ]
    )
    outcome = await sync.mirror(people(range(16)))
    assert (outcome.run.status, outcome.run.error_code) == (RunStatus.FAILED, "unavailable")
    assert outcome.rejected == {}


async def test_too_many_bad_members(sync: Sync) -> None:
    """A run stops if too many members of a batch fail, so that the number of requests stays limited."""
    members = [person(n, email=crashing_address(n) if n % 2 else f"p{n}@example.com") for n in range(100)]
    outcome = await sync.mirror(members)
    assert (outcome.run.status, outcome.run.error_code) == (RunStatus.FAILED, "unavailable")
    assert outcome.run.requests < 150


@pytest.mark.extended
@pytest.mark.parametrize(
    ("members", "bad", "status"), [(32, 13, RunStatus.SUCCEEDED), (20, 14, RunStatus.FAILED)], ids=["80 tries", "84"]
)
async def test_budget_of_a_search(sync: Sync, members: int, bad: int, status: RunStatus) -> None:
    """A search may spend 80 tries that fail: two for each part without a good member, and four for a bad one alone."""
    numbers = range(10, 10 + members)
    outcome = await sync.mirror(person(n, email=crashing_address(n)) if n < 10 + bad else person(n) for n in numbers)
    assert outcome.run.status is status
    assert outcome.rejected == ({"iterable_error": bad} if status is RunStatus.SUCCEEDED else {})


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Failed to create user ann@example.com", "Failed to create user ..."),
        ("user 12345 (id: c-17) failed", "user ... (id: ... failed"),
        ("key 0f0f0f0f0f0f, 'quoted' words", "key ... 'quoted' words"),
        ("error.users.failed: it's broken.", "error.users.failed: it's broken."),
        ("x" * 500, "x" * 200),
        (None, None),
        ("", None),
    ],
)
def test_words_without_personal_data(message: str | None, words: str | None) -> None:
    """Only plain words of Iterable's message are kept: no addresses, ids or keys."""
    assert harmless_words(message) == words
