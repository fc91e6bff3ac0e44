"""Whole runs against the local Iterable: the list ends up equal to the audience, and every member is accounted for."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.identity import UserIdField
from tests.core.databases import on_both
from tests.core.harness import LIST, OTHER_LIST, Member, RunStatus, Sync, people, person, syncing


@pytest.fixture
async def sync(tmp_path: Path, database_url: str) -> AsyncIterator[Sync]:
    """An engine on each kind of database."""
    async with syncing(tmp_path, database_url) as it:
        yield it


async def test_first_mirror_adds_everybody(sync: Sync) -> None:
    """A first mirror puts all members on the list."""
    outcome = await sync.mirror(people(range(2500)))
    assert outcome.counts == {"members": 2500, "added": 2500}
    assert len(sync.emails()) == 2500


async def test_unchanged_audience_sends_nothing(sync: Sync) -> None:
    """A second run of the same audience costs no request."""
    await sync.mirror(people(range(50)))
    outcome = await sync.mirror(people(range(50)))
    assert outcome.counts == {"members": 50, "unchanged": 50}
    assert outcome.run.requests == 0


@on_both
async def test_leavers_and_joiners(sync: Sync) -> None:
    """A mirror takes off who has left and puts on who is new."""
    await sync.mirror(people(range(10)))
    outcome = await sync.mirror(people(range(5, 12)))
    assert outcome.counts == {"members": 7, "left": 5, "added": 2, "removed": 5, "unchanged": 5}
    assert sync.emails() == {f"p{n}@example.com" for n in range(5, 12)}


async def test_strangers_on_the_list_stay(sync: Sync) -> None:
    """People whom somebody else put on the list are never removed."""
    await sync.subscribe_by_hand("stranger@example.com")
    await sync.mirror([person(1), person(2)])
    await sync.mirror([person(2)])
    assert sync.emails() == {"stranger@example.com", "p2@example.com"}


@on_both
async def test_every_rejection_has_its_reason(sync: Sync) -> None:
    """Members that can't be sent, or that Iterable refuses, are counted by reason."""
    outcome = await sync.mirror(
        [
            person(1),
            person(2, email=None),
            person(3, email="nobody"),
            person(4, customer_id="x" * 53),
            person(5, email="a@forgotten.test"),
            person(6, email="a@conflict.test"),
            person(7, email="a@invalid.test"),
            person(8, email="a@invaliddata.test"),
            person(9, email="a@notfound.test"),
            person(10, email="a@unattributed.test"),
            person(11, email="a@poison.test"),
        ]
    )
    assert outcome.run.status is RunStatus.SUCCEEDED
    assert outcome.rejected == {
        "no_email": 1,
        "invalid_email": 1,
        "invalid_user_id": 1,
        "iterable_forgotten": 1,
        "iterable_conflict": 1,
        "iterable_invalid_email": 1,
        "iterable_invalid_data": 2,
        "iterable_not_found": 1,
        "iterable_unattributed": 1,
    }
    assert outcome.counts == {"members": 11, "added": 1, "rejected": 10}


async def test_two_profiles_of_one_subscriber(sync: Sync) -> None:
    """Of two profiles with the same address one is sent, and the other counts as a duplicate."""
    outcome = await sync.mirror([person(1), person(2, email=" P1@Example.com ")])
    assert outcome.counts == {"members": 2, "added": 1, "duplicates": 1}


async def test_subscriber_stays_while_somebody_holds_it(sync: Sync) -> None:
    """Where one of two profiles with the same address leaves, nobody is taken off the list."""
    await sync.mirror([person(1), person(2, email="p1@example.com")])
    outcome = await sync.mirror([person(2, email="p1@example.com")])
    assert outcome.counts == {"members": 1, "left": 1, "updated": 1, "duplicates": 1}
    assert [(joins, leaves) for *_, joins, leaves in sync.iterable.state.history(LIST)] == [(1, 0)]


