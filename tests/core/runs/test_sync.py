"""Whole runs against the local Iterable: the list is equal to the audience, and every member is accounted for."""

from core.identity import UserIdField
from tests.core.databases import on_both
from tests.core.harness import LIST, OTHER_LIST, Member, RunStatus, Sync, addresses, people, person
from tests.core.sources.factories import Identity, download_zip


async def test_first_mirror_adds_all_members(sync: Sync) -> None:
    """The first mirror adds all members to the list."""
    outcome = await sync.mirror(people(range(2500)))
    assert outcome.counts == {"members": 2500, "added": 2500}
    assert len(sync.emails()) == 2500


async def test_unchanged_audience_sends_nothing(sync: Sync) -> None:
    """A second run of the same audience sends no request."""
    await sync.mirror(people(range(50)))
    outcome = await sync.mirror(people(range(50)))
    assert outcome.counts == {"members": 50, "unchanged": 50}
    assert outcome.run.requests == 0


@on_both
async def test_leavers_and_joiners(sync: Sync) -> None:
    """A mirror removes leavers and adds new members."""
    await sync.mirror(people(range(10)))
    outcome = await sync.mirror(people(range(5, 12)))
    assert outcome.counts == {"members": 7, "left": 5, "added": 2, "removed": 5, "unchanged": 5}
    assert sync.emails() == {f"p{n}@example.com" for n in range(5, 12)}


async def test_audience_in_several_files(sync: Sync) -> None:
    """A run reads all of its files, even if each is small."""
    files = [sync.mirror_file(people(numbers)) for numbers in (range(1, 4), range(4, 6))]
    outcome = await sync.run(files[0], more_paths=(str(files[1]),))
    assert outcome.counts == {"members": 5, "added": 5}
    assert sync.emails() == {f"p{n}@example.com" for n in range(1, 6)}


async def test_audience_of_the_mapping_is_chosen_by_its_id(sync: Sync) -> None:
    """Of several audiences, a run reads the one with the mapping's id, even if another one has the mapping's name."""
    first: dict[str, list[Identity]] = {"11_Spring_172136Nov292018.csv": [(1, 5, "p1@example.com", "email")]}
    await sync.run(download_zip(sync.directory / "first.zip", first))
    renamed: dict[str, list[Identity]] = {
        "11_Summer_172136Nov292018.csv": [(1, 6, "p1@example.com", "email"), (2, 6, "p2@example.com", "email")],
        "12_Spring_172136Nov292018.csv": [(3, 6, "p3@example.com", "email")],
    }
    await sync.run(download_zip(sync.directory / "second.zip", renamed))
    assert sync.emails() == addresses([1, 2])


async def test_strangers_on_the_list_stay(sync: Sync) -> None:
    """People that another program added to the list are never removed."""
    await sync.subscribe_by_hand("stranger@example.com")
    await sync.mirror([person(1), person(2)])
    await sync.mirror([person(2)])
    assert sync.emails() == {"stranger@example.com", "p2@example.com"}


