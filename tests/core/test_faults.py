"""A run ends as the table of answers says, whatever Iterable answers or fails to answer, and its numbers add up."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from core.delivery import uploader
from core.identity import UserIdField
from core.iterable import InvalidApiKeyError, IterableClient, ListNotFoundError, ListNotStandardError, NoRateLimit
from core.planning import batching
from core.runs import commands, executor, rejected_members, worker
from core.store import batches, lists, rejections, runs
from core.store.batches import Batch, BatchStatus
from sandbox.iterable import Fault
from tests.core.databases import sampled
from tests.core.harness import (
    LIST,
    OTHER_LIST,
    QUICK,
    Member,
    Outcome,
    RunStatus,
    Sync,
    addresses,
    people,
    person,
    syncing,
)

DYNAMIC_LIST = 1003
MPID = UserIdField.MPID

SUBSCRIBE = "/api/lists/subscribe"
UNSUBSCRIBE = "/api/lists/unsubscribe"
RENAME = "/api/users/updateEmail"

#: Transient faults: each occurs twice, one time less than a run retries.
TRANSIENT = {
    "error": Fault("error", times=2),
    "busy": Fault("error", status=503, times=2),
    "timeout-page": Fault("html", status=504, times=2),
    "gateway-page": Fault("html", times=2),
    "reset-before": Fault("reset", times=2),
    "reset-after": Fault("reset", applied=True, times=2),
    "truncated": Fault("truncated", times=2),
    "cut": Fault("cut", times=2),
    "not-json": Fault("not_json", times=2),
}


@pytest.fixture
async def sync(tmp_path: Path) -> AsyncIterator[Sync]:
    """An engine that gives up after a moment."""
    async with syncing(tmp_path, retry_policy=QUICK) as opened:
        yield opened


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send ten members per request."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 10)


def assert_failed(outcome: Outcome, code: str) -> None:
    """Check that the run failed for this reason and can be resumed."""
    assert (outcome.run.status, outcome.run.error_code) == (RunStatus.FAILED, code)
    assert outcome.run.status.is_resumable


async def test_a_revoked_key_queues_no_run(sync: Sync) -> None:
    """Submitting a run with a revoked key fails and queues no run."""
    sync.iterable.state.keys[sync.iterable.key].status = "revoked"
    with pytest.raises(InvalidApiKeyError):
        await sync.submit(sync.mirror_file(people(range(3))))
    async with sync.engine.database.read() as db:
        assert await runs.latest(db, 1) == []


@pytest.mark.parametrize("status", sampled(["revoked", "forbidden"]))
async def test_key_refused_before_the_first_request(sync: Sync, status: str) -> None:
    """A run whose key is revoked while it is queued fails, and resumes when the key works again."""
    run_id = await sync.submit(sync.mirror_file(people(range(3))))
    key = sync.iterable.state.keys[sync.iterable.key]
    key.status = status  # type: ignore[assignment]
    await worker.start(sync.engine, run_id)
    assert_failed(await sync.outcome(run_id), "key_refused")
    assert sync.emails() == set()
    key.status = "active"
    assert (await sync.resume(run_id)).counts == {"members": 3, "added": 3}
    assert sync.emails() == addresses(range(3))


@pytest.mark.extended
async def test_key_refused_halfway_stops_all_runs_of_the_connection(sync: Sync, small_batches: None) -> None:
    """A refused key stops all runs of the connection without another request, and all can be resumed."""
    first = await sync.submit(sync.mirror_file(people(range(200))))
    second = await sync.submit(sync.mirror_file(people(range(50))), list_id=OTHER_LIST)
    sync.iterable.faults.set([Fault("error", path=SUBSCRIBE, status=401, code="BadApiKey", nth=5)])
    await worker.start(sync.engine, first)
    assert_failed(await sync.outcome(first), "key_refused")
    assert sync.emails() < addresses(range(200))
    await worker.start(sync.engine, second)
    assert_failed(await sync.outcome(second), "key_refused")
    assert (await sync.outcome(second)).run.requests == 0
    assert (await sync.resume(first)).counts == {"members": 200, "added": 200}
    assert (await sync.resume(second)).counts == {"members": 50, "added": 50}
    assert (sync.emails(), sync.emails(OTHER_LIST)) == (addresses(range(200)), addresses(range(50)))


async def test_resume_with_a_key_that_is_still_refused(sync: Sync) -> None:
    """A run that is resumed with a refused key sends one request and fails for the same reason."""
    run_id = await sync.submit(sync.mirror_file(people(range(3))))
    sync.iterable.state.keys[sync.iterable.key].status = "revoked"
    await worker.start(sync.engine, run_id)
    requests = (await sync.outcome(run_id)).run.requests
    again = await sync.resume(run_id)
    assert_failed(again, "key_refused")
    assert again.run.requests == requests + 1


@pytest.mark.parametrize("code", sampled(["BadParams", "Success"]))
async def test_list_deleted_halfway(sync: Sync, small_batches: None, code: str) -> None:
    """A run whose list is deleted fails, and keeps what it has done."""
    sync.iterable.settings.deleted_list_code = code
    await sync.mirror(people(range(20)))
    run_id = await sync.submit(sync.mirror_file(people(range(10, 120))))
    sync.iterable.faults.set(
        [Fault("error", path=SUBSCRIBE, status=400, code=code, msg="error.lists.invalidListId", after=3)]
    )
    await worker.start(sync.engine, run_id)
    halfway = await sync.outcome(run_id)
    assert_failed(halfway, "list_gone")
    assert halfway.counts["removed"] == 10
    sync.iterable.faults.clear()
    outcome = await sync.resume(run_id)
    assert outcome.counts == {"members": 110, "left": 10, "added": 100, "removed": 10, "unchanged": 10}
    assert sync.emails() == addresses(range(10, 120))


async def test_list_deleted_before_the_run(sync: Sync) -> None:
    """Submitting a run for a deleted list fails."""
    sync.iterable.state.lists[LIST].deleted = True
    with pytest.raises(ListNotFoundError):
        await sync.submit(sync.mirror_file(people(range(3))))


async def test_dynamic_list_is_refused(sync: Sync) -> None:
    """Submitting a run for a dynamic list fails."""
    with pytest.raises(ListNotStandardError):
        await sync.submit(sync.mirror_file(people(range(3))), list_id=DYNAMIC_LIST)


async def test_body_too_large_is_split(sync: Sync) -> None:
    """A request that is too large (413) is split."""
    sync.iterable.settings.max_body = 2_000
    outcome = await sync.mirror(people(range(300)))
    assert outcome.counts == {"members": 300, "added": 300}
    assert sync.emails() == addresses(range(300))


async def test_batch_too_large_is_split(sync: Sync) -> None:
    """A batch with too many members is split, also one of removals."""
    sync.iterable.settings.max_subscribers = 7
    await sync.mirror(people(range(60)))
    outcome = await sync.mirror(people(range(40, 90)))
    assert outcome.counts == {"members": 50, "left": 40, "added": 30, "removed": 40, "unchanged": 20}
    assert sync.emails() == addresses(range(40, 90))


async def test_member_larger_than_a_request_is_rejected(sync: Sync) -> None:
    """A member who alone exceeds the size limit is rejected, and the others are added."""
    sync.iterable.settings.max_body = 150
    outcome = await sync.mirror([person(1), person(2, email=f"{'x' * 60}@{'y' * 60}.example.com"), person(3)])
    assert outcome.counts == {"members": 3, "added": 2, "rejected": 1}
    assert outcome.rejected == {"iterable_invalid_data": 1}
    assert sync.emails() == {"p1@example.com", "p3@example.com"}


async def test_bad_members_are_found_among_the_others(sync: Sync) -> None:
    """Bad members that make Iterable refuse a whole request (400) are found by halving it and rejected alone."""
    bad = [person(number, email=f"p{number}@poison.test") for number in (3, 4, 90)]
    outcome = await sync.mirror([*people(range(10, 80)), *bad])
    assert outcome.counts == {"members": 73, "added": 70, "rejected": 3}
    assert outcome.rejected == {"iterable_invalid_data": 3}
    async with sync.engine.database.read_rows() as db:
        named = {rejection.member_key async for rejection in rejections.of_run(db, outcome.run.id)}
    assert named == {"3", "4", "90"}
    assert sync.emails() == addresses(range(10, 80))


@pytest.mark.parametrize("retry_after", [1.0, None])
async def test_too_many_requests_is_not_a_failure(sync: Sync, retry_after: float | None) -> None:
    """A run waits after a 429, and counts it as throttled and not as a retry."""
    sync.iterable.faults.set([Fault("throttle", path=SUBSCRIBE, times=1, retry_after=retry_after)])
    outcome = await sync.mirror(people(range(30)))
    assert outcome.counts == {"members": 30, "added": 30}
    assert (outcome.run.throttled, outcome.run.retries) == (1, 0)
    assert sync.emails() == addresses(range(30))


@pytest.mark.extended
async def test_endless_throttling(tmp_path: Path) -> None:
    """A run fails if another program uses up the project's rate limit, and can be resumed."""
    async with syncing(tmp_path, retry_policy=QUICK) as sync:
        run_id = await sync.submit(sync.mirror_file(people(range(3))))
        sync.iterable.faults.set([Fault("throttle", path=SUBSCRIBE, retry_after=0.0)])
        await worker.start(sync.engine, run_id)
        assert_failed(await sync.outcome(run_id), "throttled")
        sync.iterable.faults.clear()
        assert (await sync.resume(run_id)).counts == {"members": 3, "added": 3}