async def test_subscriber_leaves_with_its_last_holder(sync: Sync) -> None:
    """When both profiles of an address leave, one removal is sent."""
    await sync.mirror([person(1), person(2, email="p1@example.com"), person(3)])
    outcome = await sync.mirror([person(3)])
    assert outcome.counts == {"members": 1, "left": 2, "removed": 1, "unchanged": 1, "duplicates": 1}
    assert sync.emails() == {"p3@example.com"}


async def test_address_moves_from_one_profile_to_another(sync: Sync) -> None:
    """An address that changes hands stays on the list without leaving it for a moment."""
    await sync.mirror([person(1)])
    outcome = await sync.mirror([person(2, email="p1@example.com")])
    assert outcome.counts == {"members": 1, "left": 1, "added": 1, "duplicates": 1}
    assert [(joins, leaves) for *_, joins, leaves in sync.iterable.state.history(LIST)] == [(1, 0)]
    assert (await sync.mirror([])).run.status is RunStatus.NEEDS_APPROVAL
    await sync.mirror([], allow_empty=True)
    assert sync.emails() == set()


async def test_changed_email_replaces_the_old_one(sync: Sync) -> None:
    """A member with a new address is an update: the old one goes off, the new one goes on."""
    await sync.mirror(people(range(3)))
    outcome = await sync.mirror([person(0), person(1), person(2, email="new@example.com")])
    assert outcome.counts == {"members": 3, "updated": 1, "unchanged": 2}
    assert sync.emails() == {"p0@example.com", "p1@example.com", "new@example.com"}


async def test_two_members_swap_addresses(sync: Sync) -> None:
    """Addresses that two members swap stay on the list."""
    await sync.mirror([person(1), person(2)])
    outcome = await sync.mirror([person(1, email="p2@example.com"), person(2, email="p1@example.com")])
    assert outcome.counts == {"members": 2, "updated": 2}
    assert {leaves for *_, leaves in sync.iterable.state.history(LIST)} == {0}


async def test_two_mappings_feed_one_list(sync: Sync) -> None:
    """A subscriber that two audiences share leaves the list only with the second."""
    await sync.mirror([person(1), person(2)], audience="first")
    outcome = await sync.mirror([person(2), person(3)], audience="second")
    assert outcome.counts == {"members": 2, "added": 1, "duplicates": 1}
    outcome = await sync.mirror([person(1)], audience="first")
    assert outcome.counts == {"members": 1, "left": 1, "unchanged": 1, "duplicates": 1}
    await sync.mirror([person(3)], audience="second")
    assert sync.emails() == {"p1@example.com", "p3@example.com"}


async def test_member_that_can_not_be_mapped_any_more_stays(sync: Sync) -> None:
    """A member who loses the address in mParticle is rejected, and keeps the place under the address last synced."""
    await sync.mirror([person(1), person(2)])
    outcome = await sync.mirror([person(1), person(2, email=None)])
    assert outcome.counts == {"members": 2, "unchanged": 1, "rejected": 1}
    assert sync.emails() == {"p1@example.com", "p2@example.com"}


async def test_mpid_gives_placeholders(sync: Sync) -> None:
    """With the mpid as User ID, members without an address get a placeholder."""
    await sync.mirror([Member(-7), person(1)], user_id=UserIdField.MPID)
    assert set(sync.iterable.state.members(LIST)) == {("-7@placeholder.email", "-7"), ("p1@example.com", "1")}


async def test_placeholder_becomes_real(sync: Sync) -> None:
    """A placeholder whose member now has an address is renamed: no orphan, no leaving the list."""
    await sync.mirror([Member(7), Member(8)], user_id=UserIdField.MPID)
    outcome = await sync.mirror([Member(7, "seven@example.com"), Member(8)], user_id=UserIdField.MPID)
    assert outcome.counts == {"members": 2, "updated": 1, "unchanged": 1}
    assert set(sync.iterable.state.members(LIST)) == {("seven@example.com", "7"), ("8@placeholder.email", "8")}
    assert {leaves for *_, leaves in sync.iterable.state.history(LIST)} == {0}


