"""The ledger's statements, which read batches as they are stored."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from core.identity import ProjectType
from core.models.batch import BatchEntry
from core.store import last_known_emails, ledger
from core.store.database import Database
from tests.core.harness import until
from tests.core.storage import is_lock_awaited
from tests.core.store.seeds import add_connection, add_mapping

#: Member key to email, user id, and whether the row is confirmed.
Rows = dict[str, tuple[str | None, str | None, bool]]


async def rows(database: Database, mapping_id: int, chunk: int = 1000) -> Rows:
    """The ledger's rows of a mapping."""
    by_key: Rows = {}
    async with database.read_rows() as db:
        async for chunk_rows in ledger.rows_of(db, [mapping_id], chunk):
            for _, profile, email, user_id, is_confirmed in chunk_rows:
                by_key[profile] = (email, user_id, bool(is_confirmed))
    return by_key


async def put(database: Database, mapping_id: int, *entries: Sequence[Any], certain: bool = True) -> None:
    """Store members, given as member key, email and user id."""
    async with database.write() as db:
        await ledger.upsert(db, mapping_id, [BatchEntry("a", *entry) for entry in entries], certain=certain)


async def test_upsert(database: Database) -> None:
    """Members are stored unchanged, including NULLs, and storing them again replaces them."""
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


async def test_member_twice_in_one_write(database: Database) -> None:
    """The last of a member's entries counts. Members with the same address, or with none, are not the same member."""
    mapping = await add_mapping(database)
    await put(
        database,
        mapping.id,
        ["1", "old@example.com", "c1"],
        ["2", "new@example.com", "c2"],
        ["3", None, "c3"],
        ["4", None, "c4"],
        ["1", "new@example.com", "c0"],
    )
    assert await rows(database, mapping.id) == {
        "1": ("new@example.com", "c0", True),
        "2": ("new@example.com", "c2", True),
        "3": (None, "c3", True),
        "4": (None, "c4", True),
    }


async def test_upsert_keeps_text_unchanged(database: Database) -> None:
    """Text stays unchanged, even if it looks like a number, a date or SQL."""
    mapping = await add_mapping(database)
    texts = ["0042", "-9223372036854775808", "true", "null", "'; DROP TABLE ledger; --", "ünï🙂", 'q"\\u0041\\', "1e5"]
    await put(database, mapping.id, *[[text, f"{text}@example.com", text] for text in texts])
    assert await rows(database, mapping.id) == {text: (f"{text}@example.com", text, True) for text in texts}


async def test_upsert_affects_one_mapping(database: Database) -> None:
    """Several mappings can have the same member under different addresses."""
    one = await add_mapping(database)
    other = await add_mapping(database, one.connection_id)
    await put(database, one.id, ["1", "a@example.com", None])
    await put(database, other.id, ["1", "b@example.com", None])
    assert await rows(database, one.id) == {"1": ("a@example.com", None, True)}
    assert await rows(database, other.id) == {"1": ("b@example.com", None, True)}


async def test_delete_matching(database: Database) -> None:
    """Members are deleted if they are recorded under the given address, or under none."""
    mapping = await add_mapping(database)
    other = await add_mapping(database, mapping.connection_id)
    for mapping_id in (mapping.id, other.id):
        await put(database, mapping_id, ["1", "a@example.com", "c"], ["2", "b@example.com", "c"], ["3", None, "c"])
    async with database.write() as db:
        entries = [
            BatchEntry("r", "1", "a@example.com", None),
            BatchEntry("r", "2", "old@example.com", "c"),
            BatchEntry("r", "3", None, "c"),
        ]
        await ledger.delete_matching(db, mapping.id, [*entries, BatchEntry("r", "4", "d@example.com", None)])
    assert await rows(database, mapping.id) == {"2": ("b@example.com", "c", True)}
    assert len(await rows(database, other.id)) == 3


@pytest.mark.parametrize("in_other_mapping", [False, True])
async def test_release(database: Database, in_other_mapping: bool) -> None:
    """A member is released if the other member's row has the same subscriber; otherwise it stays."""
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
                BatchEntry("x", "4", "d@example.com", None, (holder.id, "missing")),
            ],
            ProjectType.EMAIL,
        )
    remaining = await rows(database, mapping.id)
    assert {profile for profile in remaining if not profile.startswith("h")} == {"2", "4"}


