"""What the live worker has to do, in one statement whatever the number of audiences."""

from dataclasses import replace
from typing import Any

import pytest

from core.live.micro_batch import can_deliver
from core.store import connections, freezes, inbox, live_work, mappings, runs
from core.store.database import Database
from core.store.inbox import Change
from core.store.live_work import LiveWork
from core.store.mappings import NO_LIST, FreezeHolds, MappingStatus, RemovalPolicy
from tests.clocks import set_database_clock
from tests.core.databases import noted_statements, on_both
from tests.core.store.seeds import add_connection, add_mapping, add_run

NOW, GATHER_S = 1_000.0, 2.0


@pytest.fixture(autouse=True)
async def _stopped_clock(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await set_database_clock(database, monkeypatch, at=NOW)


async def live(database: Database, connection_id: int, list_id: int, **values: Any) -> int:
    """Store a live mapping, and return its id."""
    mapping = await add_mapping(database, connection_id, list_id=list_id)
    async with database.write() as db:
        await mappings.change(db, mapping.id, is_live=True, **values)
    return mapping.id


async def arrived(database: Database, mapping_id: int, *at: float, is_member: bool = True) -> None:
    """Store a change of another member at each of these times."""
    async with database.write() as db:
        for number, time in enumerate(at):
            await inbox.put(db, [Change(mapping_id, f"{time} {number}", is_member, 1)])
            await inbox.backdate(db, mapping_id, time)


async def work(database: Database, enough: int = 1_000) -> dict[int, LiveWork]:
    """Return what there is to do, by mapping."""
    async with database.read() as db:
        return {each.mapping.id: each for each in await live_work.pending(db, GATHER_S, enough)}


@on_both
async def test_oldest_change_of_each_mapping(database: Database) -> None:
    """Each mapping whose changes may go out is there with its oldest change; the others are left out."""
    shop, refused = await add_connection(database), await add_connection(database, "other")
    async with database.write() as db:
        await connections.change(db, refused, key_rejected_at=1.0)
    late, early = await live(database, shop, 1), await live(database, shop, 2)
    left_out = [
        await live(database, shop, 3, status=MappingStatus.PAUSED),
        await live(database, shop, NO_LIST),
        await live(database, refused, 4),
    ]
    await live(database, shop, 5)
    for mapping_id, at in ((late, 999.5), (early, 990.0), *((each, 980.0) for each in left_out)):
        await arrived(database, mapping_id, at + 0.2, at)
    audiences = await work(database)
    assert {mapping_id: each.oldest for mapping_id, each in audiences.items()} == {late: 999.5, early: 990.0}
    assert not any(each.has_run or each.is_full or each.is_key_rejected for each in audiences.values())


@on_both
async def test_changes_are_counted_while_they_are_gathered(database: Database) -> None:
    """A mapping has enough changes when so many wait; those that a run carries don't count."""
    shop = await add_connection(database)
    mapping_id = await live(database, shop, 1)
    await arrived(database, mapping_id, 999.1, 999.2, 999.3)
    assert [(await work(database, enough))[mapping_id].is_full for enough in (3, 4)] == [True, False]
    async with database.write() as db:
        await inbox.claim(db, mapping_id, "a run", 1)
    assert (await work(database, 2))[mapping_id].oldest == 999.2
    assert [(await work(database, enough))[mapping_id].is_full for enough in (2, 3)] == [True, False]


@on_both
@pytest.mark.parametrize(("until", "expected"), [(None, None), (995.0, 990.0), (2_000.0, None)])
async def test_removals_that_ask(database: Database, until: float | None, expected: float | None) -> None:
    """Removals that wait for approval are no work, nor those approved until a time that is still to come."""
    shop = await add_connection(database)
    mapping_id = await live(database, shop, 1, removal_policy=RemovalPolicy.ASK, removals_approved_until=until)
    await arrived(database, mapping_id, 999.0, 990.0, is_member=False)
    audiences = await work(database)
    assert (audiences[mapping_id].oldest if mapping_id in audiences else None) == expected


@on_both
async def test_run_and_bulk_removal_are_work(database: Database) -> None:
    """A mapping with a run that has not ended, or whose members are being removed, has work without any change."""
    shop = await add_connection(database)
    with_run, emptied = await live(database, shop, 1), await live(database, shop, 2, bulk_removal_cursor="")
    async with database.read() as db:
        mapping = await mappings.by_id(db, with_run)
    assert mapping is not None
    run_id = await add_run(database, mapping)
    async with database.write() as db:
        await runs.change(db, run_id, is_live=True)
        await connections.change(db, shop, key_rejected_at=1.0)
    await arrived(database, with_run, 990.0)
    audiences = await work(database)
    assert {mapping_id: (each.has_run, each.oldest) for mapping_id, each in audiences.items()} == {
        with_run: (True, None),
        emptied: (False, None),
    }
    assert audiences[with_run].is_key_rejected
    assert can_deliver(audiences[with_run].mapping)


@on_both
async def test_one_statement_for_all_audiences(database: Database) -> None:
    """However many audiences there are, one statement finds what is to be done."""
    shop = await add_connection(database)
    ids = [await live(database, shop, number) for number in range(1, 21)]
    for mapping_id in ids:
        await arrived(database, mapping_id, 990.0)
    with noted_statements(database) as statements:
        assert set(await work(database)) == set(ids)
    assert len([each for each in statements if each.startswith("SELECT")]) == 1


@on_both
async def test_frozen_workspace(database: Database) -> None:
    """A freeze of a workspace holds the changes of all its mappings back, and of no other workspace's."""
    held, free = await add_connection(database), await add_connection(database, "other")
    async with database.write() as db:
        await connections.change(db, held, team_id="T1")
        await connections.change(db, free, team_id="T2")
        await freezes.put(db, freezes.Scope(team_id="T1"), FreezeHolds.BOTH, NOW + 1e10, "U1")
    frozen = [await live(database, held, list_id) for list_id in (1, 2)]
    others = [await live(database, free, list_id) for list_id in (3, 4)]
    for mapping_id in (*frozen, *others):
        await arrived(database, mapping_id, 990.0)
    assert sorted(await work(database)) == others
    async with database.write() as db:
        await freezes.release_runs(db)


@on_both
async def test_frozen_additions(database: Database) -> None:
    """While additions are frozen, the removal of a person waits only if the person joins the same audience."""
    shop = await add_connection(database)
    one, other = await live(database, shop, 1), await live(database, shop, 2)
    async with database.write() as db:
        await freezes.put(db, freezes.EVERYTHING, FreezeHolds.ADDITIONS, NOW + 1e10, "U1")
        leaves, joins = (Change(0, str(n), bool(n), 1, "a@example.com", "c") for n in (0, 1))
        await inbox.put(db, [replace(leaves, mapping_id=one), replace(joins, mapping_id=one)])
        await inbox.put(db, [replace(leaves, mapping_id=other)])
        for mapping_id in (one, other):
            await inbox.backdate(db, mapping_id, 990.0)
    audiences = await work(database)
    assert {mapping_id: each.held for mapping_id, each in audiences.items()} == {other: FreezeHolds.ADDITIONS}
