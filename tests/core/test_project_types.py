"""What makes two people two subscribers follows from the type of the Iterable project."""

from pathlib import Path

import pytest

from core.connections import manage
from core.identity import ProjectType, UserIdField
from core.models.run import GuardName, RunStatus
from core.store import connections, ledger, mappings
from core.store.mappings import AudienceMapping
from tests.core.databases import sampled
from tests.core.harness import LIST, Member, Sync, people, person, syncing

USER_ID, HYBRID, EMAIL = ProjectType.USER_ID, ProjectType.HYBRID, ProjectType.EMAIL


def members(sync: Sync) -> set[tuple[str | None, str | None]]:
    """Email and user id of each person on the list."""
    return set(sync.iterable.state.members(LIST))


def moves(sync: Sync) -> set[tuple[int, int]]:
    """How often people have joined and left the list."""
    return {(joins, leaves) for _, _, joins, leaves in sync.iterable.state.history(LIST)}


def paths(sync: Sync, after: int = 0) -> list[str]:
    """The addresses of requests that change something."""
    return [each.path for each in sync.iterable.state.log.find(method="POST", after=after)]


async def mapping_of(sync: Sync) -> AudienceMapping:
    """The only mapping."""
    connection = await the_connection(sync)
    async with sync.engine.database.read() as db:
        return (await mappings.of_connection(db, connection.id))[0]


async def the_connection(sync: Sync) -> connections.Connection:
    """The only connection."""
    async with sync.engine.database.read() as db:
        return (await connections.everyone(db))[0]


@pytest.mark.parametrize("project_type", sampled(list(ProjectType), 3))
async def test_type_is_learned_in_the_first_sync(tmp_path: Path, project_type: ProjectType) -> None:
    """The connection that uses the environment's key learns the type, and run and mapping keep it."""
    async with syncing(tmp_path, project_type=project_type.value) as sync:
        outcome = await sync.mirror(people(range(3)))
        assert outcome.counts == {"members": 3, "added": 3}
        assert outcome.run.project_type is project_type
        assert (await the_connection(sync)).project_type is project_type
        assert (await mapping_of(sync)).project_type is project_type
        again = await sync.mirror(people(range(3)))
        assert (again.counts, again.run.requests) == ({"members": 3, "unchanged": 3}, 0)


async def test_two_people_with_one_email(tmp_path: Path) -> None:
    """In a userID-based project they are two subscribers, and each leaves alone."""
    shared = [person(1, email="a@example.com"), person(2, email="a@example.com")]
    async with syncing(tmp_path, project_type="userId") as sync:
        assert (await sync.mirror(shared)).counts == {"members": 2, "added": 2}
        assert members(sync) == {("a@example.com", "c1"), ("a@example.com", "c2")}
        assert (await sync.mirror(shared)).counts == {"members": 2, "unchanged": 2}
        assert (await sync.mirror(shared[:1])).counts == {"members": 1, "left": 1, "removed": 1, "unchanged": 1}
        assert members(sync) == {("a@example.com", "c1")}


@pytest.mark.parametrize("setting", sampled(list(UserIdField)))
@pytest.mark.parametrize("project_type", sampled([USER_ID, HYBRID]))
async def test_new_email_is_an_update(tmp_path: Path, project_type: ProjectType, setting: UserIdField) -> None:
    """If user ids are unique, a member with another email never leaves the list, and no single-user call is made."""
    async with syncing(tmp_path, project_type=project_type.value) as sync:
        await sync.mirror([person(1)], user_id=setting)
        outcome = await sync.mirror([person(1, email="new@example.com")], user_id=setting)
        assert outcome.counts == {"members": 1, "updated": 1}
        assert members(sync) == {("new@example.com", "c1" if setting is UserIdField.CUSTOMER_ID else "1")}
        assert moves(sync) == {(1, 0)}
        assert set(paths(sync)) == {"/api/lists/subscribe"}
        again = await sync.mirror([person(1, email="new@example.com")], user_id=setting)
        assert (again.counts, again.run.requests) == ({"members": 1, "unchanged": 1}, 0)