@on_both
async def test_rename_reaches_the_other_lists(sync: Sync) -> None:
    """A placeholder renamed by one mapping is removed by another under its new address."""
    await sync.mirror([Member(7)], user_id=UserIdField.MPID)
    await sync.mirror([Member(7), Member(8)], user_id=UserIdField.MPID, list_id=OTHER_LIST)
    await sync.mirror([Member(7, "seven@example.com")], user_id=UserIdField.MPID)
    await sync.mirror([Member(8)], user_id=UserIdField.MPID, list_id=OTHER_LIST)
    assert sync.emails(OTHER_LIST) == {"8@placeholder.email"}


async def test_placeholder_whose_real_address_exists(sync: Sync) -> None:
    """Where the real address has a user already, the placeholder goes off the list and the real one on."""
    await sync.mirror([Member(7)], user_id=UserIdField.MPID)
    await sync.mirror([Member(9, "seven@example.com")], user_id=UserIdField.MPID, list_id=OTHER_LIST)
    outcome = await sync.mirror([Member(7, "seven@example.com")], user_id=UserIdField.MPID)
    assert outcome.counts == {"members": 1, "updated": 1}
    assert sync.emails() == {"seven@example.com"}


async def test_delta_adds_and_removes(sync: Sync) -> None:
    """A delta changes only whom it names."""
    await sync.mirror(people(range(5)))
    outcome = await sync.delta(joined=[person(9)], left=[person(0)])
    assert outcome.counts == {"members": 1, "left": 1, "added": 1, "removed": 1}
    assert sync.emails() == {f"p{n}@example.com" for n in (1, 2, 3, 4, 9)}


async def test_removal_goes_out_under_the_identity_last_synced(sync: Sync) -> None:
    """A leaver whose profile carries another address, or none, is removed under the address that was synced."""
    await sync.mirror(people(range(3)))
    outcome = await sync.delta(left=[person(0, email="elsewhere@example.com"), person(1, email=None)])
    assert outcome.counts == {"left": 2, "removed": 2}
    assert sync.emails() == {"p2@example.com"}


async def test_removal_of_somebody_unknown(sync: Sync) -> None:
    """A leaver who was never synced is removed under any identity there is; without one it is rejected."""
    await sync.mirror([person(1)])
    outcome = await sync.delta(left=[person(5), Member(6), Member(7, None, "c7")])
    assert outcome.counts == {"left": 3, "removed": 2, "rejected": 1}
    assert outcome.rejected == {"no_identity": 1}


async def test_delta_without_mpids_finds_who_was_added_with_one(sync: Sync) -> None:
    """A removal that names a customer id only finds the member who was synced from a download with mpids."""
    await sync.mirror(people(range(3)))
    path = sync.directory / "stream.csv"
    path.write_text("customerid,email,isadd\nc1,,false\n,p2@example.com,false\n")
    outcome = await sync.run(path)
    assert outcome.counts == {"left": 2, "removed": 2}
    assert sync.emails() == {"p0@example.com"}


async def test_add_mode_removes_nobody(sync: Sync) -> None:
    """In add mode leavers stay."""
    await sync.mirror(people(range(3)))
    outcome = await sync.mirror([person(7)], mode="add")
    assert outcome.counts == {"members": 1, "added": 1}
    assert len(sync.emails()) == 4


async def test_changed_user_id_setting_is_an_update(sync: Sync) -> None:
    """Another User ID setting gives members another userId, without anybody leaving the list."""
    await sync.mirror([person(1)])
    outcome = await sync.mirror([person(1)], user_id=UserIdField.MPID)
    assert outcome.counts == {"members": 1, "updated": 1}
    assert sync.iterable.state.members(LIST) == [("p1@example.com", "1")]


async def test_dry_run_sends_nothing(sync: Sync) -> None:
    """A dry run says what would change and changes nothing."""
    outcome = await sync.mirror(people(range(3)), dry_run=True)
    assert outcome.run.status is RunStatus.PLANNED
    assert outcome.run.plan is not None
    assert outcome.run.plan.to_add == 3
    assert sync.emails() == set()