async def test_every_rejection_has_its_reason(sync: Sync) -> None:
    """Members that can't be sent, or that Iterable refuses, are counted by reason."""
    outcome = await sync.mirror(
        [
            person(1),
            person(2, email=None),
            person(3, email="no-address"),
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
    """Of two profiles with the same address, one is sent and the other counts as a duplicate."""
    outcome = await sync.mirror([person(1), person(2, email=" P1@Example.com ")])
    assert outcome.counts == {"members": 2, "added": 1, "duplicates": 1}


async def test_subscriber_stays_with_its_other_profile(sync: Sync) -> None:
    """A subscriber stays on the list if one of its two profiles leaves."""
    await sync.mirror([person(1), person(2, email="p1@example.com")])
    outcome = await sync.mirror([person(2, email="p1@example.com")])
    assert outcome.counts == {"members": 1, "left": 1, "updated": 1, "duplicates": 1}
    assert [(joins, leaves) for *_, joins, leaves in sync.iterable.state.history(LIST)] == [(1, 0)]


async def test_subscriber_leaves_with_its_last_profile(sync: Sync) -> None:
    """One removal is sent when both profiles of an address leave."""
    await sync.mirror([person(1), person(2, email="p1@example.com"), person(3)])
    outcome = await sync.mirror([person(3)])
    assert outcome.counts == {"members": 1, "left": 2, "removed": 1, "unchanged": 1, "duplicates": 1}
    assert sync.emails() == {"p3@example.com"}


async def test_address_moves_between_profiles(sync: Sync) -> None:
    """An address that moves to another profile stays on the list the whole time."""
    await sync.mirror([person(1)])
    outcome = await sync.mirror([person(2, email="p1@example.com")])
    assert outcome.counts == {"members": 1, "left": 1, "updated": 1, "duplicates": 1}
    assert [(joins, leaves) for *_, joins, leaves in sync.iterable.state.history(LIST)] == [(1, 0)]
    assert (await sync.mirror([])).run.status is RunStatus.NEEDS_APPROVAL
    await sync.mirror([], allow_empty=True)
    assert sync.emails() == set()


async def test_changed_email_replaces_the_old_one(sync: Sync) -> None:
    """A member with a new address is an update: the old one is removed, the new one added."""
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
    """A subscriber that two audiences share is removed only when the second drops it."""
    await sync.mirror([person(1), person(2)], audience="first")
    outcome = await sync.mirror([person(2), person(3)], audience="second")
    assert outcome.counts == {"members": 2, "added": 1, "duplicates": 1}
    outcome = await sync.mirror([person(1)], audience="first")
    assert outcome.counts == {"members": 1, "left": 1, "unchanged": 1, "duplicates": 1}
    await sync.mirror([person(3)], audience="second")
    assert sync.emails() == {"p1@example.com", "p3@example.com"}


async def test_member_that_loses_the_address_stays(sync: Sync) -> None:
    """A member that loses its address in mParticle is rejected, and stays on the list under the last one."""
    await sync.mirror([person(1), person(2)])
    outcome = await sync.mirror([person(1), person(2, email=None)])
    assert outcome.counts == {"members": 2, "unchanged": 1, "rejected": 1}
    assert sync.emails() == {"p1@example.com", "p2@example.com"}


async def test_mpid_gives_placeholders(sync: Sync) -> None:
    """With the User ID setting mpid, members without an address get a placeholder."""
    await sync.mirror([Member(-7), person(1)], user_id=UserIdField.MPID)
    assert set(sync.iterable.state.members(LIST)) == {("-7@placeholder.email", "-7"), ("p1@example.com", "1")}


async def test_placeholder_becomes_real(sync: Sync) -> None:
    """A placeholder is renamed when its member gets an address, without leaving the list."""
    await sync.mirror([Member(7), Member(8)], user_id=UserIdField.MPID)
    outcome = await sync.mirror([Member(7, "seven@example.com"), Member(8)], user_id=UserIdField.MPID)
    assert outcome.counts == {"members": 2, "updated": 1, "unchanged": 1}
    assert set(sync.iterable.state.members(LIST)) == {("seven@example.com", "7"), ("8@placeholder.email", "8")}
    assert {leaves for *_, leaves in sync.iterable.state.history(LIST)} == {0}


async def test_rename_reaches_the_other_lists(sync: Sync) -> None:
    """Another list's mapping removes a renamed placeholder under its new address."""
    await sync.mirror([Member(7)], user_id=UserIdField.MPID)
    await sync.mirror([Member(7), Member(8)], user_id=UserIdField.MPID, list_id=OTHER_LIST)
    await sync.mirror([Member(7, "seven@example.com")], user_id=UserIdField.MPID)
    await sync.mirror([Member(8)], user_id=UserIdField.MPID, list_id=OTHER_LIST)
    assert sync.emails(OTHER_LIST) == {"8@placeholder.email"}


async def test_placeholder_whose_real_address_exists(sync: Sync) -> None:
    """A placeholder is replaced by the real address if that has a user already."""
    await sync.mirror([Member(7)], user_id=UserIdField.MPID)
    await sync.mirror([Member(9, "seven@example.com")], user_id=UserIdField.MPID, list_id=OTHER_LIST)
    outcome = await sync.mirror([Member(7, "seven@example.com")], user_id=UserIdField.MPID)
    assert outcome.counts == {"members": 1, "updated": 1}
    assert sync.emails() == {"seven@example.com"}


async def test_delta_adds_and_removes(sync: Sync) -> None:
    """A delta changes only its own members."""
    await sync.mirror(people(range(5)))
    outcome = await sync.delta(joined=[person(9)], left=[person(0)])
    assert outcome.counts == {"members": 1, "left": 1, "added": 1, "removed": 1}
    assert sync.emails() == {f"p{n}@example.com" for n in (1, 2, 3, 4, 9)}


async def test_removal_uses_the_synced_identity(sync: Sync) -> None:
    """A leaver with another address, or none, is removed under the address that was synced."""
    await sync.mirror(people(range(3)))
    outcome = await sync.delta(left=[person(0, email="elsewhere@example.com"), person(1, email=None)])
    assert outcome.counts == {"left": 2, "removed": 2}
    assert sync.emails() == {"p2@example.com"}


async def test_removal_of_an_unknown_member(sync: Sync) -> None:
    """A leaver that was never synced is removed under any identity it has, or else rejected."""
    await sync.mirror([person(1)])
    outcome = await sync.delta(left=[person(5), Member(6), Member(7, None, "c7")])
    assert outcome.counts == {"left": 3, "removed": 2, "rejected": 1}
    assert outcome.rejected == {"no_identity": 1}


async def test_delta_without_mpids_finds_members_with_mpids(sync: Sync) -> None:
    """A removal by customer id alone finds a member that was synced with an mpid."""
    await sync.mirror(people(range(3)))
    path = sync.directory / "stream.csv"
    path.write_text("customerid,email,isadd\nc1,,false\n,p2@example.com,false\n")
    outcome = await sync.run(path)
    assert outcome.counts == {"left": 2, "removed": 2}
    assert sync.emails() == {"p0@example.com"}


async def test_add_mode_removes_no_member(sync: Sync) -> None:
    """In add mode, leavers stay."""
    await sync.mirror(people(range(3)))
    outcome = await sync.mirror([person(7)], mode="add")
    assert outcome.counts == {"members": 1, "added": 1}
    assert len(sync.emails()) == 4


async def test_changed_user_id_setting_is_an_update(sync: Sync) -> None:
    """Another User ID setting updates the members' userId, and they stay on the list."""
    await sync.mirror([person(1)])
    outcome = await sync.mirror([person(1)], user_id=UserIdField.MPID)
    assert outcome.counts == {"members": 1, "updated": 1}
    assert sync.iterable.state.members(LIST) == [("p1@example.com", "1")]


async def test_dry_run_sends_nothing(sync: Sync) -> None:
    """A dry run shows its changes and sends nothing."""
    outcome = await sync.mirror(people(range(3)), dry_run=True)
    assert outcome.run.status is RunStatus.PLANNED
    assert outcome.run.plan is not None
    assert outcome.run.plan.to_add == 3
    assert sync.emails() == set()