async def test_delta_with_a_new_email(tmp_path: Path) -> None:
    """So it is if only the rows of the ledger are looked up that concern a small change."""
    async with syncing(tmp_path, project_type="userId") as sync:
        await sync.mirror([person(1), person(2, email="p1@example.com")])
        outcome = await sync.delta([person(1, email="new@example.com")], [person(2, email="p1@example.com")])
        assert outcome.counts == {"members": 1, "left": 1, "updated": 1, "removed": 1}
        assert members(sync) == {("new@example.com", "c1")}
        assert moves(sync) == {(1, 0), (1, 1)}


@pytest.mark.extended
@pytest.mark.parametrize("setting", sampled(list(UserIdField)))
async def test_members_without_a_user_id(tmp_path: Path, setting: UserIdField) -> None:
    """They can't be addressed in a userID-based project; those without an email can, and get no placeholder."""
    audience = [Member(1, "a@example.com", None), Member(2, None, "c2"), Member(3, None, None)]
    async with syncing(tmp_path, project_type="userId") as sync:
        outcome = await sync.mirror(audience, user_id=setting)
        if setting is UserIdField.CUSTOMER_ID:
            assert outcome.rejected == {"no_user_id": 2}
            assert members(sync) == {(None, "c2")}
        else:
            assert outcome.rejected == {}
            assert members(sync) == {("a@example.com", "1"), (None, "2"), (None, "3")}
        again = await sync.mirror(audience, user_id=setting)
        assert again.run.requests == 0
        later = [Member(2, "b@example.com", "c2")]
        assert (await sync.mirror(later, user_id=setting, approved=True)).counts["updated"] == 1
        assert moves(sync) <= {(1, 0), (1, 1)}
        lost = await sync.mirror([Member(2, None, "c2")], user_id=setting)
        assert (lost.counts, lost.run.requests) == ({"members": 1, "unchanged": 1}, 0)


async def test_leaver_without_a_user_id(tmp_path: Path) -> None:
    """A leaver that the ledger does not have can't be addressed either."""
    async with syncing(tmp_path, project_type="userId") as sync:
        outcome = await sync.delta(left=[Member(1, "a@example.com", None), Member(2, "b@example.com", "c2")])
        assert outcome.rejected == {"no_user_id": 1}
        assert outcome.counts == {"left": 2, "removed": 1, "rejected": 1}


@pytest.mark.extended
async def test_many_who_lose_their_user_id(tmp_path: Path) -> None:
    """The column may have been exported wrongly: the run waits, and no one is taken off."""
    async with syncing(tmp_path, project_type="userId") as sync:
        await sync.mirror(people(range(5)))
        outcome = await sync.mirror([person(n, customer_id=None) for n in range(5)])
        assert outcome.run.plan is not None
        assert [guard.name for guard in outcome.run.plan.guards] == [GuardName.VANISHED_IDENTITIES]
        assert len(members(sync)) == 5


@pytest.mark.extended
@pytest.mark.parametrize("project_type", sampled([USER_ID, HYBRID]))
async def test_two_profiles_with_one_user_id(tmp_path: Path, project_type: ProjectType) -> None:
    """One is sent; the other counts as a duplicate, and stays on the list when the first one leaves."""
    both = [person(1, customer_id="c"), person(2, customer_id="c")]
    async with syncing(tmp_path, project_type=project_type.value) as sync:
        assert (await sync.mirror(both)).counts == {"members": 2, "added": 1, "duplicates": 1}
        again = await sync.mirror(both)
        assert (again.counts, again.run.requests) == ({"members": 2, "unchanged": 1, "duplicates": 1}, 0)
        alone = await sync.mirror(both[1:])
        assert alone.counts == {"members": 1, "left": 1, "updated": 1, "duplicates": 1}
        assert members(sync) == {("p2@example.com", "c")}
        assert moves(sync) == {(1, 0)}
        assert (await sync.mirror(both[1:])).run.requests == 0


async def test_chain_of_duplicates_in_a_hybrid_project(tmp_path: Path) -> None:
    """Who shares an email with one and a user id with another is the same subscriber as both."""
    chain = [
        Member(1, "a@example.com", "c1"),
        Member(2, "b@example.com", "c1"),
        Member(3, "b@example.com", "c3"),
        Member(4, "d@example.com", "c4"),
    ]
    async with syncing(tmp_path, project_type="hybrid") as sync:
        assert (await sync.mirror(chain)).counts == {"members": 4, "added": 2, "duplicates": 2}
        again = await sync.mirror(chain)
        assert (again.counts, again.run.requests) == ({"members": 4, "unchanged": 2, "duplicates": 2}, 0)
        assert members(sync) == {("a@example.com", "c1"), ("d@example.com", "c4")}