@pytest.mark.parametrize("fault", sampled(TRANSIENT, 5))
async def test_transient_fault_is_retried(sync: Sync, fault: str) -> None:
    """A transient fault is retried and changes neither the numbers nor the list."""
    await sync.mirror(people(range(20)))
    rule = TRANSIENT[fault]
    for path in (UNSUBSCRIBE, SUBSCRIBE):
        rule.path, rule.hits, rule.matched = path, 0, 0
        sync.iterable.faults.set([rule])
        before = len(sync.emails())
        expected = range(15) if path == UNSUBSCRIBE else range(30)
        outcome = await sync.mirror(people(expected), approved=True)
        assert sum(outcome.counts.get(name, 0) for name in ("added", "removed")) == abs(len(expected) - before)
        assert outcome.run.counters.missing == 0
        assert outcome.run.retries == 2
        assert sync.emails() == addresses(expected)


async def test_lasting_fault(sync: Sync, small_batches: None) -> None:
    """A lasting fault fails the run; once resumed, it makes the list equal and its numbers add up."""
    await sync.mirror(people(range(30)))
    run_id = await sync.submit(sync.mirror_file(people(range(20, 150))))
    sync.iterable.faults.set([Fault("error", path=SUBSCRIBE, after=3)])
    await worker.start(sync.engine, run_id)
    assert_failed(await sync.outcome(run_id), "unavailable")
    assert_failed(await sync.resume(run_id), "unavailable")
    sync.iterable.faults.clear()
    outcome = await sync.resume(run_id)
    assert outcome.counts == {"members": 130, "left": 20, "added": 120, "removed": 20, "unchanged": 10}
    assert sync.emails() == addresses(range(20, 150))


