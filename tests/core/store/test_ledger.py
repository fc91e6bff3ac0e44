"""The ledger's statements, each of which reads a batch of changes as it is stored."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from core.models.batch import BatchEntry
from core.store import last_known_emails, ledger
from core.store.database import Database
from tests.core.harness import until
from tests.core.storage import somebody_waits
from tests.core.store.seeds import add_connection, add_mapping

#: Profile to email, user id, certain.
Rows = dict[str, tuple[str | None, str | None, bool]]


async def rows(database: Database, mapping_id: int, chunk: int = 1000) -> Rows:
    """What the ledger holds for a mapping."""
    found: Rows = {}
    async with database.read() as db:
        async for some in ledger.rows_of(db, [mapping_id], chunk):
            for _, profile, email, user_id, certain in some:
                found[profile] = (email, user_id, bool(certain))
    return found


async def put(database: Database, mapping_id: int, *entries: Sequence[Any], certain: bool = True) -> None:
    """Put members, given as profile, email and user id."""
    async with database.write() as db:
        await ledger.upsert(db, mapping_id, [BatchEntry("a", *entry) for entry in entries], certain=certain)


async def test_put(database: Database) -> None:
    """Members are put as they are, NULLs included, and putting them again replaces what was there."""
    mapping = await add_mapping(database)
    await put(database, mapping.id, ["1", "a@example.com", "c1"], ["2", "b@example.com", None], ["3", None, "c3"])
    assert await rows(database, mapping.id) == {
        "1": ("a@example.com", "c1", True),
        "2": ("b@example.com", None, True),
        "3": (None, "c3", True),
    }
    await put(database, mapping.id, ["1", "new@example.com", None], certain=False)
    assert (await rows(database, mapping.id))["1"] == ("new@example.com", None, False)
    await put(database, mapping.id, ["1", "new@example.com", None])
    assert (await rows(database, mapping.id))["1"] == ("new@example.com", None, True)


async def test_put_takes_text_as_it_is(database: Database) -> None:
    """No letter is changed, and what looks like a number, a date or SQL stays text."""
    mapping = await add_mapping(database)
    texts = ["0042", "-9223372036854775808", "true", "null", "'; DROP TABLE ledger; --", "ünï🙂", 'q"\\u0041\\', "1e5"]
    await put(database, mapping.id, *[[text, f"{text}@example.com", text] for text in texts])
    assert await rows(database, mapping.id) == {text: (f"{text}@example.com", text, True) for text in texts}


async def test_put_in_one_mapping_only(database: Database) -> None:
    """The same member may be known to several mappings under different addresses."""
    one = await add_mapping(database)
    other = await add_mapping(database, one.connection_id)
    await put(database, one.id, ["1", "a@example.com", None])
    await put(database, other.id, ["1", "b@example.com", None])
    assert await rows(database, one.id) == {"1": ("a@example.com", None, True)}
    assert await rows(database, other.id) == {"1": ("b@example.com", None, True)}


async def test_take(database: Database) -> None:
    """Members are forgotten where they are still recorded under the address that is taken, or under none."""
    mapping = await add_mapping(database)
    other = await add_mapping(database, mapping.connection_id)
    for mapping_id in (mapping.id, other.id):
        await put(database, mapping_id, ["1", "a@example.com", "c"], ["2", "b@example.com", "c"], ["3", None, "c"])
    async with database.write() as db:
        taken = [
            BatchEntry("r", "1", "a@example.com", None),
            BatchEntry("r", "2", "old@example.com", "c"),
            BatchEntry("r", "3", None, "c"),
        ]
        await ledger.delete_matching(db, mapping.id, [*taken, BatchEntry("r", "4", "d@example.com", None)])
    assert await rows(database, mapping.id) == {"2": ("b@example.com", "c", True)}
    assert len(await rows(database, other.id)) == 3


@pytest.mark.parametrize("in_other_mapping", [False, True])
async def test_release(database: Database, in_other_mapping: bool) -> None:
    """A member is released where the holder's row is there and holds the same subscriber; else it stays."""
    mapping = await add_mapping(database)
    holder = await add_mapping(database, mapping.connection_id) if in_other_mapping else mapping
    await put(
        database, holder.id, ["h1", "a@example.com", "x"], ["h2", "changed@example.com", None], ["h3", None, "c3"]
    )
    await put(
        database,
        mapping.id,
        ["1", "a@example.com", None],
        ["2", "b@example.com", None],
        ["3", None, "c3"],
        ["4", "d@example.com", None],
    )
    async with database.write() as db:
        await ledger.release(
            db,
            mapping.id,
            [
                BatchEntry("x", "1", "a@example.com", None, (holder.id, "h1")),
                BatchEntry("x", "2", "b@example.com", None, (holder.id, "h2")),
                BatchEntry("x", "3", None, "c3", (holder.id, "h3")),
                BatchEntry("x", "4", "d@example.com", None, (holder.id, "nobody")),
            ],
        )
    left = await rows(database, mapping.id)
    assert {profile for profile in left if not profile.startswith("h")} == {"2", "4"}


