"""Taking over a list that mParticle's hosted extension has filled: who is ours, who stays, who leaves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.identity import UserIdField
from core.models.run import GuardName, OthersOnList
from core.runs import worker
from core.runs.undo import undo
from core.store import audit_log
from sandbox.iterable.hosted_extension import HostedProfile, fill_list
from tests.core.harness import LIST, QUICK, Member, Outcome, RunStatus, Sync, people, person, syncing

#: The members of the audience. The fourth has no email.
AUDIENCE = [*people([1, 2, 3]), Member(4, customer_id="c4")]


@pytest.fixture
async def sync(tmp_path: Path, database_url: str) -> AsyncIterator[Sync]:
    """An engine on each kind of database."""
    async with syncing(tmp_path, database_url, QUICK) as opened:
        yield opened


def fill_as_hosted(sync: Sync, *numbers: int, by_mpid: bool) -> None:
    """Fill the list as the hosted extension does, with people of these numbers."""
    profiles = [HostedProfile(number, f"p{number}@example.com", f"c{number}") for number in numbers]
    fill_list(sync.iterable.state, LIST, profiles, by_mpid=by_mpid)


def joins(sync: Sync) -> int:
    """How many joins and leaves the list has seen."""
    return sum(joined + left for _, _, joined, left in sync.iterable.state.history(LIST))


async def adopt(sync: Sync, members: list[Member], others: OthersOnList, user_id: UserIdField) -> tuple[Outcome, str]:
    """Take the list over, with approval. Returns the outcome and what the approver read."""
    waiting = await sync.mirror(members, adopts=others, user_id=user_id)
    assert waiting.run.status is RunStatus.NEEDS_APPROVAL, waiting.run.error
    assert waiting.run.plan is not None
    assert waiting.run.plan.guards[0].name is GuardName.ADOPTED_LIST
    done = await sync.approve(waiting.run.id)
    assert done.run.status is RunStatus.SUCCEEDED, done.run.error
    assert done.run.counters.missing == 0
    return done, waiting.run.plan.guards[0].message


async def test_members_on_the_list_become_ours(sync: Sync) -> None:
    """Members on the list are recorded and not sent again, others stay, and leavers are removed later."""
    fill_as_hosted(sync, 1, 2, 3, 8, by_mpid=False)
    moves = joins(sync)

    done, message = await adopt(sync, AUDIENCE[:3], OthersOnList.LEAVE, UserIdField.CUSTOMER_ID)

    assert "4 people are on it: 3 belong to the audience, and 1 stay" in message
    assert (done.run.requests, joins(sync)) == (0, moves)
    async with sync.engine.database.read() as db:
        entries = await audit_log.of(db, [f"run:{done.run.id}"])
    assert [entry.after["adopts"] for entry in entries if entry.after and "adopts" in entry.after] == ["leave"]
    later = await sync.mirror([person(1), person(2)])
    assert later.counts == {"members": 2, "left": 1, "unchanged": 2, "removed": 1}
    assert sync.emails() == {"p1@example.com", "p2@example.com", "p8@example.com"}


async def test_others_leave_with_approval(sync: Sync) -> None:
    """Others leave like members who left the audience, a missing member is added, and an undo puts the others back."""
    fill_as_hosted(sync, 1, 2, 8, 9, by_mpid=False)

    done, message = await adopt(sync, AUDIENCE[:3], OthersOnList.REMOVE, UserIdField.CUSTOMER_ID)

    assert "2 would be removed" in message
    assert done.counts == {"members": 3, "left": 2, "added": 1, "removed": 2, "duplicates": 2}
    assert sync.emails() == {"p1@example.com", "p2@example.com", "p3@example.com"}
    assert (await sync.mirror(AUDIENCE[:3])).counts == {"members": 3, "unchanged": 3}
    undo_id = await undo(sync.engine, done.run.id, by="U1", team_id=None, channel="C1")
    await worker.start(sync.engine, undo_id)
    assert (await sync.approve(undo_id)).run.status is RunStatus.SUCCEEDED
    assert {"p8@example.com", "p9@example.com"} <= sync.emails()


@pytest.mark.extended
async def test_placeholders_are_recognised(sync: Sync) -> None:
    """A placeholder of an mpid belongs to its member, who is renamed if they have an email by now; one of a device to
    no one."""
    state = sync.iterable.state
    hosted = [HostedProfile(1), HostedProfile(4), HostedProfile(2, "p2@example.com"), HostedProfile(9)]
    fill_list(state, LIST, hosted, by_mpid=True)
    fill_list(state, LIST, [HostedProfile(7, device_id="6f1d-IDFV")], by_mpid=False)

    done, message = await adopt(sync, AUDIENCE, OthersOnList.REMOVE, UserIdField.MPID)

    assert "2 of those are placeholders that mParticle made: 1 of profiles that left, 1 of devices." in message
    assert done.counts == {"members": 4, "left": 2, "added": 1, "updated": 1, "removed": 2, "duplicates": 2}
    assert sync.emails() == {"p1@example.com", "p2@example.com", "p3@example.com", "4@placeholder.email"}


async def test_additions_and_removals_leave_the_others(sync: Sync) -> None:
    """A file that is not the whole audience can't remove the others: the run fails, and nothing is sent."""
    fill_as_hosted(sync, 1, by_mpid=False)

    failed = await sync.delta([person(1)], adopts=OthersOnList.REMOVE)

    assert failed.run.status is RunStatus.FAILED
    assert "leave the others" in (failed.run.error or "")
    assert sync.emails() == {"p1@example.com"}


@pytest.mark.extended
async def test_changes_between_preview_and_approval(sync: Sync) -> None:
    """If a sync changes the list after the preview, the list is read again. What goes further is asked again, and who
    was on the list is still not sent."""
    fill_as_hosted(sync, 1, 2, 8, by_mpid=False)
    waiting = await sync.mirror(AUDIENCE[:3], audience="Spring", adopts=OthersOnList.REMOVE)
    assert (await sync.delta([person(3)], audience="Loyal")).run.status is RunStatus.SUCCEEDED
    fill_as_hosted(sync, 9, by_mpid=False)

    again = await sync.approve(waiting.run.id)

    assert again.run.status is RunStatus.NEEDS_APPROVAL, again.run.error
    assert again.run.plan is not None
    assert (again.run.plan.to_add, again.run.plan.to_remove) == (0, 2)
    assert again.run.plan.guards[0].name is GuardName.CHANGED_PLAN
    done = await sync.approve(waiting.run.id)
    assert done.run.counters.missing == 0
    assert sync.emails() == {"p1@example.com", "p2@example.com", "p3@example.com"}
    joined = {email: joins for email, _, joins, _ in sync.iterable.state.history(LIST)}
    assert joined["p1@example.com"] == joined["p2@example.com"] == 1