@pytest.mark.extended
@pytest.mark.parametrize("applied", sampled([True, False]))
async def test_unanswered_additions_of_leavers(sync: Sync, small_batches: None, applied: bool) -> None:
    """The next run removes leavers whose addition was never answered."""
    await sync.mirror(people(range(10)))
    run_id = await sync.submit(sync.mirror_file(people(range(60))))
    sync.iterable.faults.set([Fault("reset", path=SUBSCRIBE, applied=applied, after=2)])
    await worker.start(sync.engine, run_id)
    assert_failed(await sync.outcome(run_id), "unreachable")
    sync.iterable.faults.clear()
    outcome = await sync.mirror(people(range(5, 15)), approved=True)
    assert outcome.run.counters.missing == 0
    assert sync.emails() == addresses(range(5, 15))
    assert (await sync.mirror(people(range(5, 15)))).run.requests == 0


@pytest.mark.extended
@pytest.mark.parametrize("applied", sampled([True, False]))
async def test_unanswered_removals_of_returning_members(sync: Sync, small_batches: None, applied: bool) -> None:
    """A member who returns after a removal without an answer ends on the list."""
    await sync.mirror(people(range(40)))
    run_id = await sync.submit(sync.mirror_file(people(range(10))), approved=True)
    sync.iterable.faults.set([Fault("reset", path=UNSUBSCRIBE, applied=applied)])
    await worker.start(sync.engine, run_id)
    assert_failed(await sync.outcome(run_id), "unreachable")
    sync.iterable.faults.clear()
    outcome = await sync.mirror(people(range(25)), approved=True)
    assert outcome.run.counters.missing == 0
    assert sync.emails() == addresses(range(25))


