"""Live audiences, from mParticle's messages to Iterable's list: what is stored, what waits, and what is sent when."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core import live
from core.connections import mapping_lifecycle, offboarding
from core.connections.manage import connect, replace_key
from core.engine import open_engine
from core.identity import UserIdField
from core.iterable import DataCenter
from core.live import bulk_removal, decisions, maintenance, micro_batch, worker
from core.live.maintenance import run_maintenance
from core.models.run import PROCESS_DIED, RunRequest, RunStatus, StopReason, SyncMode
from core.runs.executor import execute
from core.runs.submission import submit
from core.runs.worker import MAX_CONCURRENT_RUNS, _requeue_orphans
from core.store import alerts, audit_log, connections, inbox, live_work, mappings, rejections, run_queue, runs
from core.store import live_mappings as store
from core.store.alert_kinds import AlertKind
from core.store.audit_log import AuditAction
from core.store.mappings import NO_LIST, AudienceMapping, LiveOffer, MappingStatus, RemovalPolicy
from sandbox.iterable import Fault
from sandbox.mparticle import Audience
from tests.core.databases import sampled
from tests.core.storage import is_lock_awaited
from tests.firehosing import LIST, OTHER_LIST, VIPS, Live, firehosing, person, until, working

NONE: dict[str, Any] = {"firehose_approval": "none"}


def addresses(*numbers: int) -> set[str]:
    """The addresses of people with these numbers."""
    return {f"p{number}@example.com" for number in numbers}


async def start(service: Live, *numbers: int) -> None:
    """Connect the audience, approve it, and add these people to the list."""
    await service.mparticle.connect(VIPS)
    await service.approve()
    await service.mparticle.add(VIPS, *map(person, numbers))
    await service.settled()


async def connection_id(service: Live) -> int:
    """The id of the connection of the audience's mapping."""
    return (await service.mapping()).connection_id


async def mark_delivered(service: Live, mapping_id: int, run_id: str) -> None:
    """Mark the changes of a run as delivered, with the lock that its finalizing has."""
    async with service.engine.database.write() as db:
        assert await store.lock_of_run(db, run_id) is not None
        await inbox.mark_delivered(db, mapping_id, run_id, micro_batch.MARKED_AT_ONCE)


async def test_changes_reach_the_list(tmp_path: Path, database_url: str) -> None:
    """Members who join are added to the list, leavers are removed, and the day's numbers match."""
    async with firehosing(tmp_path, database_url) as service:
        await start(service, 1, 2, 3)
        await service.mparticle.tell(VIPS, [("delete", person(2)), ("add", person(4)), ("add", person(5, email=None))])
        status = await service.settled()
        assert service.emails() == addresses(1, 3, 4)
        assert (status.changes_today, status.added, status.removed, status.rejected) == (6, 4, 1, 1)
        assert status.rejected_by_reason == {"no_email": 1}
        assert status.last_accepted_at is not None
        assert (status.backlog, status.oldest_age_s, status.waiting) == (0, None, 0)


@pytest.mark.extended
async def test_one_run_a_day(tmp_path: Path, database_url: str) -> None:
    """A mapping has one run per day, whose numbers and rejections cover all batches of the day."""
    async with firehosing(tmp_path, database_url) as service:
        await start(service, 1)
        for number in range(2, 6):
            await service.mparticle.add(VIPS, person(number), person(-number, email="no address"))
            await service.settled()
        async with service.engine.database.read_rows() as db:
            (run,) = await runs.latest(db, 10)
            rejected = [rejection async for rejection in rejections.of_run(db, run.id)]
        assert run.id == (await service.status()).run_id
        assert (run.status, run.counters.missing) == (RunStatus.SUCCEEDED, 0)
        assert (run.counters.members, run.counters.added, run.counters.rejected) == (9, 5, 4)
        assert {(rejection.member_key, rejection.reason) for rejection in rejected} == {
            (str(-number), "invalid_email") for number in range(2, 6)
        }


async def test_waits_until_approved(tmp_path: Path, database_url: str) -> None:
    """Nothing is sent before a person approves the mapping, and then all pending changes are."""
    async with firehosing(tmp_path, database_url) as service:
        await service.mparticle.connect(VIPS)
        await service.mparticle.add(VIPS, *map(person, range(3)))
        mapping, status = await service.mapping(), await service.status()
        assert (mapping.status, mapping.list_id, mapping.audience_name) == (MappingStatus.PROPOSED, LIST, "VIPs")
        assert (status.waiting, status.backlog) == (3, 0)
        assert service.iterable.state.log.total() == 0
        await service.approve()
        await service.settled()
        assert service.emails() == addresses(0, 1, 2)


