"""Connections and mappings are stored unchanged, and deleted with all their rows."""

import time

import pytest
from sqlalchemy.exc import IntegrityError

from core.identity import ProjectType, UserIdField
from core.iterable import DataCenter
from core.models.batch import FORMER_IDENTITY_PREFIX, BatchEntry, Phase
from core.store import batches, connections, ledger, lists, mappings, rejections, runs
from core.store.connections import project_of
from core.store.database import Database
from core.store.rejections import Rejection
from tests.core.store.seeds import LIST, add_connection, add_mapping, add_run, draft


async def test_connection_is_stored_unchanged(database: Database) -> None:
    """A connection is found by name and by id, with all its values unchanged."""
    connection_id = await add_connection(
        database,
        "Ünïcode 🙂",
        api_key=b"\x00\xff",
        data_center=DataCenter.EU,
        user_id_field=UserIdField.MPID,
        requests_per_second=0.0,
    )
    async with database.read() as db:
        connection = await connections.by_name(db, "Ünïcode 🙂", None)
        assert connection == await connections.by_id(db, connection_id)
    assert connection is not None
    assert (connection.api_key, connection.data_center, connection.user_id_field, connection.requests_per_second) == (
        b"\x00\xff",
        "eu",
        UserIdField.MPID,
        0.0,
    )
    assert (connection.key_rejected_at, connection.key_last4, connection.rate_limit_key) == (None, "1234", "digest")
    assert abs(connection.created_at - time.time()) < 60


async def test_connection_without_a_stored_key(database: Database) -> None:
    """A connection whose key is in the environment has no stored key."""
    connection_id = await add_connection(database, api_key=None)
    async with database.read() as db:
        connection = await connections.by_id(db, connection_id)
    assert connection is not None
    assert connection.api_key is None


async def test_connections_are_listed_by_name(database: Database) -> None:
    """All connections are listed in the order of their names."""
    for name in ("b", "c", "a"):
        await add_connection(database, name)
    async with database.read() as db:
        assert [connection.name for connection in await connections.everyone(db)] == ["a", "b", "c"]


async def test_changed_connection(database: Database) -> None:
    """A change affects only its fields and its connection."""
    one, other = await add_connection(database, "one"), await add_connection(database, "other")
    async with database.write() as db:
        await connections.change(db, one, requests_per_second=7.5, key_rejected_at=1.0)
    async with database.read() as db:
        connection, untouched = await connections.by_id(db, one), await connections.by_id(db, other)
    assert connection is not None
    assert untouched is not None
    assert (connection.requests_per_second, connection.key_rejected_at, connection.name) == (7.5, 1.0, "one")
    assert (untouched.requests_per_second, untouched.key_rejected_at) == (5.0, None)


@pytest.mark.parametrize("team_id", [None, "T1"])
async def test_names_are_unique_in_a_workspace(database: Database, team_id: str | None) -> None:
    """Two connections of a workspace, or of no workspace, can't have the same name."""
    await add_connection(database, "shop", team_id=team_id)
    with pytest.raises(IntegrityError):
        await add_connection(database, "shop", team_id=team_id)


async def test_name_in_several_workspaces(database: Database) -> None:
    """Connections of different workspaces can have the same name, and each workspace finds its own."""
    ids = {team_id: await add_connection(database, "shop", team_id=team_id) for team_id in (None, "T1", "T2")}
    async with database.read() as db:
        for team_id, connection_id in ids.items():
            connection = await connections.by_name(db, "shop", team_id)
            assert connection is not None
            assert (connection.id, connection.team_id) == (connection_id, team_id)
        assert await connections.by_name(db, "shop", "T3") is None


async def test_unknown_connection_and_mapping(database: Database) -> None:
    """Looking up an unknown row returns None."""
    async with database.read() as db:
        assert await connections.by_id(db, 77) is None
        assert await connections.by_name(db, "unknown", None) is None
        assert await mappings.by_id(db, 77) is None
        assert await lists.get(db, 77, LIST) is None
        assert await runs.by_id(db, "nothing") is None


def test_project_is_a_digest_of_the_key() -> None:
    """A key's project name differs for each key and does not contain the key."""
    assert project_of("secret-one") == project_of("secret-one") != project_of("secret-two")
    assert "secret" not in project_of("secret-one")


