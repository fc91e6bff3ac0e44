"""Live audiences, from mParticle's messages to Iterable's list: what is stored, what waits, what goes out and when."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core import live, mapping_lifecycle
from core.connections import offboarding
from core.connections.manage import connect, replace_key
from core.engine import open_engine
from core.identity import UserIdField
from core.iterable import DataCenter
from core.live import bulk_removal, decisions, maintenance, micro_batch, worker
from core.live.maintenance import run_maintenance
from core.models.run import PROCESS_DIED, RunRequest, RunStatus, StopReason, SyncMode
from core.runs.executor import execute
from core.runs.submission import submit
from core.runs.worker import MAX_CONCURRENT_RUNS, _claim_queued, _reopen_orphans
from core.store import alerts, audit_log, connections, inbox, mappings, rejections, runs
from core.store import live_mappings as store
from core.store.audit_log import AuditAction
from core.store.mappings import NO_LIST, AudienceMapping, LiveOffer, MappingStatus, RemovalPolicy
from sandbox.iterable import Fault
from sandbox.mparticle import Audience
from tests.core.databases import on_both
from tests.core.storage import somebody_waits
from tests.firehosing import LIST, OTHER_LIST, VIPS, Live, firehosing, person, until
from tests.firehosing import working as carrying_out

NONE: dict[str, Any] = {"firehose_approval": "none"}


def addresses(*numbers: int) -> set[str]:
    """The addresses of the persons of these numbers."""
    return {f"p{number}@example.com" for number in numbers}


async def started(live: Live, *numbers: int) -> None:
    """Connect the audience, approve it and have these persons on the list."""
    await live.mparticle.connect(VIPS)
    await live.approve()
    await live.mparticle.add(VIPS, *map(person, numbers))
    await live.settled()


async def connection_id(it: Live) -> int:
    """The connection of the audience's mapping."""
    return (await it.mapping()).connection_id


async def test_changes_reach_the_list(tmp_path: Path, database_url: str) -> None:
    """Who joins is put on the list and who leaves is taken off, and the day's numbers say so."""
    async with firehosing(tmp_path, database_url) as it:
        await started(it, 1, 2, 3)
        await it.mparticle.tell(VIPS, [("delete", person(2)), ("add", person(4)), ("add", person(5, email=None))])
        status = await it.settled()
        assert it.emails() == addresses(1, 3, 4)
        assert (status.changes_today, status.added, status.removed, status.rejected) == (6, 4, 1, 1)
        assert status.rejected_by_reason == {"no_email": 1}
        assert status.last_accepted_at is not None
        assert (status.backlog, status.oldest_age_s, status.waiting) == (0, None, 0)


@on_both
async def test_one_run_a_day(tmp_path: Path, database_url: str) -> None:
    """However many batches there are, a day of a mapping is one run: its numbers add up, and it has the rejections."""
    async with firehosing(tmp_path, database_url) as it:
        await started(it, 1)
        for number in range(2, 6):
            await it.mparticle.add(VIPS, person(number), person(-number, email="no address"))
            await it.settled()
        async with it.engine.database.read() as db:
            (run,) = await runs.latest(db, 10)
            found = [rejection async for rejection in rejections.of_run(db, run.id)]
        assert run.id == (await it.status()).run_id
        assert (run.status, run.counters.missing) == (RunStatus.SUCCEEDED, 0)
        assert (run.counters.members, run.counters.added, run.counters.rejected) == (9, 5, 4)
        assert {(rejection.member_key, rejection.reason) for rejection in found} == {
            (str(-number), "invalid_email") for number in range(2, 6)
        }


async def test_waits_until_approved(tmp_path: Path, database_url: str) -> None:
    """Nothing is sent before somebody approves, and then all that waited goes out."""
    async with firehosing(tmp_path, database_url) as it:
        await it.mparticle.connect(VIPS)
        await it.mparticle.add(VIPS, *map(person, range(3)))
        mapping, status = await it.mapping(), await it.status()
        assert (mapping.status, mapping.list_id, mapping.audience_name) == (MappingStatus.PROPOSED, LIST, "VIPs")
        assert (status.waiting, status.backlog) == (3, 0)
        assert it.iterable.state.log.total() == 0
        await it.approve()
        await it.settled()
        assert it.emails() == addresses(0, 1, 2)


