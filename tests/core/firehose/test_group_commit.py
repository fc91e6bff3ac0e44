"""Group commit: which items are written together, and who gets an error."""

import asyncio

import pytest

from core.firehose.group_commit import GATHER_S, MOST_TOGETHER, GroupCommit


class Written:
    """What was written, in groups."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []

    async def write(self, items: list[int]) -> list[int]:
        """Write items. Returns their squares, or raises ValueError if one is negative."""
        if any(item < 0 for item in items):
            raise ValueError("negative")
        self.groups.append(items)
        return [item * item for item in items]


async def put_in_turn(commit: GroupCommit[int], items: list[int], weight: int = 1) -> list[int]:
    """Put items, each in a later turn of the event loop than the one before."""
    puts = []
    for item in items:
        puts.append(asyncio.create_task(commit.put(item, weight)))
        for _ in range(3):
            await asyncio.sleep(0)
    results: list[int] = await asyncio.gather(*puts)
    return results


async def test_items_gather_after_a_write() -> None:
    """The first item is written at once; those that come soon after are written together."""
    written = Written()
    assert await put_in_turn(GroupCommit(written.write, 0.2), [1, 2, 3, 4]) == [1, 4, 9, 16]
    assert written.groups == [[1], [2, 3, 4]]


async def test_large_groups_do_not_wait() -> None:
    """If enough waits for the largest write, it begins at once."""
    written = Written()
    commit = GroupCommit(written.write, 3600.0)
    assert await asyncio.wait_for(put_in_turn(commit, [1, 2], MOST_TOGETHER), 10.0) == [1, 4]
    assert written.groups == [[1], [2]]


async def test_error_reaches_all_of_its_group() -> None:
    """The error of a write is raised to all whose items it had; the next write is not concerned."""
    commit = GroupCommit(Written().write, GATHER_S)
    assert await commit.put(1, 1) == 1
    outcomes = await asyncio.gather(commit.put(2, 1), commit.put(-3, 1), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ValueError, ValueError]
    with pytest.raises(ValueError, match="negative"):
        await commit.put(-1, 1)
    assert await commit.put(4, 1) == 16