@pytest.mark.extended
async def test_backlog_is_split_into_runs(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backlog is claimed in chunks, and delivered by runs of limited size."""
    monkeypatch.setattr(micro_batch, "MARKED_AT_ONCE", 3)
    monkeypatch.setattr(micro_batch, "MOST_MEMBERS", 9)
    monkeypatch.setattr("core.live.rounds.SMALL_MEMBERS", 5)
    async with firehosing(tmp_path, database_url) as service:
        await service.mparticle.connect(VIPS)
        await service.mparticle.add(VIPS, *map(person, range(20)))
        await service.approve()
        status = await service.settled()
        assert service.emails() == addresses(*range(20))
        assert (status.added, status.backlog) == (20, 0)
        assert service.iterable.state.log.total("/api/lists/subscribe") == 3


async def test_list_is_chosen_at_approval(tmp_path: Path) -> None:
    """An audience without a list in its settings is proposed without one, and synced to the list that is chosen."""
    audience = Audience(5, "Nameless")
    async with firehosing(tmp_path, **NONE) as service:
        await service.mparticle.connect(audience)
        await service.mparticle.add(audience, person(1))
        assert (await service.mapping(audience)).list_id == NO_LIST
        assert (await service.mapping(audience)).status is MappingStatus.PROPOSED
        await service.approve(audience, OTHER_LIST)
        await service.settled(audience)
        assert service.emails(OTHER_LIST) == addresses(1)


async def test_mapping_without_approval(tmp_path: Path, database_url: str) -> None:
    """Without approval, a membership message creates its mapping, even if no subscription message came before."""
    async with firehosing(tmp_path, database_url, **NONE) as service:
        await service.mparticle.add(VIPS, person(1))
        await service.settled()
        assert service.emails() == addresses(1)
        assert (await service.mapping()).status is MappingStatus.ACTIVE


async def test_mpid_setting_of_the_message(tmp_path: Path) -> None:
    """The User ID setting of the message counts, as in the hosted integration."""
    async with firehosing(tmp_path, account={"userIdField": "mpid"}, **NONE) as service:
        service.mparticle.account["account_settings"]["apiKey"] = service.iterable.key
        await service.mparticle.add(VIPS, person(-7, email=None), person(8))
        await service.settled()
        assert set(service.iterable.state.members(LIST)) == {("-7@placeholder.email", "-7"), ("p8@example.com", "8")}


async def test_saved_connection_wins(tmp_path: Path) -> None:
    """A connection that a person saved for the account takes precedence over the message's settings."""
    async with firehosing(tmp_path, account={"apiKey": "useless", "userIdField": "mpid"}, **NONE) as service:
        async with service.engine.database.write() as db:
            connection_id = await connections.add(
                db,
                name="shop",
                api_key=service.engine.vault.encrypt(service.iterable.key),
                key_last4="1234",
                rate_limit_key="p",
                data_center=DataCenter.US,
                user_id_field=UserIdField.CUSTOMER_ID,
                requests_per_second=0,
            )
            await connections.change(db, connection_id, mparticle_account_id="4711")
        await service.mparticle.add(VIPS, person(1))
        await service.settled()
        assert set(service.iterable.state.members(LIST)) == {("p1@example.com", "c1")}
        assert (await service.mapping()).connection_id == connection_id


@pytest.mark.extended
async def test_changed_key_replaces_the_former(tmp_path: Path) -> None:
    """A new key in mParticle's form replaces the former key from there."""
    async with firehosing(tmp_path, account={"apiKey": "revoked"}, **NONE) as service:
        await service.mparticle.add(VIPS, person(1))
        await until_refused(service)
        service.mparticle.account["account_settings"] = {"apiKey": service.iterable.key}
        answer = await service.mparticle.add(VIPS, person(2))
        assert "suspend_subscription" not in answer
        await service.settled()
        assert service.emails() == addresses(1, 2)


async def test_replaced_key_wins_over_the_one_in_the_first_message(tmp_path: Path, database_url: str) -> None:
    """An account whose first message has a key that a person replaced gets that person's connection."""
    async with firehosing(tmp_path, database_url, worker=False) as service:
        await save_connection(service, *key_and_another(service))
        await service.mparticle.connect(VIPS)
        async with service.engine.database.read() as db:
            (shop,) = await connections.everyone(db)
        assert (shop.name, shop.mparticle_account_id, shop.mparticle_settings_digest) == ("shop", "4711", None)
        assert service.engine.api_key(shop) == "another-key"
        assert (await service.mapping()).connection_id == shop.id


async def test_name_says_nothing_about_the_account(tmp_path: Path, database_url: str) -> None:
    """A connection that only has an account's name gets none of its audiences: the account gets its own."""
    async with firehosing(tmp_path, database_url, worker=False) as service:
        another = key_and_another(service)[1]
        await save_connection(service, another, name="mparticle-4711")
        await service.mparticle.connect(VIPS)
        async with service.engine.database.read() as db:
            namesake, created = await connections.everyone(db)
        assert (namesake.name, namesake.mparticle_account_id) == ("mparticle-4711", None)
        assert (created.name, created.mparticle_account_id) == ("mparticle-4711-2", "4711")
        assert (await service.mapping()).connection_id == created.id


async def test_workspace_that_removed_the_app(tmp_path: Path, database_url: str) -> None:
    """Changes for a workspace that removed the app are not stored, and mParticle is asked to stop sending them."""
    async with firehosing(tmp_path, database_url) as service:
        await start(service, 1)
        mapping = await service.mapping()
        async with service.engine.database.write() as db:
            await connections.change(db, mapping.connection_id, team_id="T1")
        await offboarding.suspend_workspace(service.engine, "T1")

        answer = await service.mparticle.add(VIPS, person(2))

        assert answer["suspend_subscription"] is True
        async with service.engine.database.read() as db:
            assert (await inbox.backlog(db, mapping.id)).size == 0
        assert service.emails() == addresses(1)


async def test_replaced_key_stays_when_other_settings_change(tmp_path: Path) -> None:
    """A new User ID setting in mParticle's form does not bring back a replaced key that is still in the form."""
    async with firehosing(tmp_path, worker=False) as service:
        await service.mparticle.connect(VIPS)
        async with service.engine.database.read() as db:
            (connection,) = await connections.everyone(db)
        await replace_key(service.engine, connection, key_and_another(service)[1])
        service.mparticle.account["account_settings"]["userIdField"] = "mpid"
        await service.mparticle.connect(VIPS)
        async with service.engine.database.read() as db:
            (connection,) = await connections.everyone(db)
        assert (service.engine.api_key(connection), connection.user_id_field) == ("another-key", UserIdField.MPID)


def key_and_another(service: Live) -> tuple[str, str]:
    """The key in the messages, and another one of the same project."""
    service.iterable.state.add_key("another-key", service.iterable.state.project().name)
    return service.iterable.key, "another-key"


async def save_connection(service: Live, first_key: str, *others: str, name: str = "shop") -> None:
    """Save a connection, and replace its key with each of the others."""
    connected = await connect(
        service.engine,
        name=name,
        api_key=first_key,
        data_center=DataCenter.US,
        user_id_field=UserIdField.CUSTOMER_ID,
        requests_per_second=0.0,
    )
    for key in others:
        connected = await replace_key(service.engine, connected.connection, key)


async def until_refused(service: Live) -> None:
    """Wait until Iterable has refused the key of the account's connection."""

    async def is_refused() -> bool:
        async with service.engine.database.read() as db:
            connection = await connections.of_account(db, "4711")
        return connection is not None and connection.key_rejected_at is not None

    await until(is_refused)


async def test_refused_key(tmp_path: Path, database_url: str) -> None:
    """A refused key suspends the subscription and opens one alert; the changes are delivered with a new key."""
    async with firehosing(tmp_path, database_url) as service:
        await start(service, 1)
        service.iterable.faults.add(Fault(action="error", status=401, code="BadApiKey", msg="no", path="/api/lists/"))
        await service.mparticle.add(VIPS, person(2))
        await until_refused(service)
        answer = await service.mparticle.add(VIPS, person(3))
        assert answer["suspend_subscription"] is True

        async def is_alerted() -> bool:
            async with service.engine.database.read() as db:
                return len(await alerts.current(db)) == 1

        await until(is_alerted)
        async with service.engine.database.read() as db:
            (alert,) = await alerts.current(db)
        assert (alert.mapping_id, alert.occurrences) == (None, 0)
        service.iterable.faults.clear()
        async with service.engine.database.write() as db:  # as replacing the key does
            await connections.change(db, alert.connection_id, key_rejected_at=None)
        await service.settled()
        assert service.emails() == addresses(1, 2, 3)
        async with service.engine.database.read() as db:
            assert [each.closed_at is not None for each in await alerts.current(db)] == [True]


async def test_latest_timestamp_wins(tmp_path: Path, database_url: str) -> None:
    """An addition that arrives after a newer removal has no effect, before and after the removal's upload."""
    now = int(time.time() * 1000)
    async with firehosing(tmp_path, database_url, worker=False, **NONE) as service:
        await service.mparticle.delete(VIPS, person(1), at=now)
        await service.mparticle.add(VIPS, person(1), person(2), at=now - 1)
        async with service.engine.database.read() as db:
            rows = await db.execute(text("SELECT profile, member FROM inbox"))
        assert {(profile, bool(member)) for profile, member in rows} == {("1", False), ("2", True)}
    async with firehosing(tmp_path / "uploaded", **NONE) as service:
        await join_and_leave(service, now)
        await service.mparticle.add(VIPS, person(1), at=now + 1)
        await service.settled()
        assert service.emails() == addresses(2)
        await service.mparticle.add(VIPS, person(1), at=now + 3)
        await service.settled()
        assert service.emails() == addresses(1, 2)


async def join_and_leave(service: Live, now: int) -> None:
    """Let two people join, and one leave a little later."""
    await service.mparticle.add(VIPS, person(1), person(2), at=now)
    await service.settled()
    await service.mparticle.delete(VIPS, person(1), at=now + 2)
    await service.settled()
    assert service.emails() == addresses(2)


async def test_repeated_message(tmp_path: Path, database_url: str) -> None:
    """A message that mParticle repeats counts once, even if both arrive at the same time."""
    from sandbox.mparticle import messages

    async with firehosing(tmp_path, database_url, **NONE) as service:
        message = messages.membership(service.mparticle.account, VIPS, [("add", person(1))])
        await asyncio.gather(*(service.mparticle.send(message) for _ in range(5)))
        await service.mparticle.send(message)
        status = await service.settled()
        assert (status.changes_today, status.added, status.rejected) == (1, 1, 0)


@pytest.mark.extended
async def test_hashed_identities_are_rejected(tmp_path: Path) -> None:
    """A member with only a hashed address is rejected, by either User ID setting."""
    for field in ("customerId", "mpid"):
        async with firehosing(tmp_path / field, account={"userIdField": field}, **NONE) as service:
            service.mparticle.account["account_settings"]["apiKey"] = service.iterable.key
            hashed = person(1, email="0a41" * 16, customer_id=None, encoding="sha256")
            await service.mparticle.add(VIPS, hashed, person(2))
            status = await service.settled()
            assert status.rejected_by_reason == {"hashed_identity": 1}
            assert service.emails() == addresses(2)


@pytest.mark.extended
async def test_removal_without_an_email(tmp_path: Path) -> None:
    """A leaver with only an mpid is removed under the identity that was synced."""
    async with firehosing(tmp_path) as service:
        await start(service, 1, 2)
        await service.mparticle.delete(VIPS, person(1, email=None, customer_id=None))
        await service.settled()
        assert service.emails() == addresses(2)


async def test_attribute_update_is_counted_and_ignored(tmp_path: Path) -> None:
    """An attribute update is counted and not forwarded."""
    async with firehosing(tmp_path) as service:
        await start(service, 1)
        await service.mparticle.tell(VIPS, [("attribute_update", person(2))])
        status = await service.settled()
        assert (service.emails(), status.changes_today) == (addresses(1), 1)
        async with service.engine.database.read() as db:
            assert (await db.execute(text("SELECT ignored FROM live_days"))).scalar_one() == 1


async def test_paused_mapping_waits(tmp_path: Path) -> None:
    """Changes of a paused mapping wait, and are sent when it is resumed."""
    async with firehosing(tmp_path) as service:
        await start(service, 1)
        mapping = await service.mapping()
        async with service.engine.database.write() as db:
            await mappings.change(db, mapping.id, status=MappingStatus.PAUSED)
        await service.mparticle.add(VIPS, person(2))
        assert (await service.status()).waiting == 1
        async with service.engine.database.write() as db:
            await mappings.change(db, mapping.id, status=MappingStatus.ACTIVE)
        await service.settled()
        assert service.emails() == addresses(1, 2)


async def test_pending_changes_are_dropped(tmp_path: Path, database_url: str) -> None:
    """A person can drop pending changes, with an audit entry."""
    async with firehosing(tmp_path, database_url) as service:
        await service.mparticle.add(VIPS, *map(person, range(5)))
        mapping = await service.mapping()
        assert await live.drop_waiting(service.engine, mapping.id, by="U2") == 5
        assert (await service.status()).waiting == 0
        async with service.engine.database.read() as db:
            last = (await audit_log.of(db, [f"mapping:{mapping.id}"]))[-1]
        assert (last.actor, last.after) == ("U2", {"dropped": 5})


async def test_approved_changes_are_not_dropped(tmp_path: Path, database_url: str) -> None:
    """Dropping pending changes at the moment of an approval drops nothing."""
    async with firehosing(tmp_path, database_url, worker=False) as service:
        await service.mparticle.add(VIPS, *map(person, range(5)))
        await service.approve()
        mapping = await service.mapping()
        assert await live.drop_waiting(service.engine, mapping.id, by="U2") is None
        assert (await service.status()).backlog == 5
        async with service.engine.database.read() as db:
            assert (await audit_log.of(db, [f"mapping:{mapping.id}"]))[-1].action is AuditAction.MAPPING_APPROVED


async def test_approval_ends_dropping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An approval during a drop keeps the rest of the changes, and the drop reports its number."""
    monkeypatch.setattr("core.live.decisions.PIECE", 1)
    async with firehosing(tmp_path, worker=False) as service:
        await service.mparticle.add(VIPS, *map(person, range(20)))
        mapping = await service.mapping()
        approving = live.approve(service.engine, mapping.id, list_id=LIST, by="U1")
        dropped, approved = await asyncio.gather(live.drop_waiting(service.engine, mapping.id, by="U2"), approving)
        assert approved
        assert (await service.status()).backlog == 20 - (dropped or 0)
        assert (await service.status()).backlog > 0


async def test_removals_that_need_approval(tmp_path: Path, database_url: str) -> None:
    """With the policy `ask`, removals wait for approval while additions are sent."""
    async with firehosing(tmp_path, database_url) as service:
        await start(service, 1, 2)
        mapping = await service.mapping()
        async with service.engine.database.write() as db:
            await mappings.change(db, mapping.id, removal_policy=RemovalPolicy.ASK)
        await service.mparticle.tell(VIPS, [("delete", person(1)), ("add", person(3))])
        status = await service.settled()
        assert service.emails() == addresses(1, 2, 3)
        assert (status.waiting, status.backlog) == (1, 0)
        assert await live.approve_removals(service.engine, mapping.id, by="U1") == 1
        await service.settled()
        assert service.emails() == addresses(2, 3)


async def test_removals_that_are_kept(tmp_path: Path) -> None:
    """With the policy `keep`, leavers stay on the list and no change waits."""
    async with firehosing(tmp_path) as service:
        await start(service, 1, 2)
        async with service.engine.database.write() as db:
            await mappings.change(db, (await service.mapping()).id, removal_policy=RemovalPolicy.KEEP)
        await service.mparticle.delete(VIPS, person(1))
        await service.settled()
        assert service.emails() == addresses(1, 2)


@pytest.mark.extended
async def test_many_removals_are_not_stopped(tmp_path: Path) -> None:
    """The guard on removals does not apply to live changes: all members may leave."""
    async with firehosing(tmp_path) as service:
        await start(service, *range(200))
        await service.mparticle.delete(VIPS, *map(person, range(200)))
        await service.settled()
        assert service.emails() == set()


async def test_rename(tmp_path: Path) -> None:
    """A renamed audience keeps its mapping."""
    async with firehosing(tmp_path) as service:
        await start(service, 1)
        await service.mparticle.change(Audience(VIPS.id, "Very important", VIPS.settings), previous=VIPS)
        mapping = await service.mapping()
        assert (mapping.audience_name, mapping.status) == ("Very important", MappingStatus.ACTIVE)


async def test_other_list_is_another_mapping(tmp_path: Path) -> None:
    """A new list in the settings pauses the former mapping and proposes a new one."""
    other = Audience(VIPS.id, VIPS.name, {"listId": str(OTHER_LIST)})
    async with firehosing(tmp_path) as service:
        await start(service, 1)
        await service.mparticle.change(other, previous=VIPS)
        states = {m.list_id: (m.status, m.disconnected_at is not None) for m in await service.mappings()}
        assert states == {LIST: (MappingStatus.PAUSED, True), OTHER_LIST: (MappingStatus.PROPOSED, False)}


@pytest.mark.parametrize("keep", sampled([False, True]))
async def test_disconnected(tmp_path: Path, database_url: str, keep: bool) -> None:
    """A disconnected audience is paused until a person decides whether its members stay."""
    async with firehosing(tmp_path, database_url) as service:
        await start(service, 1, 2)
        await service.mparticle.disconnect(VIPS)
        mapping = await service.mapping()
        assert (mapping.status, mapping.disconnected_at is not None) == (MappingStatus.PAUSED, True)
        decide = live.keep_members if keep else live.remove_members
        assert await decide(service.engine, mapping.id, by="U1")
        if not keep:
            await service.settled()
            await run_maintenance(service.engine)
        assert service.emails() == (addresses(1, 2) if keep else set())
        mapping = await service.mapping()
        assert (mapping.status, mapping.disconnected_at) == (MappingStatus.PAUSED, None)
        assert not await decide(service.engine, mapping.id, by="U1")


@pytest.mark.extended
async def test_bulk_removal_is_left_to_a_worker(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker removes the members in the background, the backlog shows how many are left, and another can continue."""
    monkeypatch.setattr(bulk_removal, "PIECE", 2)
    async with firehosing(tmp_path, database_url, worker=False) as service:
        async with working(service.engine):
            await start(service, *range(1, 8))
        await service.mparticle.add(VIPS, person(8))  # pending, and dropped
        await service.mparticle.disconnect(VIPS)
        mapping = await service.mapping()
        assert await live.remove_members(service.engine, mapping.id, by="U1")
        async with service.engine.database.read() as db:
            assert (await db.execute(text("SELECT profile FROM inbox WHERE member IS FALSE"))).all() == []
        assert (await service.status()).backlog == 1 + 7
        for _ in range(3):
            async with service.engine.database.write() as db:
                assert await bulk_removal.remove_next_chunk(db, mapping.id)
        assert ((await service.mapping()).bulk_removal_cursor, (await service.status()).backlog) == ("4", 7)
        await run_maintenance(service.engine)
        assert (
            await service.mapping()
        ).status is MappingStatus.ACTIVE  # not finished, although no removal may be pending yet
        async with working(service.engine):
            await service.settled()
        await run_maintenance(service.engine)
        mapping = await service.mapping()
        assert (service.emails(), mapping.status, mapping.bulk_removal_cursor) == (set(), MappingStatus.PAUSED, None)


@pytest.mark.extended
async def test_reconnected_during_a_bulk_removal(tmp_path: Path) -> None:
    """An audience that is reconnected during a bulk removal is proposed again, and keeps the remaining members."""
    async with firehosing(tmp_path, worker=False) as service:
        async with working(service.engine):
            await start(service, 1, 2)
        await service.mparticle.disconnect(VIPS)
        assert await live.remove_members(service.engine, (await service.mapping()).id, by="U1")
        await service.mparticle.connect(VIPS)
        assert (await service.mapping()).status is MappingStatus.PROPOSED
        await service.approve()
        async with working(service.engine):
            await service.settled()
        assert service.emails() == addresses(1, 2)


async def test_reconnected(tmp_path: Path) -> None:
    """A reconnected audience is proposed again."""
    async with firehosing(tmp_path) as service:
        await start(service, 1)
        await service.mparticle.disconnect(VIPS)
        await service.mparticle.connect(VIPS)
        mapping = await service.mapping()
        assert (mapping.status, mapping.disconnected_at) == (MappingStatus.PROPOSED, None)


async def test_failed_run_is_resumed(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes that a run could not deliver are sent later, and each member is counted once."""
    monkeypatch.setattr("core.live.worker.RETRY_S", 0.01)
    async with firehosing(tmp_path, database_url) as service:
        await start(service, 1)
        service.iterable.faults.add(Fault(action="error", status=500, path="/api/lists/subscribe", times=7))
        await service.mparticle.add(VIPS, person(2), person(3))
        status = await service.settled()
        assert service.emails() == addresses(1, 2, 3)
        assert (status.added, status.changes_today) == (3, 3)


async def test_newer_change_during_an_upload(tmp_path: Path, database_url: str) -> None:
    """The next run uploads a change that arrives while an older one of the same member is uploaded."""
    async with firehosing(tmp_path, database_url) as service:
        await start(service, 1)
        service.iterable.faults.add(Fault(action="slow", delay=0.5, path="/api/lists/subscribe", times=1))
        await service.mparticle.add(VIPS, person(2))

        async def is_on_its_way() -> bool:
            return service.iterable.state.log.in_flight > 0

        await until(is_on_its_way)
        await service.mparticle.delete(VIPS, person(2))
        await service.settled()
        assert service.emails() == addresses(1)


async def test_cancelled_run_loses_nothing(tmp_path: Path) -> None:
    """The changes of a cancelled live run wait for the next run."""
    async with firehosing(tmp_path, worker=False, **NONE) as service:
        await service.mparticle.add(VIPS, person(1))
        run_id = await micro_batch.create_micro_batch(service.engine, await service.mapping())
        assert run_id is not None
        async with service.engine.database.write() as db:
            await runs.request_stop(db, run_id, StopReason.CANCEL)
        await micro_batch.execute(service.engine, run_id)
        assert (await service.status()).backlog == 1
        run_id = await micro_batch.create_micro_batch(service.engine, await service.mapping())
        assert run_id is not None
        await micro_batch.execute(service.engine, run_id)
        assert service.emails() == addresses(1)


@pytest.mark.extended
async def test_file_does_not_undo_newer_changes(tmp_path: Path) -> None:
    """A download skips members with newer live changes."""
    async with firehosing(tmp_path) as service:
        await start(service, 1, 2, 3)
        await service.mparticle.delete(VIPS, person(2))
        await service.settled()
        rows = [f"{n}, 1600000000, p{n}@example.com, email\n" for n in (2, 4)]
        file = tmp_path / "8754_VIPs.csv"
        file.write_text("mpid, scanned_timestamp_ms, identity_value, identity_type\n" + "".join(rows))
        async with service.engine.database.read() as db:
            connection = await connections.by_id(db, await connection_id(service))
        assert connection is not None
        request = RunRequest(path=str(file), mode=SyncMode.MIRROR, approved=True)
        run_id = (await submit(service.engine, connection, LIST, request)).run_id
        assert await execute(service.engine, run_id) is RunStatus.SUCCEEDED
        assert service.emails() == addresses(1, 3, 4)
        async with service.engine.database.read() as db:
            run = await runs.by_id(db, run_id)
        assert run is not None
        assert (run.counters.members, run.counters.added, run.counters.removed) == (1, 1, 0)


@pytest.mark.extended
async def test_file_that_waits_blocks_no_changes(tmp_path: Path) -> None:
    """Live changes are sent while a file's run waits for approval, and the approved run does not undo them."""
    async with firehosing(tmp_path) as service:
        await start(service, *range(1, 200))
        file = tmp_path / "audience.csv"
        file.write_text("mpid,email,customer_id\n" + "".join(f"{n},p{n}@example.com,c{n}\n" for n in (1, 2, 500, 501)))
        async with service.engine.database.read() as db:
            connection = await connections.by_id(db, await connection_id(service))
        assert connection is not None
        run_id = (
            await submit(service.engine, connection, LIST, RunRequest(path=str(file), mode=SyncMode.MIRROR))
        ).run_id
        assert await execute(service.engine, run_id) is RunStatus.NEEDS_APPROVAL
        await service.mparticle.tell(VIPS, [("add", person(7)), ("delete", person(500))])
        await service.settled()
        async with service.engine.database.write() as db:
            run = await runs.by_id(db, run_id)
            assert run is not None
            await runs.reopen(db, run, service.engine.presence.id)
        assert await execute(service.engine, run_id) is RunStatus.SUCCEEDED
        assert service.emails() == addresses(1, 2, 7, 501)
        async with service.engine.database.read() as db:
            run = await runs.by_id(db, run_id)
        assert run is not None
        assert run.counters.missing == 0


async def mapping_of(service: Live, mapping_id: int) -> AudienceMapping:
    """A mapping by id, live or not."""
    async with service.engine.database.read() as db:
        mapping = await mappings.by_id(db, mapping_id)
    assert mapping is not None
    return mapping


async def test_live_offer_for_a_mapping_of_files(tmp_path: Path) -> None:
    """mParticle feeds a mapping of files only after a person accepts the offer; its ledger stays."""
    async with firehosing(tmp_path) as service:
        await start(service, 1)
        mapping = await service.mapping()
        async with service.engine.database.write() as db:
            await mappings.change(db, mapping.id, is_live=False, mparticle_account_id=None, firehose_list_setting=None)
        await service.mparticle.connect(VIPS)
        offered = await mapping_of(service, mapping.id)
        assert (offered.id, offered.status, offered.is_live) == (mapping.id, MappingStatus.ACTIVE, False)
        assert offered.live_offer is LiveOffer.PROPOSED
        await service.mparticle.delete(VIPS, person(1))
        assert await micro_batch.create_micro_batch(service.engine, offered) is None
        assert service.emails() == addresses(1)
        assert await decisions.decide_offer(service.engine, mapping.id, accepts=True, by="U1")
        assert not await decisions.decide_offer(service.engine, mapping.id, accepts=False, by="U2")
        await service.settled()
        assert service.emails() == set()


async def test_declined_offer(tmp_path: Path) -> None:
    """mParticle's changes for a mapping are dropped when its live offer is declined, and files still feed it."""
    async with firehosing(tmp_path) as service:
        await start(service, 1)
        mapping = await service.mapping()
        async with service.engine.database.write() as db:
            await mappings.change(db, mapping.id, is_live=False, mparticle_account_id=None, firehose_list_setting=None)
        await service.mparticle.add(VIPS, person(2))
        assert await decisions.decide_offer(service.engine, mapping.id, accepts=False, by="U1")
        declined = await mapping_of(service, mapping.id)
        assert (declined.is_live, declined.live_offer, declined.status) == (
            False,
            LiveOffer.DECLINED,
            MappingStatus.ACTIVE,
        )
        async with service.engine.database.read() as db:
            assert (await inbox.backlog(db, mapping.id)).size == 0
        assert service.emails() == addresses(1)


#: The state after a process dies in the middle of a decision: its second write never happens.
NO_DELETION = "CREATE TRIGGER no_deletion BEFORE DELETE ON inbox BEGIN SELECT RAISE(ABORT, 'no deletion'); END"


async def test_decision_is_one_write(tmp_path: Path) -> None:
    """Declining a live mapping, or an offer, and dropping its pending changes is one transaction."""
    async with firehosing(tmp_path) as service:
        await service.mparticle.add(VIPS, person(1))
        mapping = await service.mapping()
        async with service.engine.database.write() as db:
            await db.execute(text(NO_DELETION))
        options: dict[str, Any] = {"by": "U1", "comment": None, "team_id": None}
        with pytest.raises(IntegrityError, match="no deletion"):
            await mapping_lifecycle.decide_proposal(service.engine, mapping.id, MappingStatus.DECLINED, **options)
        assert (await service.mapping()).status is MappingStatus.PROPOSED
        async with service.engine.database.write() as db:
            await mappings.change(db, mapping.id, live_offer=LiveOffer.PROPOSED)
        with pytest.raises(IntegrityError, match="no deletion"):
            await decisions.decide_offer(service.engine, mapping.id, accepts=False, by="U1")
        assert (await service.mapping()).live_offer is LiveOffer.PROPOSED
        async with service.engine.database.write() as db:
            await db.execute(text("DROP TRIGGER no_deletion"))
        assert await mapping_lifecycle.decide_proposal(service.engine, mapping.id, MappingStatus.DECLINED, **options)
        async with service.engine.database.read() as db:
            assert (await inbox.backlog(db, mapping.id)).size == 0
            (*_, entry) = await audit_log.of(db, [f"mapping:{mapping.id}"])
        assert (entry.action, entry.after) == (AuditAction.MAPPING_DECLINED, {"comment": None, "dropped": 1})


async def test_backlog_alert(tmp_path: Path, database_url: str) -> None:
    """Changes that wait too long open one alert, which closes once they are delivered."""
    async with firehosing(tmp_path, database_url, worker=False, firehose_backlog_alert_s=0.01, **NONE) as service:
        await service.mparticle.add(VIPS, person(1))
        mapping = await service.mapping()

        async def is_late() -> bool:
            await run_maintenance(service.engine)
            async with service.engine.database.read() as db:
                return await alerts.open_of(db, mapping.connection_id, mapping.id, AlertKind.BACKLOG) is not None

        await until(is_late)
        await run_maintenance(service.engine)
        async with service.engine.database.read() as db:
            (alert,) = await alerts.current(db)
        assert (alert.code, alert.occurrences) == ("backlog", 0)
        assert "1 change of audience VIPs" in alert.message
        run_id = await micro_batch.create_micro_batch(service.engine, mapping)
        assert run_id is not None
        await micro_batch.execute(service.engine, run_id)
        await run_maintenance(service.engine)
        async with service.engine.database.read() as db:
            assert await alerts.open_of(db, mapping.connection_id, mapping.id, AlertKind.BACKLOG) is None


async def test_file_does_not_close_a_backlog_alert(tmp_path: Path, database_url: str) -> None:
    """A successful run of a file does not close the alert about a backlog."""
    async with firehosing(tmp_path, database_url, worker=False, firehose_backlog_alert_s=1e-9, **NONE) as service:
        await service.mparticle.add(VIPS, person(1))
        mapping = await service.mapping()
        await run_maintenance(service.engine)
        async with service.engine.database.read() as db:
            (opened,) = await alerts.current(db)
            connection = await connections.by_id(db, mapping.connection_id)
        assert (opened.code, opened.closed_at) == ("backlog", None)
        assert connection is not None
        file = tmp_path / "8754_VIPs.csv"
        file.write_text("mpid,email\n2,p2@example.com\n")
        run_id = (await submit(service.engine, connection, LIST, RunRequest(path=str(file), mode=SyncMode.ADD))).run_id
        assert await execute(service.engine, run_id) is RunStatus.SUCCEEDED
        async with service.engine.database.read() as db:
            assert await alerts.current(db) == [opened]


async def test_old_messages_are_deleted(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Message ids and timestamps of delivered changes are deleted after a while; pending changes stay."""
    async with firehosing(tmp_path, database_url) as service:
        await start(service, 1, 2)
        async with service.engine.database.write() as db:
            await mappings.change(db, (await service.mapping()).id, status=MappingStatus.PAUSED)
        await service.mparticle.add(VIPS, person(3))
        monkeypatch.setattr(maintenance, "REMEMBER_S", -10.0)
        await run_maintenance(service.engine)
        async with service.engine.database.read() as db:
            assert (await db.execute(text("SELECT count(*) FROM messages"))).scalar_one() == 0
            assert (await db.execute(text("SELECT profile FROM inbox"))).scalars().all() == ["3"]


async def test_decisions_have_audit_entries(tmp_path: Path) -> None:
    """The audit log has who proposed and who approved a live mapping."""
    async with firehosing(tmp_path) as service:
        await start(service, 1)
        mapping = await service.mapping()
        assert not await live.approve(service.engine, mapping.id, list_id=LIST, by="U2")
        async with service.engine.database.read() as db:
            entries = await audit_log.of(db, [f"mapping:{mapping.id}"])
        assert [(entry.actor, entry.action) for entry in entries] == [
            ("mparticle", AuditAction.MAPPING_PROPOSED),
            ("U1", AuditAction.MAPPING_APPROVED),
        ]
        assert store.day_of(0.0) == "1970-01-01"


@pytest.mark.parametrize("cause", sampled(["its process died", "a person resumed it"]))
async def test_stopped_live_run_is_resumed_by_one_worker(tmp_path: Path, database_url: str, cause: str) -> None:
    """Only the live worker resumes a stopped live run."""
    async with firehosing(tmp_path, database_url, worker=False, **NONE) as service:
        await service.mparticle.add(VIPS, person(1))
        run_id = await micro_batch.create_micro_batch(service.engine, await service.mapping())
        assert run_id is not None
        async with service.engine.database.write() as db:
            await runs.set_status(db, run_id, RunStatus.INTERRUPTED, code=PROCESS_DIED)
            if cause == "a person resumed it":
                run = await runs.by_id(db, run_id)
                assert run is not None
                assert await runs.reopen(db, run, None) is not None
        await _requeue_orphans(service.engine, is_full=True)
        assert await run_queue.claim(service.engine.database, service.engine.presence.id, MAX_CONCURRENT_RUNS) == []
        async with working(service.engine):
            await service.settled()
        assert service.emails() == addresses(1)


@pytest.mark.parametrize("action", ["claim", "clear"])
async def test_writes_and_claims_do_not_deadlock(tmp_path: Path, database_url: str, action: str) -> None:
    """A message that is written while its members are claimed or cleared waits, in any order of the members."""
    async with firehosing(tmp_path, database_url, worker=False, **NONE) as service:
        await service.mparticle.add(VIPS, person(2))
        await service.mparticle.add(VIPS, person(1))
        mapping = await service.mapping()

        def change_of(number: int) -> list[inbox.Change]:
            return [inbox.Change(mapping.id, str(number), True, 2**42, f"p{number}@example.com")]

        async def clear() -> bool:
            async with service.engine.database.write() as db:
                return await inbox.clear_old(db, mapping.id, 2**41, 10) == 0

        async def claim() -> bool:
            return await micro_batch.create_micro_batch(service.engine, mapping) is not None

        if action == "clear":
            run_id = await micro_batch.create_micro_batch(service.engine, mapping)
            assert run_id is not None
            await mark_delivered(service, mapping.id, run_id)
        async with service.engine.database.write() as db:
            await inbox.put(db, change_of(1))
            concurrent = asyncio.create_task(claim() if action == "claim" else clear())
            if not service.engine.database.is_sqlite:
                await until(lambda: is_lock_awaited(service.engine.database))
            await inbox.put(db, change_of(2))
            await inbox.put(db, change_of(3))  # a new member, so that the database checks the mapping
        assert await concurrent


@pytest.mark.parametrize("action", ["mark as done", "drop"])
async def test_concurrent_change_is_not_lost(tmp_path: Path, database_url: str, action: str) -> None:
    """A newer change stays if the older one is marked as done, or dropped, while the newer one is written."""
    async with firehosing(tmp_path, database_url, worker=False, **NONE) as service:
        await service.mparticle.add(VIPS, person(1))
        mapping = await service.mapping()

        async def drop() -> None:
            async with service.engine.database.write() as db:
                await inbox.drop_waiting(db, mapping.id, 10, until=before)

        async def mark() -> None:
            assert run_id is not None
            await mark_delivered(service, mapping.id, run_id)

        run_id = await micro_batch.create_micro_batch(service.engine, mapping) if action == "mark as done" else None
        before = time.time()
        async with service.engine.database.write() as db:
            newer = inbox.Change(mapping.id, "1", False, 2**42, "p1@example.com")
            await inbox.put(db, [newer])
            concurrent = asyncio.create_task(drop() if run_id is None else mark())
            if not service.engine.database.is_sqlite:
                await until(lambda: is_lock_awaited(service.engine.database))
        await concurrent
        async with service.engine.database.read() as db:
            assert (await inbox.backlog(db, mapping.id)).size == 1


async def test_marking_is_limited(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One transaction marks a limited number of changes, whatever PostgreSQL's plan, and all are marked in the end."""
    monkeypatch.setattr(micro_batch, "MARKED_AT_ONCE", 3)
    async with firehosing(tmp_path, database_url, worker=False, **NONE) as service:
        await service.mparticle.add(VIPS, *map(person, range(10)))
        mapping = await service.mapping()
        run_id = await micro_batch.create_micro_batch(service.engine, mapping)
        assert run_id is not None
        async with service.engine.database.write() as db:
            if not service.engine.database.is_sqlite:
                for operation in ("hashjoin", "mergejoin", "hashagg", "sort", "material"):
                    await db.execute(text(f"SET LOCAL enable_{operation} = off"))
            assert await inbox.mark_delivered(db, mapping.id, run_id, 3)
            assert len(await inbox.claimed_by(db, run_id)) == 7
        assert await execute(service.engine, run_id) is RunStatus.SUCCEEDED
        await micro_batch.finalize(service.engine, run_id)
        async with service.engine.database.read() as db:
            assert (await inbox.backlog(db, mapping.id)).size == 0


async def test_finished_run_is_added_to_its_day(tmp_path: Path, database_url: str) -> None:
    """The process of a successful run adds it to its day, or another process does if that one has died."""
    async with firehosing(tmp_path, database_url, worker=False, **NONE) as service:
        await service.mparticle.add(VIPS, person(1))
        mapping = await service.mapping()
        run_id = await micro_batch.create_micro_batch(service.engine, mapping)
        assert run_id is not None
        assert await execute(service.engine, run_id) is RunStatus.SUCCEEDED
        async with open_engine(service.engine.settings, "other") as other_engine, service.engine.database.read() as db:
            (work,) = await live_work.pending(db, 0.0, 1)
            run = await runs.by_id(db, run_id)
            assert run is not None
            assert not await worker._Worker(other_engine)._is_left(work, run)
        assert await worker._Worker(service.engine)._is_left(work, run)
        async with open_engine(service.engine.settings, "next") as next_engine:
            orphan = run.model_copy(update={"worker_id": "dead#1"})
            assert await worker._Worker(next_engine)._is_left(work, orphan)