async def test_run_carries_more_than_are_marked_at_once(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is marked in pieces, and carried by runs of as many members as one may have."""
    monkeypatch.setattr(micro_batch, "MARKED_AT_ONCE", 3)
    monkeypatch.setattr(micro_batch, "MOST_MEMBERS", 9)
    async with firehosing(tmp_path, database_url) as it:
        await it.mparticle.connect(VIPS)
        await it.mparticle.add(VIPS, *map(person, range(20)))
        await it.approve()
        status = await it.settled()
        assert it.emails() == addresses(*range(20))
        assert (status.added, status.backlog) == (20, 0)
        assert it.iterable.state.log.total("/api/lists/subscribe") == 3


async def test_list_is_chosen_when_it_is_approved(tmp_path: Path) -> None:
    """An audience whose settings name no list is proposed without one, and goes to the list that is chosen."""
    audience = Audience(5, "Nameless")
    async with firehosing(tmp_path, **NONE) as it:
        await it.mparticle.connect(audience)
        await it.mparticle.add(audience, person(1))
        assert (await it.mapping(audience)).list_id == NO_LIST
        assert (await it.mapping(audience)).status is MappingStatus.PROPOSED
        await it.approve(audience, OTHER_LIST)
        await it.settled(audience)
        assert it.emails(OTHER_LIST) == addresses(1)


async def test_drop_in(tmp_path: Path, database_url: str) -> None:
    """Without approval, mappings come from the messages, also where the audience had been connected long before."""
    async with firehosing(tmp_path, database_url, **NONE) as it:
        await it.mparticle.add(VIPS, person(1))
        await it.settled()
        assert it.emails() == addresses(1)
        assert (await it.mapping()).status is MappingStatus.ACTIVE


async def test_mpid_setting_of_the_message(tmp_path: Path) -> None:
    """The User ID setting in the message decides, as in the hosted integration."""
    async with firehosing(tmp_path, account={"userIdField": "mpid"}, **NONE) as it:
        it.mparticle.account["account_settings"]["apiKey"] = it.iterable.key
        await it.mparticle.add(VIPS, person(-7, email=None), person(8))
        await it.settled()
        assert set(it.iterable.state.members(LIST)) == {("-7@placeholder.email", "-7"), ("p8@example.com", "8")}


async def test_saved_connection_wins(tmp_path: Path) -> None:
    """Where a person saved a connection for the account, the settings in the message are not used."""
    async with firehosing(tmp_path, account={"apiKey": "useless", "userIdField": "mpid"}, **NONE) as it:
        async with it.engine.database.write() as db:
            saved = await connections.add(
                db,
                name="shop",
                api_key=it.engine.vault.encrypt(it.iterable.key),
                key_last4="1234",
                rate_limit_key="p",
                data_center=DataCenter.US,
                user_id_field=UserIdField.CUSTOMER_ID,
                requests_per_second=0,
            )
            await connections.change(db, saved, mparticle_account_id="4711")
        await it.mparticle.add(VIPS, person(1))
        await it.settled()
        assert set(it.iterable.state.members(LIST)) == {("p1@example.com", "c1")}
        assert (await it.mapping()).connection_id == saved


async def test_changed_settings_are_taken_over(tmp_path: Path) -> None:
    """A key that is replaced in mParticle's form replaces the one that came from there before."""
    async with firehosing(tmp_path, account={"apiKey": "revoked"}, **NONE) as it:
        await it.mparticle.add(VIPS, person(1))
        await until_refused(it)
        it.mparticle.account["account_settings"] = {"apiKey": it.iterable.key}
        answer = await it.mparticle.add(VIPS, person(2))
        assert "suspend_subscription" not in answer
        await it.settled()
        assert it.emails() == addresses(1, 2)


async def test_replaced_key_wins_over_the_one_in_the_first_message(tmp_path: Path, database_url: str) -> None:
    """An account whose first message still carries a key that a person has replaced gets that person's connection."""
    async with firehosing(tmp_path, database_url, worker=False) as it:
        await saved(it, *key_and_another(it))
        await it.mparticle.connect(VIPS)
        async with it.engine.database.read() as db:
            (shop,) = await connections.everyone(db)
        assert (shop.name, shop.mparticle_account_id, shop.mparticle_settings_digest) == ("shop", "4711", None)
        assert it.engine.api_key(shop) == "another-key"
        assert (await it.mapping()).connection_id == shop.id


async def test_name_says_nothing_about_the_account(tmp_path: Path, database_url: str) -> None:
    """A connection that somebody named like an account's gets none of its audiences: the account gets its own."""
    async with firehosing(tmp_path, database_url, worker=False) as it:
        another = key_and_another(it)[1]
        await saved(it, another, name="mparticle-4711")
        await it.mparticle.connect(VIPS)
        async with it.engine.database.read() as db:
            trap, made = await connections.everyone(db)
        assert (trap.name, trap.mparticle_account_id) == ("mparticle-4711", None)
        assert (made.name, made.mparticle_account_id) == ("mparticle-4711-2", "4711")
        assert (await it.mapping()).connection_id == made.id


async def test_workspace_that_removed_the_app(tmp_path: Path, database_url: str) -> None:
    """What comes for a workspace that removed the app is not stored, and mParticle is asked to stop sending it."""
    async with firehosing(tmp_path, database_url) as it:
        await started(it, 1)
        mapping = await it.mapping()
        async with it.engine.database.write() as db:
            await connections.change(db, mapping.connection_id, team_id="T1")
        await offboarding.suspend_workspace(it.engine, "T1")

        answer = await it.mparticle.add(VIPS, person(2))

        assert answer["suspend_subscription"] is True
        async with it.engine.database.read() as db:
            assert (await inbox.backlog(db, mapping.id)).size == 0
        assert it.emails() == addresses(1)


async def test_replaced_key_stays_when_other_settings_change(tmp_path: Path) -> None:
    """Who changes the User ID in mParticle's form, where the replaced key still stands, does not bring that back."""
    async with firehosing(tmp_path, worker=False) as it:
        await it.mparticle.connect(VIPS)
        async with it.engine.database.read() as db:
            (made,) = await connections.everyone(db)
        await replace_key(it.engine, made, key_and_another(it)[1])
        it.mparticle.account["account_settings"]["userIdField"] = "mpid"
        await it.mparticle.connect(VIPS)
        async with it.engine.database.read() as db:
            (made,) = await connections.everyone(db)
        assert (it.engine.api_key(made), made.user_id_field) == ("another-key", UserIdField.MPID)


def key_and_another(it: Live) -> tuple[str, str]:
    """The key that the messages carry, and another one of the same project."""
    it.iterable.state.add_key("another-key", it.iterable.state.project().name)
    return it.iterable.key, "another-key"


async def saved(it: Live, first_key: str, *others: str, name: str = "shop") -> None:
    """Save a connection, and replace its key as often as there are others."""
    known = await connect(
        it.engine,
        name=name,
        api_key=first_key,
        data_center=DataCenter.US,
        user_id_field=UserIdField.CUSTOMER_ID,
        requests_per_second=0.0,
    )
    for key in others:
        known = await replace_key(it.engine, known.connection, key)


async def until_refused(it: Live) -> None:
    """Wait until the key of the account's connection has been refused."""

    async def is_refused() -> bool:
        async with it.engine.database.read() as db:
            found = await connections.of_account(db, "4711")
        return found is not None and found.key_rejected_at is not None

    await until(is_refused)


async def test_refused_key(tmp_path: Path, database_url: str) -> None:
    """A refused key suspends the subscription and is alerted once for the connection; with another one all goes on."""
    async with firehosing(tmp_path, database_url) as it:
        await started(it, 1)
        it.iterable.faults.add(Fault(action="error", status=401, code="BadApiKey", msg="no", path="/api/lists/"))
        await it.mparticle.add(VIPS, person(2))
        await until_refused(it)
        answer = await it.mparticle.add(VIPS, person(3))
        assert answer["suspend_subscription"] is True

        async def is_alerted() -> bool:
            async with it.engine.database.read() as db:
                return len(await alerts.current(db)) == 1

        await until(is_alerted)
        async with it.engine.database.read() as db:
            (alert,) = await alerts.current(db)
        assert (alert.mapping_id, alert.occurrences) == (None, 0)
        it.iterable.faults.clear()
        async with it.engine.database.write() as db:  # as whoever replaces the key does
            await connections.change(db, alert.connection_id, key_rejected_at=None)
        await it.settled()
        assert it.emails() == addresses(1, 2, 3)
        async with it.engine.database.read() as db:
            assert [each.closed_at is not None for each in await alerts.current(db)] == [True]


async def test_latest_time_stamp_wins(tmp_path: Path, database_url: str) -> None:
    """A deletion that overtakes an addition is not undone by it, whether it has been uploaded already or not."""
    now = int(time.time() * 1000)
    async with firehosing(tmp_path, database_url, worker=False, **NONE) as it:
        await it.mparticle.delete(VIPS, person(1), at=now)
        await it.mparticle.add(VIPS, person(1), person(2), at=now - 1)
        async with it.engine.database.read() as db:
            found = await db.execute(text("SELECT profile, member FROM inbox"))
        assert {(profile, bool(member)) for profile, member in found} == {("1", False), ("2", True)}
    async with firehosing(tmp_path / "uploaded", **NONE) as it:
        await started_without_approval(it, now)
        await it.mparticle.add(VIPS, person(1), at=now + 1)
        await it.settled()
        assert it.emails() == addresses(2)
        await it.mparticle.add(VIPS, person(1), at=now + 3)
        await it.settled()
        assert it.emails() == addresses(1, 2)


async def started_without_approval(it: Live, now: int) -> None:
    """Two join, and one leaves a little later."""
    await it.mparticle.add(VIPS, person(1), person(2), at=now)
    await it.settled()
    await it.mparticle.delete(VIPS, person(1), at=now + 2)
    await it.settled()
    assert it.emails() == addresses(2)


async def test_message_that_comes_twice(tmp_path: Path, database_url: str) -> None:
    """A message that mParticle sends again counts once, also when both come at the same time."""
    from sandbox.mparticle import messages

    async with firehosing(tmp_path, database_url, **NONE) as it:
        message = messages.membership(it.mparticle.account, VIPS, [("add", person(1))])
        await asyncio.gather(*(it.mparticle.send(message) for _ in range(5)))
        await it.mparticle.send(message)
        status = await it.settled()
        assert (status.changes_today, status.added, status.rejected) == (1, 1, 0)


async def test_hashed_identities_are_rejected(tmp_path: Path) -> None:
    """An address that is there only as a hash can't be forwarded, in either setting; a removal of it neither."""
    for field in ("customerId", "mpid"):
        async with firehosing(tmp_path / field, account={"userIdField": field}, **NONE) as it:
            it.mparticle.account["account_settings"]["apiKey"] = it.iterable.key
            hashed = person(1, email="0a41" * 16, customer_id=None, encoding="sha256")
            await it.mparticle.add(VIPS, hashed, person(2))
            status = await it.settled()
            assert status.rejected_by_reason == {"hashed_identity": 1}
            assert it.emails() == addresses(2)


async def test_removal_without_an_email(tmp_path: Path) -> None:
    """Who leaves with no identity but the mpid is taken off under the identity that was synced."""
    async with firehosing(tmp_path) as it:
        await started(it, 1, 2)
        await it.mparticle.delete(VIPS, person(1, email=None, customer_id=None))
        await it.settled()
        assert it.emails() == addresses(2)


async def test_attribute_update_is_counted_and_ignored(tmp_path: Path) -> None:
    """Attributes are not forwarded; that they came is on record."""
    async with firehosing(tmp_path) as it:
        await started(it, 1)
        await it.mparticle.tell(VIPS, [("attribute_update", person(2))])
        status = await it.settled()
        assert (it.emails(), status.changes_today) == (addresses(1), 1)
        async with it.engine.database.read() as db:
            assert (await db.execute(text("SELECT ignored FROM live_days"))).scalar_one() == 1


async def test_paused_mapping_waits(tmp_path: Path) -> None:
    """Changes of a paused mapping wait, and go out when it is resumed."""
    async with firehosing(tmp_path) as it:
        await started(it, 1)
        mapping = await it.mapping()
        async with it.engine.database.write() as db:
            await mappings.change(db, mapping.id, status=MappingStatus.PAUSED)
        await it.mparticle.add(VIPS, person(2))
        assert (await it.status()).waiting == 1
        async with it.engine.database.write() as db:
            await mappings.change(db, mapping.id, status=MappingStatus.ACTIVE)
        await it.settled()
        assert it.emails() == addresses(1, 2)


async def test_waiting_is_dropped_only_when_somebody_says_so(tmp_path: Path, database_url: str) -> None:
    """What waits can be dropped, and who did it is on record."""
    async with firehosing(tmp_path, database_url) as it:
        await it.mparticle.add(VIPS, *map(person, range(5)))
        mapping = await it.mapping()
        assert await live.drop_waiting(it.engine, mapping.id, by="U2") == 5
        assert (await it.status()).waiting == 0
        async with it.engine.database.read() as db:
            last = (await audit_log.of(db, [f"mapping:{mapping.id}"]))[-1]
        assert (last.actor, last.after) == ("U2", {"dropped": 5})


async def test_what_is_on_its_way_is_not_dropped(tmp_path: Path, database_url: str) -> None:
    """Who drops what waits at the moment at which somebody else approves it drops nothing."""
    async with firehosing(tmp_path, database_url, worker=False) as it:
        await it.mparticle.add(VIPS, *map(person, range(5)))
        await it.approve()
        mapping = await it.mapping()
        assert await live.drop_waiting(it.engine, mapping.id, by="U2") is None
        assert (await it.status()).backlog == 5
        async with it.engine.database.read() as db:
            assert (await audit_log.of(db, [f"mapping:{mapping.id}"]))[-1].action is AuditAction.MAPPING_APPROVED


async def test_dropping_ends_where_somebody_approves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was dropped before an approval is said to have been, and all the rest is left to go out."""
    monkeypatch.setattr("core.live.decisions.PIECE", 1)
    async with firehosing(tmp_path, worker=False) as it:
        await it.mparticle.add(VIPS, *map(person, range(20)))
        mapping = await it.mapping()
        approving = live.approve(it.engine, mapping.id, list_id=LIST, by="U1")
        dropped, approved = await asyncio.gather(live.drop_waiting(it.engine, mapping.id, by="U2"), approving)
        assert approved
        assert (await it.status()).backlog == 20 - (dropped or 0)
        assert (await it.status()).backlog > 0


@on_both
async def test_removals_that_ask(tmp_path: Path, database_url: str) -> None:
    """Where removals are to be approved each time, they wait while additions go out, until somebody approves them."""
    async with firehosing(tmp_path, database_url) as it:
        await started(it, 1, 2)
        mapping = await it.mapping()
        async with it.engine.database.write() as db:
            await mappings.change(db, mapping.id, removal_policy=RemovalPolicy.ASK)
        await it.mparticle.tell(VIPS, [("delete", person(1)), ("add", person(3))])
        status = await it.settled()
        assert it.emails() == addresses(1, 2, 3)
        assert (status.waiting, status.backlog) == (1, 0)
        assert await live.approve_removals(it.engine, mapping.id, by="U1") == 1
        await it.settled()
        assert it.emails() == addresses(2, 3)


async def test_removals_that_are_kept(tmp_path: Path) -> None:
    """Where those who leave are kept, they stay on the list, and nothing waits."""
    async with firehosing(tmp_path) as it:
        await started(it, 1, 2)
        async with it.engine.database.write() as db:
            await mappings.change(db, (await it.mapping()).id, removal_policy=RemovalPolicy.KEEP)
        await it.mparticle.delete(VIPS, person(1))
        await it.settled()
        assert it.emails() == addresses(1, 2)


async def test_many_removals_are_not_stopped(tmp_path: Path) -> None:
    """The limit on removals is for files: live, everybody may leave."""
    async with firehosing(tmp_path) as it:
        await started(it, *range(200))
        await it.mparticle.delete(VIPS, *map(person, range(200)))
        await it.settled()
        assert it.emails() == set()


async def test_rename(tmp_path: Path) -> None:
    """An audience that gets another name keeps its mapping."""
    async with firehosing(tmp_path) as it:
        await started(it, 1)
        await it.mparticle.change(Audience(VIPS.id, "Very important", VIPS.settings), previous=VIPS)
        mapping = await it.mapping()
        assert (mapping.audience_name, mapping.status) == ("Very important", MappingStatus.ACTIVE)


async def test_other_list_is_another_mapping(tmp_path: Path) -> None:
    """Where the list in the settings is changed, the former mapping is paused and a new one is proposed."""
    other = Audience(VIPS.id, VIPS.name, {"listId": str(OTHER_LIST)})
    async with firehosing(tmp_path) as it:
        await started(it, 1)
        await it.mparticle.change(other, previous=VIPS)
        states = {m.list_id: (m.status, m.disconnected_at is not None) for m in await it.mappings()}
        assert states == {LIST: (MappingStatus.PAUSED, True), OTHER_LIST: (MappingStatus.PROPOSED, False)}


@pytest.mark.parametrize("keep", [True, False])
async def test_disconnected(tmp_path: Path, database_url: str, keep: bool) -> None:
    """A disconnected audience is paused until somebody says whether its members stay; then that is done."""
    async with firehosing(tmp_path, database_url) as it:
        await started(it, 1, 2)
        await it.mparticle.disconnect(VIPS)
        mapping = await it.mapping()
        assert (mapping.status, mapping.disconnected_at is not None) == (MappingStatus.PAUSED, True)
        decide = live.keep_members if keep else live.remove_members
        assert await decide(it.engine, mapping.id, by="U1")
        if not keep:
            await it.settled()
            await run_maintenance(it.engine)
        assert it.emails() == (addresses(1, 2) if keep else set())
        mapping = await it.mapping()
        assert (mapping.status, mapping.disconnected_at) == (MappingStatus.PAUSED, None)
        assert not await decide(it.engine, mapping.id, by="U1")


async def test_taking_off_is_left_to_a_worker(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever says that the members are to be taken off does not wait for that: it is on record, how many are left is
    shown, and a worker that stops half-way leaves the rest to the next."""
    monkeypatch.setattr(bulk_removal, "PIECE", 2)
    async with firehosing(tmp_path, database_url, worker=False) as it:
        async with carrying_out(it.engine):
            await started(it, *range(1, 8))
        await it.mparticle.add(VIPS, person(8))  # waits, and is dropped
        await it.mparticle.disconnect(VIPS)
        mapping = await it.mapping()
        assert await live.remove_members(it.engine, mapping.id, by="U1")
        async with it.engine.database.read() as db:
            assert (await db.execute(text("SELECT profile FROM inbox WHERE NOT member"))).all() == []
        assert (await it.status()).backlog == 1 + 7
        for _ in range(3):
            async with it.engine.database.write() as db:
                assert await bulk_removal.remove_next_chunk(db, mapping.id)
        assert ((await it.mapping()).bulk_removal_cursor, (await it.status()).backlog) == ("4", 7)
        await run_maintenance(it.engine)
        assert (
            await it.mapping()
        ).status is MappingStatus.ACTIVE  # it is not done, though nothing may have been put yet
        async with carrying_out(it.engine):
            await it.settled()
        await run_maintenance(it.engine)
        mapping = await it.mapping()
        assert (it.emails(), mapping.status, mapping.bulk_removal_cursor) == (set(), MappingStatus.PAUSED, None)


async def test_connected_again_while_members_are_taken_off(tmp_path: Path) -> None:
    """An audience that is connected again before its members are off is decided about anew, and keeps the others."""
    async with firehosing(tmp_path, worker=False) as it:
        async with carrying_out(it.engine):
            await started(it, 1, 2)
        await it.mparticle.disconnect(VIPS)
        assert await live.remove_members(it.engine, (await it.mapping()).id, by="U1")
        await it.mparticle.connect(VIPS)
        assert (await it.mapping()).status is MappingStatus.PROPOSED
        await it.approve()
        async with carrying_out(it.engine):
            await it.settled()
        assert it.emails() == addresses(1, 2)


async def test_connected_again(tmp_path: Path) -> None:
    """An audience that is connected again is proposed again."""
    async with firehosing(tmp_path) as it:
        await started(it, 1)
        await it.mparticle.disconnect(VIPS)
        await it.mparticle.connect(VIPS)
        mapping = await it.mapping()
        assert (mapping.status, mapping.disconnected_at) == (MappingStatus.PROPOSED, None)


async def test_failed_run_is_taken_up_again(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run could not deliver goes out later, and each member is counted once."""
    monkeypatch.setattr("core.live.worker.RETRY_S", 0.01)
    async with firehosing(tmp_path, database_url) as it:
        await started(it, 1)
        it.iterable.faults.add(Fault(action="error", status=500, path="/api/lists/subscribe", times=7))
        await it.mparticle.add(VIPS, person(2), person(3))
        status = await it.settled()
        assert it.emails() == addresses(1, 2, 3)
        assert (status.added, status.changes_today) == (3, 3)


@on_both
async def test_newer_change_while_a_run_carries_the_older(tmp_path: Path, database_url: str) -> None:
    """A change that comes while an older one of the same member is being uploaded is uploaded by the next run."""
    async with firehosing(tmp_path, database_url) as it:
        await started(it, 1)
        it.iterable.faults.add(Fault(action="slow", delay=0.5, path="/api/lists/subscribe", times=1))
        await it.mparticle.add(VIPS, person(2))

        async def is_on_its_way() -> bool:
            return it.iterable.state.log.in_flight > 0

        await until(is_on_its_way)
        await it.mparticle.delete(VIPS, person(2))
        await it.settled()
        assert it.emails() == addresses(1)


async def test_cancelled_run_loses_nothing(tmp_path: Path) -> None:
    """Whoever cancels a live run has its changes wait for the next one."""
    async with firehosing(tmp_path, worker=False, **NONE) as it:
        await it.mparticle.add(VIPS, person(1))
        run_id = await micro_batch.create_micro_batch(it.engine, await it.mapping())
        assert run_id is not None
        async with it.engine.database.write() as db:
            await runs.request_stop(db, run_id, StopReason.CANCEL)
        await micro_batch.execute(it.engine, run_id)
        assert (await it.status()).backlog == 1
        run_id = await micro_batch.create_micro_batch(it.engine, await it.mapping())
        assert run_id is not None
        await micro_batch.execute(it.engine, run_id)
        assert it.emails() == addresses(1)


async def test_file_does_not_undo_newer_changes(tmp_path: Path) -> None:
    """A download that is older than live changes leaves their members as they are, and counts them out."""
    async with firehosing(tmp_path) as it:
        await started(it, 1, 2, 3)
        await it.mparticle.delete(VIPS, person(2))
        await it.settled()
        rows = [f"{n}, 1600000000, p{n}@example.com, email\n" for n in (2, 4)]
        file = tmp_path / "8754_VIPs.csv"
        file.write_text("mpid, scanned_timestamp_ms, identity_value, identity_type\n" + "".join(rows))
        async with it.engine.database.read() as db:
            connection = await connections.by_id(db, await connection_id(it))
        assert connection is not None
        asked = RunRequest(path=str(file), mode=SyncMode.MIRROR, approved=True)
        run_id = (await submit(it.engine, connection, LIST, asked)).run_id
        assert await execute(it.engine, run_id) is RunStatus.SUCCEEDED
        assert it.emails() == addresses(1, 3, 4)
        async with it.engine.database.read() as db:
            run = await runs.by_id(db, run_id)
        assert run is not None
        assert (run.counters.members, run.counters.added, run.counters.removed) == (1, 1, 0)


async def test_file_that_waits_holds_nothing_up(tmp_path: Path) -> None:
    """While a file's run waits for approval live changes go out; when it is approved it does not undo them."""
    async with firehosing(tmp_path) as it:
        await started(it, *range(1, 200))
        file = tmp_path / "audience.csv"
        file.write_text("mpid,email,customer_id\n" + "".join(f"{n},p{n}@example.com,c{n}\n" for n in (1, 2, 500, 501)))
        async with it.engine.database.read() as db:
            connection = await connections.by_id(db, await connection_id(it))
        assert connection is not None
        run_id = (await submit(it.engine, connection, LIST, RunRequest(path=str(file), mode=SyncMode.MIRROR))).run_id
        assert await execute(it.engine, run_id) is RunStatus.NEEDS_APPROVAL
        await it.mparticle.tell(VIPS, [("add", person(7)), ("delete", person(500))])
        await it.settled()
        async with it.engine.database.write() as db:
            this = await runs.by_id(db, run_id)
            assert this is not None
            await runs.reopen(db, this, it.engine.presence.id)
        assert await execute(it.engine, run_id) is RunStatus.SUCCEEDED
        assert it.emails() == addresses(1, 2, 7, 501)
        async with it.engine.database.read() as db:
            this = await runs.by_id(db, run_id)
        assert this is not None
        assert this.counters.missing == 0


async def mapping_of(it: Live, mapping_id: int) -> AudienceMapping:
    """A mapping, live or not."""
    async with it.engine.database.read() as db:
        found = await mappings.by_id(db, mapping_id)
    assert found is not None
    return found


async def test_mapping_of_files_is_offered_to_be_live(tmp_path: Path) -> None:
    """An audience that files feed is not fed by mParticle before a person accepts; it keeps its mapping and ledger."""
    async with firehosing(tmp_path) as it:
        await started(it, 1)
        mapping = await it.mapping()
        async with it.engine.database.write() as db:
            await mappings.change(db, mapping.id, is_live=False, mparticle_account_id=None, firehose_list_setting=None)
        await it.mparticle.connect(VIPS)
        offered = await mapping_of(it, mapping.id)
        assert (offered.id, offered.status, offered.is_live) == (mapping.id, MappingStatus.ACTIVE, False)
        assert offered.live_offer is LiveOffer.PROPOSED
        await it.mparticle.delete(VIPS, person(1))
        assert await micro_batch.create_micro_batch(it.engine, offered) is None
        assert it.emails() == addresses(1)
        assert await decisions.decide_offer(it.engine, mapping.id, accepts=True, by="U1")
        assert not await decisions.decide_offer(it.engine, mapping.id, accepts=False, by="U2")
        await it.settled()
        assert it.emails() == set()


async def test_offer_that_is_declined(tmp_path: Path) -> None:
    """What mParticle sends for a mapping whose offer was declined is dropped, and files feed it as before."""
    async with firehosing(tmp_path) as it:
        await started(it, 1)
        mapping = await it.mapping()
        async with it.engine.database.write() as db:
            await mappings.change(db, mapping.id, is_live=False, mparticle_account_id=None, firehose_list_setting=None)
        await it.mparticle.add(VIPS, person(2))
        assert await decisions.decide_offer(it.engine, mapping.id, accepts=False, by="U1")
        now = await mapping_of(it, mapping.id)
        assert (now.is_live, now.live_offer, now.status) == (False, LiveOffer.DECLINED, MappingStatus.ACTIVE)
        async with it.engine.database.read() as db:
            assert (await inbox.backlog(db, mapping.id)).size == 0
        assert it.emails() == addresses(1)


#: What a process that dies in the middle of a decision leaves: the second of its writes never takes place.
NO_DELETION = "CREATE TRIGGER no_deletion BEFORE DELETE ON inbox BEGIN SELECT RAISE(ABORT, 'no deletion'); END"


async def test_decision_and_what_it_drops_are_one_write(tmp_path: Path) -> None:
    """A live mapping is declined together with what waits for it, or neither is done; and so is an offer."""
    async with firehosing(tmp_path) as it:
        await it.mparticle.add(VIPS, person(1))
        mapping = await it.mapping()
        async with it.engine.database.write() as db:
            await db.execute(text(NO_DELETION))
        given: dict[str, Any] = {"by": "U1", "comment": None, "team_id": None}
        with pytest.raises(IntegrityError, match="no deletion"):
            await mapping_lifecycle.decide_proposal(it.engine, mapping.id, MappingStatus.DECLINED, **given)
        assert (await it.mapping()).status is MappingStatus.PROPOSED
        async with it.engine.database.write() as db:
            await mappings.change(db, mapping.id, live_offer=LiveOffer.PROPOSED)
        with pytest.raises(IntegrityError, match="no deletion"):
            await decisions.decide_offer(it.engine, mapping.id, accepts=False, by="U1")
        assert (await it.mapping()).live_offer is LiveOffer.PROPOSED
        async with it.engine.database.write() as db:
            await db.execute(text("DROP TRIGGER no_deletion"))
        assert await mapping_lifecycle.decide_proposal(it.engine, mapping.id, MappingStatus.DECLINED, **given)
        async with it.engine.database.read() as db:
            assert (await inbox.backlog(db, mapping.id)).size == 0
            (*_, entry) = await audit_log.of(db, [f"mapping:{mapping.id}"])
        assert (entry.action, entry.after) == (AuditAction.MAPPING_DECLINED, {"comment": None, "dropped": 1})


async def test_backlog_alert(tmp_path: Path, database_url: str) -> None:
    """Changes that wait for too long are alerted once, and the alert is closed when they don't any more."""
    async with firehosing(tmp_path, database_url, worker=False, firehose_backlog_alert_s=0.01, **NONE) as it:
        await it.mparticle.add(VIPS, person(1))
        mapping = await it.mapping()

        async def is_late() -> bool:
            await run_maintenance(it.engine)
            async with it.engine.database.read() as db:
                return await alerts.open_of(db, mapping.connection_id, mapping.id) is not None

        await until(is_late)
        await run_maintenance(it.engine)
        async with it.engine.database.read() as db:
            (alert,) = await alerts.current(db)
        assert (alert.code, alert.occurrences) == ("backlog", 0)
        assert "1 change of audience VIPs" in alert.message
        run_id = await micro_batch.create_micro_batch(it.engine, mapping)
        assert run_id is not None
        await micro_batch.execute(it.engine, run_id)
        await run_maintenance(it.engine)
        async with it.engine.database.read() as db:
            assert await alerts.open_of(db, mapping.connection_id, mapping.id) is None


async def test_file_does_not_close_a_backlog_alert(tmp_path: Path, database_url: str) -> None:
    """While live changes wait for too long, a file's run that succeeds is no all-clear for them."""
    async with firehosing(tmp_path, database_url, worker=False, firehose_backlog_alert_s=1e-9, **NONE) as it:
        await it.mparticle.add(VIPS, person(1))
        mapping = await it.mapping()
        await run_maintenance(it.engine)
        async with it.engine.database.read() as db:
            (opened,) = await alerts.current(db)
            connection = await connections.by_id(db, mapping.connection_id)
        assert (opened.code, opened.closed_at) == ("backlog", None)
        assert connection is not None
        file = tmp_path / "8754_VIPs.csv"
        file.write_text("mpid,email\n2,p2@example.com\n")
        run_id = (await submit(it.engine, connection, LIST, RunRequest(path=str(file), mode=SyncMode.ADD))).run_id
        assert await execute(it.engine, run_id) is RunStatus.SUCCEEDED
        async with it.engine.database.read() as db:
            assert await alerts.current(db) == [opened]


async def test_what_is_remembered_is_bounded(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids of messages, and time stamps of what is on record, are forgotten after a while; what waits is not."""
    async with firehosing(tmp_path, database_url) as it:
        await started(it, 1, 2)
        async with it.engine.database.write() as db:
            await mappings.change(db, (await it.mapping()).id, status=MappingStatus.PAUSED)
        await it.mparticle.add(VIPS, person(3))
        monkeypatch.setattr(maintenance, "REMEMBER_S", -10.0)
        await run_maintenance(it.engine)
        async with it.engine.database.read() as db:
            assert (await db.execute(text("SELECT count(*) FROM messages"))).scalar_one() == 0
            assert (await db.execute(text("SELECT profile FROM inbox"))).scalars().all() == ["3"]


async def test_decisions_are_on_record(tmp_path: Path) -> None:
    """Who proposed and who approved a live mapping is on record."""
    async with firehosing(tmp_path) as it:
        await started(it, 1)
        mapping = await it.mapping()
        assert not await live.approve(it.engine, mapping.id, list_id=LIST, by="U2")
        async with it.engine.database.read() as db:
            found = await audit_log.of(db, [f"mapping:{mapping.id}"])
        assert [(entry.actor, entry.action) for entry in found] == [
            ("mparticle", AuditAction.MAPPING_PROPOSED),
            ("U1", AuditAction.MAPPING_APPROVED),
        ]
        assert store.day_of(0.0) == "1970-01-01"


@pytest.mark.parametrize("how", ["its process died", "somebody let it go on"])
async def test_what_was_left_is_taken_up_by_one_worker(tmp_path: Path, database_url: str, how: str) -> None:
    """A run that carries live changes and was left is taken up by the worker of live changes alone, not by both."""
    async with firehosing(tmp_path, database_url, worker=False, **NONE) as it:
        await it.mparticle.add(VIPS, person(1))
        run_id = await micro_batch.create_micro_batch(it.engine, await it.mapping())
        assert run_id is not None
        async with it.engine.database.write() as db:
            await runs.set_status(db, run_id, RunStatus.INTERRUPTED, code=PROCESS_DIED)
            if how == "somebody let it go on":
                this = await runs.by_id(db, run_id)
                assert this is not None
                assert await runs.reopen(db, this, None) is not None
        assert await _reopen_orphans(it.engine) == []
        assert await _claim_queued(it.engine, MAX_CONCURRENT_RUNS) == []
        async with carrying_out(it.engine):
            await it.settled()
        assert it.emails() == addresses(1)


@pytest.mark.parametrize("what", ["claimed", "cleared"])
async def test_messages_and_what_works_on_them_do_not_lock_each_other_out(
    tmp_path: Path, database_url: str, what: str
) -> None:
    """Members that are written while they are claimed, or cleared, are waited for, in whatever order they came."""
    async with firehosing(tmp_path, database_url, worker=False, **NONE) as it:
        await it.mparticle.add(VIPS, person(2))
        await it.mparticle.add(VIPS, person(1))
        mapping = await it.mapping()

        def told(number: int) -> list[inbox.Change]:
            return [inbox.Change(mapping.id, str(number), True, 2**42, f"p{number}@example.com")]

        async def clear() -> bool:
            async with it.engine.database.write() as db:
                return await inbox.clear_old(db, mapping.id, 2**41, 10) == 0

        async def claim() -> bool:
            return await micro_batch.create_micro_batch(it.engine, mapping) is not None

        if what == "cleared":
            run_id = await micro_batch.create_micro_batch(it.engine, mapping)
            assert run_id is not None
            await micro_batch._mark_done(it.engine, mapping.id, run_id)
        async with it.engine.database.write() as db:
            await inbox.put(db, told(1))
            beside = asyncio.create_task(claim() if what == "claimed" else clear())
            if not it.engine.database.is_sqlite:
                await until(lambda: somebody_waits(it.engine.database))
            await inbox.put(db, told(2))
            await inbox.put(db, told(3))  # who is new, so that the database looks at the mapping
        assert await beside


@pytest.mark.parametrize("what", ["marked as done", "dropped"])
async def test_change_that_comes_at_that_moment_is_not_lost(tmp_path: Path, database_url: str, what: str) -> None:
    """A newer change of a member stays, though the older one is marked as done, or dropped, while it is written."""
    async with firehosing(tmp_path, database_url, worker=False, **NONE) as it:
        await it.mparticle.add(VIPS, person(1))
        mapping = await it.mapping()

        async def drop() -> None:
            async with it.engine.database.write() as db:
                await inbox.drop_waiting(db, mapping.id, 10, until=before)

        async def mark() -> None:
            assert run_id is not None
            await micro_batch._mark_done(it.engine, mapping.id, run_id)

        run_id = await micro_batch.create_micro_batch(it.engine, mapping) if what == "marked as done" else None
        before = time.time()
        async with it.engine.database.write() as db:
            newer = inbox.Change(mapping.id, "1", False, 2**42, "p1@example.com")
            await inbox.put(db, [newer])
            beside = asyncio.create_task(drop() if run_id is None else mark())
            if not it.engine.database.is_sqlite:
                await until(lambda: somebody_waits(it.engine.database))
        await beside
        async with it.engine.database.read() as db:
            assert (await inbox.backlog(db, mapping.id)).size == 1


async def test_so_many_are_marked_at_once(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many are marked in one transaction as should be, however PostgreSQL goes about it; and in the end all are."""
    monkeypatch.setattr(micro_batch, "MARKED_AT_ONCE", 3)
    async with firehosing(tmp_path, database_url, worker=False, **NONE) as it:
        await it.mparticle.add(VIPS, *map(person, range(10)))
        mapping = await it.mapping()
        run_id = await micro_batch.create_micro_batch(it.engine, mapping)
        assert run_id is not None
        async with it.engine.database.write() as db:
            if not it.engine.database.is_sqlite:
                for way in ("hashjoin", "mergejoin", "hashagg", "sort", "material"):
                    await db.execute(text(f"SET LOCAL enable_{way} = off"))
            assert await inbox.mark_delivered(db, mapping.id, run_id, 3)
            assert len(await inbox.claimed_by(db, run_id)) == 7
        assert await execute(it.engine, run_id) is RunStatus.SUCCEEDED
        await micro_batch.finalize(it.engine, run_id)
        async with it.engine.database.read() as db:
            assert (await inbox.backlog(db, mapping.id)).size == 0


async def test_run_whose_process_is_about_to_end_it(tmp_path: Path, database_url: str) -> None:
    """A run that has succeeded is added to its day by the process that made it, and by another if that has died."""
    async with firehosing(tmp_path, database_url, worker=False, **NONE) as it:
        await it.mparticle.add(VIPS, person(1))
        mapping = await it.mapping()
        run_id = await micro_batch.create_micro_batch(it.engine, mapping)
        assert run_id is not None
        assert await execute(it.engine, run_id) is RunStatus.SUCCEEDED
        async with open_engine(it.engine.settings, "other") as other, it.engine.database.read() as db:
            run = await runs.by_id(db, run_id)
            assert run is not None
            assert not await worker._Worker(other)._is_left(mapping, run)
        assert await worker._Worker(it.engine)._is_left(mapping, run)
        async with open_engine(it.engine.settings, "next") as following:
            orphan = run.model_copy(update={"worker_id": "somebody who died#1"})
            assert await worker._Worker(following)._is_left(mapping, orphan)
