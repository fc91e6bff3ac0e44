"""Who is on a list is compared by what identifies a person in the project: a user id may contain an "@"."""

from pathlib import Path

import pytest

from core.identity import ProjectType
from core.models.run import OthersOnList, Repair, SyncMode
from core.runs.verification import Depth, verify
from tests.core.databases import sampled
from tests.core.harness import LIST, Member, RunStatus, Sync, syncing

OURS = [
    Member(1, "p1@example.com", "Ann@Shop"),
    Member(2, "p2@example.com", "c2"),
    Member(3, "p3@example.com", "Ann@shop"),
]
#: Email and user id of the people on the list: the first is in the audience, the others are not.
ON_LIST: dict[ProjectType, list[tuple[str | None, str | None]]] = {
    ProjectType.EMAIL: [("p1@example.com", "Ann@Shop"), ("x1@example.com", "p2@example.com")],
    ProjectType.USER_ID: [
        ("p1@example.com", "Ann@Shop"),
        ("p1@example.com", "p1@example.com"),
        ("p3@example.com", "ann@shop"),
        (None, "Eve@Shop"),
    ],
    ProjectType.HYBRID: [("p1@example.com", "Ann@Shop"), ("x1@example.com", "p2@example.com"), (None, "Eve@Shop")],
}


def put_on_list(sync: Sync, people: list[tuple[str | None, str | None]]) -> None:
    """Put people on the list as another program does."""
    state = sync.iterable.state
    names = state.project().people
    state.lists[LIST].join([names.add(email, user_id) for email, user_id in people], state.clock())


def take_off(sync: Sync, user_id: str) -> None:
    """Take a person off the list as another program does."""
    state = sync.iterable.state
    state.lists[LIST].leave([state.project().people.user_ids.first[user_id]], state.clock())


@pytest.mark.parametrize("project_type", sampled(list(ProjectType), 3))
async def test_list_is_adopted_verified_and_repaired(tmp_path: Path, project_type: ProjectType) -> None:
    """People of the audience become ours, others leave; then someone who vanished and someone who came are found."""
    ours = {(member.email, member.customer_id) for member in OURS}
    others = len(ON_LIST[project_type]) - 1
    async with syncing(tmp_path, project_type=project_type.value) as sync:
        sync.iterable.settings.update({"limits": {"size": 0, "getUsers": 0}})
        put_on_list(sync, ON_LIST[project_type])
        waiting = await sync.mirror(OURS, adopts=OthersOnList.REMOVE)
        assert waiting.run.plan is not None
        message = f"{others + 1} people are on it: 1 belong to the audience, and {others} would be removed."
        assert message in waiting.run.plan.guards[0].message
        done = await sync.approve(waiting.run.id)
        assert done.counts == {"members": 3, "added": 2, "left": others, "removed": others, "duplicates": 1}
        assert set(sync.iterable.state.members(LIST)) == ours
        clean = await verify(sync.engine, 1, Depth.LIST)
        assert (clean.check.missing, clean.check.extra, clean.check.ours) == (0, 0, 3)

        take_off(sync, "Ann@Shop")
        put_on_list(sync, [("y@example.com" if project_type is ProjectType.EMAIL else None, "ANN@SHOP")])
        rows: list[tuple[str, str, str | None, str | None]] = []
        differing = await verify(sync.engine, 1, Depth.LIST, rows.extend)
        assert (differing.check.missing, differing.check.extra) == (1, 1)
        extra = ("y@example.com", None) if project_type is ProjectType.EMAIL else (None, "ANN@SHOP")
        assert [row[2:] for row in rows] == [extra, ("p1@example.com", "Ann@Shop")]
        repair = await sync.run(Path(), repairs=Repair.BOTH, mode=SyncMode.DELTA)
        repaired = await sync.approve(repair.run.id)
        assert (repaired.run.status, repaired.counts) == (
            RunStatus.SUCCEEDED,
            {"members": 1, "added": 1, "left": 1, "removed": 1},
        )
        assert set(sync.iterable.state.members(LIST)) == ours


async def test_two_people_with_one_email_are_both_missing(tmp_path: Path) -> None:
    """In a userID-based project they count as two, and a repair adds both."""
    async with syncing(tmp_path, project_type="userId") as sync:
        sync.iterable.settings.update({"limits": {"size": 0, "getUsers": 0}})
        await sync.mirror([Member(7, "a@example.com", "c7"), Member(8, "a@example.com", "c8"), OURS[0]])
        for user_id in ("c7", "c8"):
            take_off(sync, user_id)
        check = (await verify(sync.engine, 1, Depth.LIST)).check
        assert (check.ours, check.missing, check.extra) == (3, 2, 0)
        repair = await sync.run(Path(), repairs=Repair.MISSING, mode=SyncMode.DELTA)
        assert (await sync.approve(repair.run.id)).counts == {"members": 2, "added": 2}