async def test_other_person_in_a_hybrid_project(tmp_path: Path) -> None:
    """With another email and another user id a member is another subscriber: the former one leaves."""
    async with syncing(tmp_path, project_type="hybrid") as sync:
        await sync.mirror([Member(1, "a@example.com", "c1")])
        outcome = await sync.mirror([Member(1, "b@example.com", "c2")])
        assert outcome.counts == {"members": 1, "updated": 1}
        assert members(sync) == {("b@example.com", "c2")}


async def test_other_user_id_in_a_user_id_based_project(tmp_path: Path) -> None:
    """A member with another user id is another subscriber, whatever the email: the former one leaves."""
    async with syncing(tmp_path, project_type="userId") as sync:
        await sync.mirror([Member(1, "a@example.com", "c1"), Member(2, "a@example.com", "c2")])
        outcome = await sync.mirror([Member(1, "a@example.com", "c3"), Member(2, "a@example.com", "c2")])
        assert outcome.counts == {"members": 2, "updated": 1, "unchanged": 1}
        assert members(sync) == {("a@example.com", "c3"), ("a@example.com", "c2")}


async def test_former_subscribers_that_may_not_have_left(tmp_path: Path) -> None:
    """They are known by their user ids, so that two of one email are two."""
    before = [Member(1, "a@example.com", "unattributed-1"), Member(2, "a@example.com", "unattributed-2")]
    after = [Member(1, "a@example.com", "c3"), Member(2, "a@example.com", "c4")]
    async with syncing(tmp_path, project_type="userId") as sync:
        await sync.mirror(before)
        await sync.mirror(after)
        async with sync.engine.database.read() as db:
            former = await ledger.former_identities(db, (await mapping_of(sync)).id)
        assert {row[1] for row in former} == {"former:unattributed-1", "former:unattributed-2"}
        assert members(sync) == {("a@example.com", "c3"), ("a@example.com", "c4")}


@pytest.mark.extended
@pytest.mark.parametrize("project_type", sampled([USER_ID, HYBRID]))
async def test_person_whom_two_mappings_hold(tmp_path: Path, project_type: ProjectType) -> None:
    """A subscriber leaves a list only when no mapping holds it any longer, whatever its email in each."""
    async with syncing(tmp_path, project_type=project_type.value) as sync:
        await sync.mirror([person(1)], audience="One")
        other = await sync.mirror([person(1)], audience="Two")
        assert (other.counts, other.run.requests) == ({"members": 1, "duplicates": 1}, 0)
        await sync.mirror([person(1, email="new@example.com")], audience="Two")
        one = await sync.mirror([], audience="One", allow_empty=True)
        assert one.counts == {"left": 1, "duplicates": 1}
        assert members(sync) == {("new@example.com", "c1")}
        two = await sync.mirror([], audience="Two", allow_empty=True)
        assert two.counts == {"left": 1, "removed": 1}
        assert members(sync) == set()


async def test_placeholder_in_a_hybrid_project(tmp_path: Path) -> None:
    """It gets its real address by a subscribe under the same user id: no rename, no leave."""
    mpid = UserIdField.MPID
    async with syncing(tmp_path, project_type="hybrid") as sync:
        await sync.mirror([Member(7)], user_id=mpid)
        assert members(sync) == {("7@placeholder.email", "7")}
        assert (await sync.mirror([Member(7, "a@example.com")], user_id=mpid)).counts == {"members": 1, "updated": 1}
        assert members(sync) == {("a@example.com", "7")}
        assert moves(sync) == {(1, 0)}
        assert set(paths(sync)) == {"/api/lists/subscribe"}