@pytest.mark.parametrize(
    ("project_type", "expected"),
    [(ProjectType.EMAIL, {"u"}), (ProjectType.USER_ID, {"e"}), (ProjectType.HYBRID, set[str]())],
)
async def test_release_by_the_type_of_the_project(
    database: Database, project_type: ProjectType, expected: set[str]
) -> None:
    """What the holder has to have in common with the member is the identifier that is unique in the project."""
    mapping = await add_mapping(database)
    await put(
        database,
        mapping.id,
        ["e", "a@example.com", "c1"],
        ["u", "b@example.com", "c2"],
        ["he", "a@example.com", "c3"],
        ["hu", "c@example.com", "c2"],
    )
    entries = [
        BatchEntry("x", "e", "a@example.com", "c1", (mapping.id, "he")),
        BatchEntry("x", "u", "b@example.com", "c2", (mapping.id, "hu")),
    ]
    async with database.write() as db:
        await ledger.release(db, mapping.id, entries, project_type)
    assert set(await rows(database, mapping.id)) - {"he", "hu"} == expected


async def test_release_of_a_member_that_changed(database: Database) -> None:
    """A member with a new address in its row is not released."""
    mapping = await add_mapping(database)
    await put(database, mapping.id, ["1", "new@example.com", None], ["2", "old@example.com", None])
    async with database.write() as db:
        entry = BatchEntry("o", "1", "old@example.com", None, (mapping.id, "2"))
        await ledger.release(db, mapping.id, [entry], ProjectType.EMAIL)
    assert set(await rows(database, mapping.id)) == {"1", "2"}


@pytest.mark.parametrize("is_confirmed", [True, False])
async def test_rename(database: Database, is_confirmed: bool) -> None:
    """A rename reaches all mappings of the connection that have the old address, or none, and no others."""
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
        await ledger.rename(db, one.connection_id, renamed, certain=is_confirmed)
    assert await rows(database, one.id) == {"7": (new, "7", is_confirmed), "8": ("8@placeholder.email", "8", True)}
    assert await rows(database, other.id) == {"7": (new, "7", False)}
    assert (await rows(database, stranger.id))["7"] == (old, "7", True)


async def test_rename_that_may_have_happened(database: Database) -> None:
    """After an unanswered rename, only the user id is known for certain."""
    mapping = await add_mapping(database)
    await put(database, mapping.id, ["7", "7@placeholder.email", "7"])
    async with database.write() as db:
        nameless = [BatchEntry("n", "7", "7@placeholder.email", "7", (None,))]
        await ledger.rename(db, mapping.connection_id, nameless, certain=False)
    assert await rows(database, mapping.id) == {"7": (None, "7", False)}


async def test_a_thousand_members_at_once(database: Database) -> None:
    """A whole batch is stored, read in chunks, and deleted."""
    mapping = await add_mapping(database)
    members = [(str(n), f"p{n}@example.com", f"c{n}") for n in range(1000)]
    await put(database, mapping.id, *members)
    stored = await rows(database, mapping.id, chunk=64)
    assert stored == {profile: (email, user_id, True) for profile, email, user_id in members}
    async with database.write() as db:
        assert await ledger.size(db, mapping.id) == 1000
        await ledger.delete_matching(db, mapping.id, [BatchEntry("r", *member) for member in members])
        assert await ledger.size(db, mapping.id) == 0


async def test_rows_of_several_mappings(database: Database) -> None:
    """Rows of several mappings are read together, each with its mapping."""
    one = await add_mapping(database)
    other = await add_mapping(database, one.connection_id)
    await put(database, one.id, ["1", "a@example.com", None])
    await put(database, other.id, ["1", "b@example.com", None])
    async with database.read_rows() as db:
        all_rows = [tuple(row) async for chunk in ledger.rows_of(db, [one.id, other.id], 10) for row in chunk]
        assert sorted(row[0] for row in all_rows) == [one.id, other.id]
        assert [row async for row in ledger.rows_of(db, [], 10)] == []


async def test_clearing_addresses_does_not_deadlock(database: Database) -> None:
    """Clearing old addresses waits for a run that writes them again, in any order of their age."""
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
        clearing = asyncio.create_task(clear())
        if not database.is_sqlite:
            await until(lambda: is_lock_awaited(database))
        await ledger.delete_matching(db, mapping.id, [BatchEntry("r", *leavers["2"])])
    assert await clearing == 0  # the addresses are new again