async def test_mappings_of_a_list(database: Database) -> None:
    """Mappings are found by connection and by list, oldest first."""
    connection_id = await add_connection(database)
    first = await add_mapping(database, connection_id, audience="first")
    second = await add_mapping(database, connection_id, audience="second")
    elsewhere = await add_mapping(database, connection_id, list_id=1002)
    async with database.read() as db:
        assert await mappings.of_connection(db, connection_id) == [first, second, elsewhere]
        assert await mappings.of_connection(db, connection_id, LIST) == [first, second]
        assert await mappings.of_connection(db, connection_id + 1) == []


async def test_audience_is_set_once(database: Database) -> None:
    """The audience of a mapping is set if it was unknown, and replaced only on purpose."""
    mapping = await add_mapping(database, audience="VIPs")
    async with database.write() as db:
        await mappings.name_audience(db, mapping.id, "11", "Other")
        named = await mappings.by_id(db, mapping.id)
        await mappings.set_audience(db, mapping.id, "12", None)
        replaced = await mappings.by_id(db, mapping.id)
    assert named is not None
    assert replaced is not None
    assert (named.audience_id, named.audience_name) == ("11", "VIPs")
    assert (replaced.audience_id, replaced.audience_name, replaced.label) == ("12", None, "12")


async def test_sizes_of_mappings(database: Database) -> None:
    """The people of several mappings are counted at once, as Iterable counts them; an empty mapping is left out.

    Two profiles with one email are one person, except in userID-based projects. A former identity is none.
    """
    one = await add_mapping(database)
    by_user_id, empty = [await add_mapping(database, one.connection_id) for _ in range(2)]
    rows = [BatchEntry("a", str(n), f"p{n}@example.com", f"c{n}") for n in range(3)]
    rows.append(BatchEntry("a", "another profile", "p0@example.com", "c9"))
    rows.append(BatchEntry("a", f"{FORMER_IDENTITY_PREFIX}1", "before@example.com", None))
    async with database.write() as db:
        await mappings.change(db, by_user_id.id, project_type=ProjectType.USER_ID)
        for mapping in (one, by_user_id):
            await ledger.upsert(db, mapping.id, rows, certain=True)
        assert await mappings.sizes(db, [one.id, by_user_id.id, empty.id]) == {one.id: 3, by_user_id.id: 4}
        assert await ledger.size(db, empty.id) == 0


async def test_deleted_connection_deletes_its_rows(database: Database) -> None:
    """Deleting a connection deletes its lists, mappings, runs, batches, rejections and ledger, and no others."""
    deleted, kept = await add_mapping(database), await add_mapping(database, await add_connection(database, "other"))
    ids = {}
    for mapping in (deleted, kept):
        ids[mapping.id] = await add_run(database, mapping)
        async with database.write() as db:
            await batches.add_drafts(db, ids[mapping.id], [draft(Phase.ADD, 1)])
            await rejections.add(db, ids[mapping.id], [Rejection("1", None, None, "no_email")])
            await ledger.upsert(db, mapping.id, [BatchEntry("a", "1", "p1@example.com", None)], certain=True)
    async with database.write() as db:
        await connections.remove(db, deleted.connection_id)
    async with database.read() as db:
        assert await runs.by_id(db, ids[deleted.id]) is None
        assert await runs.by_id(db, ids[kept.id]) is not None
        assert await mappings.sizes(db, [deleted.id, kept.id]) == {kept.id: 1}
        assert await rejections.by_reason(db, ids[deleted.id]) == {}
        assert await lists.get(db, deleted.connection_id, LIST) is None
        assert await lists.get(db, kept.connection_id, LIST) is not None


async def test_deleted_mapping_deletes_its_rows(database: Database) -> None:
    """Deleting a mapping deletes its runs and its ledger, and keeps its list."""
    mapping = await add_mapping(database)
    run_id = await add_run(database, mapping)
    async with database.write() as db:
        await ledger.upsert(db, mapping.id, [BatchEntry("a", "1", "p1@example.com", None)], certain=True)
        await mappings.remove(db, mapping.id)
        assert await ledger.size(db, mapping.id) == 0
        assert await runs.by_id(db, run_id) is None
        assert await lists.get(db, mapping.connection_id, LIST) is not None