async def test_unattributed_failures(sync: Sync) -> None:
    """A failure that Iterable counts but does not name is counted, and makes the whole batch uncertain."""
    nameless = person(99, email="p99@unattributed.test")
    for _ in range(2):  # the second time, all members are sent again
        outcome = await sync.mirror([*people(range(10)), nameless])
        assert outcome.counts == {"members": 11, "added": 10, "rejected": 1}
        assert outcome.rejected == {"iterable_unattributed": 1}
    async with sync.engine.database.read_rows() as db:
        assert [rejection.member_key async for rejection in rejections.of_run(db, outcome.run.id)] == [None]
    sync.iterable.faults.set([])
    corrected = [*people(range(10)), person(99)]
    assert (await sync.mirror(corrected)).counts == {"members": 11, "added": 10, "updated": 1}
    assert sync.emails() == addresses(range(10)) | {"p99@example.com"}
    # the former address may still be on the list, so it is removed again
    assert (await sync.mirror(corrected)).counts == {"members": 11, "unchanged": 11}
    log = sync.iterable.state.log.find("/api/lists/unsubscribe")
    assert [record.subscribers for record in log] == [1, 1]


@pytest.mark.extended
async def test_unattributed_removal_failures(sync: Sync) -> None:
    """The next run repeats the removals of a batch with an unattributed failure."""
    await sync.mirror(people(range(10)))
    leavers = [*people(range(5)), person(99, email="p99@unattributed.test")]
    outcome = await sync.delta(left=leavers)
    assert outcome.counts == {"left": 6, "removed": 5, "rejected": 1}
    outcome = await sync.mirror(people(range(5, 10)), approved=True)
    assert outcome.counts == {"members": 5, "left": 6, "removed": 5, "unchanged": 5, "rejected": 1}
    assert sync.emails() == addresses(range(5, 10))


async def test_failures_are_attributed_in_any_case(sync: Sync) -> None:
    """An email that Iterable returns in another case is attributed to its member."""
    sync.iterable.settings.email_case = "upper"
    outcome = await sync.mirror([person(1), person(2, email="p2@forgotten.test"), person(3, email="p3@conflict.test")])
    assert outcome.counts == {"members": 3, "added": 1, "rejected": 2}
    assert outcome.rejected == {"iterable_conflict": 1, "iterable_forgotten": 1}


@pytest.mark.extended
async def test_rename_whose_answer_was_lost(sync: Sync) -> None:
    """A rename that was applied but not answered counts once, and other lists use the new address."""
    await sync.mirror([Member(7), person(1)], user_id=MPID, list_id=OTHER_LIST)
    await sync.mirror([Member(7), person(1)], user_id=MPID)
    sync.iterable.faults.set([Fault("reset", path=RENAME, applied=True, times=1)])
    outcome = await sync.mirror([person(7), person(1)], user_id=MPID)
    assert outcome.counts == {"members": 2, "updated": 1, "unchanged": 1}
    assert sync.emails() == {"p7@example.com", "p1@example.com"}
    await sync.mirror([person(1)], user_id=MPID, list_id=OTHER_LIST)
    assert sync.emails(OTHER_LIST) == {"p1@example.com"}


@pytest.mark.extended
@pytest.mark.parametrize("applied", sampled([True, False]))
async def test_rename_of_a_run_that_failed_reaches_the_other_lists(sync: Sync, applied: bool) -> None:
    """A member with an unanswered rename is removed from other lists under both addresses."""
    for list_id in (LIST, OTHER_LIST):
        await sync.mirror([Member(7), person(1)], user_id=MPID, list_id=list_id)
    run_id = await sync.submit(sync.mirror_file([person(7), person(1)]), user_id=MPID)
    sync.iterable.faults.set([Fault("reset", path=RENAME, applied=applied)])
    await worker.start(sync.engine, run_id)
    assert_failed(await sync.outcome(run_id), "unreachable")
    sync.iterable.faults.clear()
    for list_id in (LIST, OTHER_LIST):
        await sync.mirror([person(1)], user_id=MPID, list_id=list_id)
        assert sync.emails(list_id) == {"p1@example.com"}