@pytest.mark.extended
@pytest.mark.parametrize("project_type", sampled([USER_ID, HYBRID]))
async def test_undo_of_a_new_email(tmp_path: Path, project_type: ProjectType) -> None:
    """An undo gives the former email back, and no one leaves the list."""
    from core.runs import worker
    from core.runs.undo import undo

    async with syncing(tmp_path, project_type=project_type.value) as sync:
        await sync.mirror([person(1)])
        changed = await sync.mirror([person(1, email="new@example.com"), person(2)])
        run_id = await undo(sync.engine, changed.run.id, by="U1", channel=None, team_id=None)
        await worker.start(sync.engine, run_id)
        outcome = await sync.approve(run_id)
        assert outcome.run.status is RunStatus.SUCCEEDED, outcome.run.error
        assert members(sync) == {("p1@example.com", "c1")}


async def test_change_of_type_is_a_guard(tmp_path: Path) -> None:
    """After the first sync a run under another type waits; once it is approved, the type is the mapping's."""
    async with syncing(tmp_path, project_type="hybrid") as sync:
        await sync.mirror([person(1)])
        connection = await the_connection(sync)
        await manage.change(sync.engine, connection, by="U1", team_id=None, project_type=USER_ID)
        waiting = await sync.mirror([person(1), person(2)])
        assert waiting.run.status is RunStatus.NEEDS_APPROVAL
        assert waiting.run.plan is not None
        assert [guard.name for guard in waiting.run.plan.guards] == [GuardName.PROJECT_TYPE]
        assert (await mapping_of(sync)).project_type is HYBRID
        assert (await sync.approve(waiting.run.id)).run.status is RunStatus.SUCCEEDED
        assert (await mapping_of(sync)).project_type is USER_ID
        assert (await sync.mirror([person(1)])).run.status is RunStatus.SUCCEEDED


@pytest.mark.extended
async def test_swapped_emails_in_a_hybrid_project(tmp_path: Path) -> None:
    """Iterable refuses both, because each email belongs to the other user. Both stay on the list.

    Each sync tries again, and when the swap is over nothing is left to do.
    """
    before = [Member(1, "a@example.com", "c1"), Member(2, "b@example.com", "c2")]
    swapped = [Member(1, "b@example.com", "c1"), Member(2, "a@example.com", "c2")]
    async with syncing(tmp_path, project_type="hybrid") as sync:
        await sync.mirror(before)
        for _ in range(2):
            outcome = await sync.mirror(swapped)
            assert (outcome.counts, outcome.rejected) == ({"members": 2, "rejected": 2}, {"iterable_conflict": 2})
            assert members(sync) == {("a@example.com", "c1"), ("b@example.com", "c2")}
            assert moves(sync) == {(1, 0)}
        again = await sync.mirror(before)
        assert (again.counts, again.run.requests) == ({"members": 2, "unchanged": 2}, 0)
        # who leaves stays on the list as long as another member has the email, and is not forgotten meanwhile
        await sync.mirror(swapped[:1])
        assert len(members(sync)) == 2
        await sync.mirror(before[:1])
        assert members(sync) == {("a@example.com", "c1")}


async def test_swapped_emails_in_a_user_id_based_project(tmp_path: Path) -> None:
    """There the emails are data of the users: both are updated, and no one leaves the list."""
    async with syncing(tmp_path, project_type="userId") as sync:
        await sync.mirror([Member(1, "a@example.com", "c1"), Member(2, "b@example.com", "c2")])
        swapped = [Member(1, "b@example.com", "c1"), Member(2, "a@example.com", "c2")]
        assert (await sync.mirror(swapped)).counts == {"members": 2, "updated": 2}
        assert members(sync) == {("b@example.com", "c1"), ("a@example.com", "c2")}
        assert moves(sync) == {(1, 0)}


async def test_user_id_setting_is_changed(tmp_path: Path) -> None:
    """If the user id tells people apart, everyone would leave and join again, so that waits for approval."""
    many = people(range(120))
    async with syncing(tmp_path, project_type="userId") as sync:
        await sync.mirror(many)
        waiting = (await sync.mirror(many, user_id=UserIdField.MPID)).run
        assert waiting.plan is not None
        assert (waiting.status, waiting.requests) == (RunStatus.NEEDS_APPROVAL, 0)
        assert [guard.name for guard in waiting.plan.guards] == [GuardName.MASS_REPLACEMENT]