async def test_release_of_a_member_that_changed(database: Database) -> None:
    """A member whose row has another address by now is not released."""
    mapping = await add_mapping(database)
    await put(database, mapping.id, ["1", "new@example.com", None], ["2", "old@example.com", None])
    async with database.write() as db:
        await ledger.release(db, mapping.id, [BatchEntry("o", "1", "old@example.com", None, (mapping.id, "2"))])
    assert set(await rows(database, mapping.id)) == {"1", "2"}


@pytest.mark.parametrize("certain", [True, False])
async def test_rename(database: Database, certain: bool) -> None:
    """A rename reaches all mappings of the connection where the old address, or none, is recorded, and no others."""
    one = await add_mapping(database)
    other = await add_mapping(database, one.connection_id, list_id=1002)
    stranger = await add_mapping(database, await add_connection(database, "stranger"))
    old, new = "7@placeholder.email", "seven@example.com"
    for mapping_id in (one.id, stranger.id):
        await put(database, mapping_id, ["7", old, "7"], ["8", "8@placeholder.email", "8"])
    await put(database, other.id, ["7", None, "7"], certain=False)
    async with database.write() as db:
        renamed = [
            BatchEntry("n", "7", old, "7", (new,)),
            BatchEntry("n", "8", "elsewhere@example.com", "8", ("eight@example.com",)),
        ]
        await ledger.rename(db, one.connection_id, renamed, certain=certain)
    assert await rows(database, one.id) == {"7": (new, "7", certain), "8": ("8@placeholder.email", "8", True)}
    assert await rows(database, other.id) == {"7": (new, "7", False)}
    assert (await rows(database, stranger.id))["7"] == (old, "7", True)


async def test_rename_that_may_have_happened(database: Database) -> None:
    """After a rename that was never answered no address is known for certain, only the user id."""
    mapping = await add_mapping(database)
    await put(database, mapping.id, ["7", "7@placeholder.email", "7"])
    async with database.write() as db:
        nameless = [BatchEntry("n", "7", "7@placeholder.email", "7", (None,))]
        await ledger.rename(db, mapping.connection_id, nameless, certain=False)
    assert await rows(database, mapping.id) == {"7": (None, "7", False)}


async def test_a_thousand_members_at_once(database: Database) -> None:
    """A whole batch is put, read in chunks, and taken."""
    mapping = await add_mapping(database)
    members = [(str(n), f"p{n}@example.com", f"c{n}") for n in range(1000)]
    await put(database, mapping.id, *members)
    found = await rows(database, mapping.id, chunk=64)
    assert found == {profile: (email, user_id, True) for profile, email, user_id in members}
    async with database.write() as db:
        assert await ledger.size(db, mapping.id) == 1000
        await ledger.delete_matching(db, mapping.id, [BatchEntry("r", *member) for member in members])
        assert await ledger.size(db, mapping.id) == 0


async def test_rows_of_several_mappings(database: Database) -> None:
    """Rows of several mappings come together, each with its mapping, and of none where there is none."""
    one = await add_mapping(database)
    other = await add_mapping(database, one.connection_id)
    await put(database, one.id, ["1", "a@example.com", None])
    await put(database, other.id, ["1", "b@example.com", None])
    async with database.read() as db:
        found = [tuple(row) async for some in ledger.rows_of(db, [one.id, other.id], 10) for row in some]
        assert sorted(row[0] for row in found) == [one.id, other.id]
        assert [row async for row in ledger.rows_of(db, [], 10)] == []


async def test_addresses_of_leavers_are_written_and_cleared_in_one_order(database: Database) -> None:
    """Who clears old addresses waits for a run that writes them again, in whatever order they had become old."""
    mapping = await add_mapping(database)
    leavers = {profile: (profile, f"{profile}@example.com", f"c{profile}") for profile in ("1", "2")}
    for profile in ("2", "1"):  # the second became old first
        await put(database, mapping.id, leavers[profile])
        async with database.write() as db:
            await ledger.delete_matching(db, mapping.id, [BatchEntry("r", *leavers[profile])])
    await put(database, mapping.id, *leavers.values())
    before = time.time()

    async def clear() -> int:
        async with database.write() as db:
            return await last_known_emails.clear_old(db, before, 10)

    async with database.write() as db:
        await ledger.delete_matching(db, mapping.id, [BatchEntry("r", *leavers["1"])])
        beside = asyncio.create_task(clear())
        if not database.is_sqlite:
            await until(lambda: somebody_waits(database))
        await ledger.delete_matching(db, mapping.id, [BatchEntry("r", *leavers["2"])])
    assert await beside == 0  # they are new again