@pytest.mark.extended
@pytest.mark.parametrize("applied", sampled([True, False]))
async def test_placeholder_goes_when_another_mapping_has_the_real_address(sync: Sync, applied: bool) -> None:
    """A placeholder whose rename failed is removed even if another mapping has added the real address."""
    await sync.mirror([Member(7), person(1)], user_id=MPID, audience="first")
    await sync.mirror([person(70, email="p7@example.com")], user_id=MPID, audience="second")
    run_id = await sync.submit(sync.mirror_file([person(7), person(1)], "first"), user_id=MPID, audience="first")
    sync.iterable.faults.set([Fault("reset", path=RENAME), Fault("reset", path=UNSUBSCRIBE, applied=applied)])
    await worker.start(sync.engine, run_id)
    assert_failed(await sync.outcome(run_id), "unreachable")
    sync.iterable.faults.clear()
    await sync.mirror([person(7), person(1)], user_id=MPID, audience="first")
    assert sync.emails() == {"p7@example.com", "p1@example.com"}


@pytest.mark.extended
async def test_former_address_is_not_forgotten_by_a_run_that_failed(sync: Sync, small_batches: None) -> None:
    """The next run removes the former addresses of members who share an address since a failed run."""
    await sync.mirror(people(range(200)))
    shared = [*people(range(100)), *(person(100 + n, email=f"p{n}@example.com") for n in range(100))]
    run_id = await sync.submit(sync.mirror_file(shared), approved=True)
    sync.iterable.faults.set([Fault("error", path=UNSUBSCRIBE)])
    await worker.start(sync.engine, run_id)
    assert_failed(await sync.outcome(run_id), "unavailable")
    sync.iterable.faults.clear()
    outcome = await sync.mirror(shared, approved=True)
    assert outcome.counts == {"members": 200, "unchanged": 100, "duplicates": 100}
    assert sync.emails() == addresses(range(100))


@pytest.mark.extended
@pytest.mark.parametrize("field", sampled(UserIdField))
async def test_address_that_changes_hands_in_a_run_that_failed(
    sync: Sync, small_batches: None, field: UserIdField
) -> None:
    """An address that passed from one member to another in a failed run is removed from the list."""
    await sync.mirror([*people(range(100)), person(500)], user_id=field)
    moved = [person(n, email=f"new{n}@example.com") for n in range(100)]
    heirs = [person(1000 + n, email=f"p{n}@example.com") for n in range(100)]
    run_id = await sync.submit(sync.mirror_file([*moved, *heirs, person(500)]), user_id=field)
    sync.iterable.faults.set([Fault("error", path=SUBSCRIBE, after=10)])  # all the updates and none of the additions
    await worker.start(sync.engine, run_id)
    assert (await sync.outcome(run_id)).counts["updated"] == 100
    sync.iterable.faults.clear()
    outcome = await sync.mirror([*moved, person(500)], user_id=field, approved=True)
    assert outcome.run.counters.missing == 0
    assert sync.emails() == {"p500@example.com"} | {f"new{n}@example.com" for n in range(100)}


@pytest.mark.extended
async def test_addresses_swapped_in_a_run_that_failed(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members who swapped addresses in a failed run are all removed when they leave."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 1)
    await sync.mirror([*people(range(40)), person(500)])
    swapped = [person(n, email=f"p{39 - n}@example.com") for n in range(40)]
    run_id = await sync.submit(sync.mirror_file([*swapped, person(500)]))
    sync.iterable.faults.set([Fault("error", path=SUBSCRIBE, after=8)])
    await worker.start(sync.engine, run_id)
    assert (await sync.outcome(run_id)).counts == {"members": 41, "updated": 8, "unchanged": 1}
    sync.iterable.faults.clear()
    await sync.mirror([person(500)], approved=True)
    assert sync.emails() == {"p500@example.com"}


@pytest.mark.extended
async def test_refused_address_does_not_keep_the_former_one_for_another_mapping(sync: Sync) -> None:
    """A former address is removed when the other mapping drops it, even if Iterable refused the new one."""
    for audience in ("first", "second"):
        await sync.mirror([person(1), person(2)], audience=audience)
    refused = [person(1, email="p1@forgotten.test"), person(2)]
    assert (await sync.mirror(refused, audience="first")).rejected == {"iterable_forgotten": 1}
    await sync.mirror([person(2)], audience="second")
    assert sync.emails() == {"p2@example.com"}


async def test_maximum_of_unanswered_batches(sync: Sync, small_batches: None) -> None:
    """All batches that a process may leave unanswered are sent again and counted once."""
    members = 10 * (uploader.MOST_SENT + 1)
    run_id = await sync.submit(sync.mirror_file(people(range(members))))
    sync.iterable.faults.set([Fault("error", path=SUBSCRIBE)])
    await worker.start(sync.engine, run_id)
    async with sync.engine.database.write() as db:
        open_batches = await batches.open_batches(db, run_id, BatchStatus.PLANNED, limit=uploader.MOST)
        await batches.set_state(db, [batch.id for batch in open_batches], BatchStatus.SENT)
        assert (
            len(await lists.unanswered_batches(db, (await sync.outcome(run_id)).run.connection_id, LIST, ""))
            == uploader.MOST_SENT
        )
    sync.iterable.faults.clear()
    outcome = await sync.resume(run_id)
    assert outcome.run.status is RunStatus.SUCCEEDED
    assert outcome.counts == {"members": members, "added": members}


async def test_renamed_again_before_the_first_rename_was_answered(sync: Sync) -> None:
    """A placeholder that is renamed twice, once without an answer, leaves no address behind."""
    await sync.mirror([Member(1), Member(2)], user_id=MPID)
    sync.iterable.faults.add(Fault("reset", path=RENAME, applied=True))
    assert_failed(await sync.mirror([Member(1, "one@example.com"), Member(2)], user_id=MPID), "unreachable")
    sync.iterable.faults.clear()
    await sync.mirror([Member(1, "uno@example.com"), Member(2)], user_id=MPID)
    assert sync.emails() == {"uno@example.com", "2@placeholder.email"}


async def test_former_address_whose_removal_failed(sync: Sync) -> None:
    """The next sync removes a former address whose removal Iterable refused."""
    await sync.mirror(people([1, 2]))
    sync.iterable.faults.add(Fault("error", path=UNSUBSCRIBE, status=400, code="BadParams"))
    await sync.mirror([person(1, email="one@example.com"), person(2)])
    sync.iterable.faults.clear()
    await sync.mirror([person(1, email="one@example.com"), person(2)])
    assert sync.emails() == {"one@example.com", "p2@example.com"}


@pytest.mark.extended
@pytest.mark.parametrize("applied", sampled([True, False]))
async def test_rename_that_is_not_retried(tmp_path: Path, database_url: str, applied: bool) -> None:
    """A placeholder whose rename failed is removed from all lists, even after the User ID setting has changed."""
    async with syncing(tmp_path, database_url, QUICK) as sync:
        for list_id in (LIST, OTHER_LIST):
            await sync.mirror([Member(7), person(1)], user_id=MPID, list_id=list_id)
        sync.iterable.faults.add(Fault("reset", path=RENAME, applied=applied))
        assert_failed(await sync.mirror([person(7), person(1)], user_id=MPID), "unreachable")
        sync.iterable.faults.clear()
        await sync.mirror([person(7), person(1)])
        assert sync.emails() == {"p7@example.com", "p1@example.com"}
        await sync.mirror([person(1)], list_id=OTHER_LIST)
        assert sync.emails(OTHER_LIST) == {"p1@example.com"}
        await sync.mirror([person(1)])
        assert sync.emails() == {"p1@example.com"}
        assert (await sync.mirror([person(1)])).run.requests == 0


@pytest.mark.parametrize("applied", sampled([True, False]))
async def test_rename_to_an_address_that_others_have(sync: Sync, applied: bool) -> None:
    """A placeholder whose rename failed is removed even if its member now shares an address."""
    await sync.mirror([Member(7), person(1)], user_id=MPID)
    sync.iterable.faults.add(Fault("reset", path=RENAME, applied=applied))
    assert_failed(await sync.mirror([person(7), person(1)], user_id=MPID), "unreachable")
    sync.iterable.faults.clear()
    await sync.mirror([person(7, email="p1@example.com"), person(1)], user_id=MPID)
    assert sync.emails() == {"p1@example.com"}
    assert (await sync.mirror([person(7, email="p1@example.com"), person(1)], user_id=MPID)).run.requests == 0


@pytest.mark.extended
@pytest.mark.parametrize("applied", sampled([True, False]))
async def test_leaver_whose_rename_failed_is_removed_by_address(
    tmp_path: Path, database_url: str, applied: bool
) -> None:
    """A leaver with an unanswered rename is removed by address, and no other person with the same user id is.

    User ids are not unique in an email-based project.
    """
    async with syncing(tmp_path, database_url, QUICK) as sync:
        for list_id in (LIST, OTHER_LIST):
            await sync.mirror([person(1)], user_id=MPID, list_id=list_id)
            async with IterableClient(sync.iterable.key, base_url=sync.iterable.url, limiter=NoRateLimit()) as client:
                await client.subscribe(list_id, [("other@example.com", "7")])
            await sync.mirror([Member(7), person(1)], user_id=MPID, list_id=list_id)
        sync.iterable.faults.add(Fault("reset", path=RENAME, applied=applied))
        assert_failed(await sync.mirror([person(7), person(1)], user_id=MPID), "unreachable")
        sync.iterable.faults.clear()
        for list_id in (LIST, OTHER_LIST):
            outcome = await sync.mirror([person(1)], user_id=MPID, list_id=list_id)
            assert outcome.counts == {"members": 1, "left": 1, "removed": 1, "unchanged": 1}
            assert sync.emails(list_id) == {"other@example.com", "p1@example.com"}
            assert (await sync.mirror([person(1)], user_id=MPID, list_id=list_id)).run.requests == 0


async def retry_rejected(sync: Sync, run_id: str) -> Outcome:
    """Retry the rejected members of a run, as *Retry rejected* does."""
    sync.engine.fetchers[rejected_members.REJECTED_SCHEME] = lambda address, folder: rejected_members.write_rejected(
        sync.engine, address, folder
    )
    retry_id = await commands.retry_rejected(sync.engine, run_id, by="U1", channel=None, team_id=None)
    assert await executor.execute(sync.engine, retry_id) is RunStatus.SUCCEEDED
    return await sync.outcome(retry_id)


@pytest.mark.parametrize("field", sampled(list(UserIdField)))
async def test_forgotten_member_is_sent_once(tmp_path: Path, database_url: str, field: UserIdField) -> None:
    """A member that Iterable forgot is rejected in each sync, but sent only once until the identity changes."""
    async with syncing(tmp_path, database_url, QUICK) as sync:
        sync.iterable.state.project().forgotten_emails.add("p2@example.com")
        first = await sync.mirror(people([1, 2]), user_id=field)
        again = await sync.mirror(people([1, 2]), user_id=field)
        assert first.rejected == again.rejected == {"iterable_forgotten": 1}
        assert (first.run.requests, again.run.requests) == (1, 0)
        assert again.counts == {"members": 2, "unchanged": 1, "rejected": 1}
        other = await sync.mirror([person(1), person(2, email="two@example.com")], user_id=field)
        assert other.counts == {"members": 2, "added": 1, "unchanged": 1}
        assert sync.emails() == {"p1@example.com", "two@example.com"}


@pytest.mark.extended
async def test_forgotten_member_is_sent_on_retry(sync: Sync) -> None:
    """Retrying sends a member again once Iterable no longer lists it as forgotten; then it is like any other."""
    forgotten = sync.iterable.state.project().forgotten_emails
    forgotten.add("p2@example.com")
    refused = await sync.mirror(people([1, 2]))
    still = await retry_rejected(sync, refused.run.id)
    assert (still.rejected, still.run.requests) == ({"iterable_forgotten": 1}, 0)
    assert (await sync.mirror(people([1, 2]))).run.requests == 0
    forgotten.clear()
    assert (await retry_rejected(sync, still.run.id)).counts == {"members": 1, "added": 1}
    await sync.mirror(people([1]))
    assert (await sync.mirror(people([1, 2]))).counts == {"members": 2, "added": 1, "unchanged": 1}
    assert sync.emails() == {"p1@example.com", "p2@example.com"}


async def test_end_of_the_batches_is_read_once(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no batch is left, the database is asked only once, not by every sender."""
    states, open_batches = [], batches.open_batches

    async def counted(db: AsyncConnection, run_id: str, state: BatchStatus, **options: Any) -> list[Batch]:
        states.append(state)
        return await open_batches(db, run_id, state, **options)

    monkeypatch.setattr(batches, "open_batches", counted)
    outcome = await sync.mirror(people(range(3)))
    assert outcome.counts == {"members": 3, "added": 3}
    assert states.count(BatchStatus.PLANNED) == 1


# A Parquet file with a negative size in a column of timestamps.
NEGATIVE_SIZE = base64.b64decode(
    "UEFSMRUEFQoVCkwVAhUAEgAAAQAAAHgVABUSFRIsFQIVEBUGFQYcNgAoAXgYAXgREQAAAAIAAAACAQECABUAFQ4VDiwBAAAYCJax"
    "xytzAQAAFgAoCJaxxytzAQAAGAiWsccrcwEAABERAAAAAgAAAAIBAQIAFQQZTDUAGAZzY2hlbWEVBgAVDCUCGAtjdXN0b21lcl9p"
    "ZCUATBwAAAAVACUCGAVpc2FkZAAVBCUCGAl0aW1lc3RhbXAlEkyMEhwcAAAAAAAWAhkcGTwmABwVDBk1AAYQGRgLY3VzdG9tZXJf"
    "aWQVABYCFnIWciYuJggcNgAoAXgYAXgREQAZLBUEFQAVAgAVABUQFQIAPBYCGQYZJgACAAAAJgAcFQAZJQYAGRgFaXNhZGQVABYC"
    "FlQWVCZ6PBgBARgBARYAKAEBGAEBEREAGRwVABUAFQIAPCkGGSYAAgAAACYAHBUEGTUABhAZGAl0aW1lc3RhbXAVABYCFrwBFv//"
    "//8BJs4BHBgIlrHHK3MBAAAYCJaxxytzAQAAFgAoCJaxxytzAQAAGAiWsccrcwEAABERABksFQQVABUCABUAFRAVAgA8KQYZJgAC"
    "AAAAFoIDFgImCBaCAwAZHBgMQVJST1c6c2NoZW1hGKwCLy8vLy85Z0FBQUFRQUFBQUFBQUtBQXdBQmdBRkFBZ0FDZ0FBQUFBQkJB"
    "QU1BQUFBQ0FBSUFBQUFCQUFJQUFBQUJBQUFBQU1BQUFCNEFBQUFQQUFBQUFRQUFBQ2svLy8vQUFBQkNoQUFBQUFnQUFBQUJBQUFB"
    "QUFBQUFBSkFBQUFkR2x0WlhOMFlXMXdBQVlBQ0FBR0FBWUFBQUFBQUFFQTJQLy8vd0FBQVFZUUFBQUFHQUFBQUFRQUFBQUFBQUFB"
    "QlFBQUFHbHpZV1JrQUFBQXhQLy8veEFBRkFBSUFBWUFCd0FNQUFBQUVBQVFBQUFBQUFBQkJSQUFBQUFnQUFBQUJBQUFBQUFBQUFB"
    "TEFBQUFZM1Z6ZEc5dFpYSmZhV1FBQkFBRUFBUUFBQUE9ABggcGFycXVldC1jcHAtYXJyb3cgdmVyc2lvbiAyNi4wLjEZPBwAABwA"
    "ABwAAADJAgAAUEFSMQ=="
)


async def test_a_file_that_invalidates_the_duckdb_workspace(sync: Sync) -> None:
    """A file that invalidates DuckDB's database fails with a clear error, and the next run gets a new workspace."""
    path = sync.mirror_file([]).with_suffix(".parquet")
    path.write_bytes(NEGATIVE_SIZE)
    refused = (await sync.run(path)).run
    assert refused.status is RunStatus.FAILED
    assert "is not a Parquet file that can be read" in (refused.error or "")
    assert refused.requests == 0
    assert (await sync.mirror(people(range(3)))).counts == {"members": 3, "added": 3}
