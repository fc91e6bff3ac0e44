"""Live audiences in Slack: changes that mParticle sends over HTTP are proposed, decided, and reported in channels."""

import asyncio
import logging
import time
from pathlib import Path

import aiohttp
import pytest

from bot.features.ids import (
    ConnectAction,
    ConnectBlock,
    ConnectCallback,
    LiveAudienceAction,
    MappingAction,
    MappingCallback,
)
from core.settings import FirehoseApproval
from core.store import connections, mappings
from core.store import live_mappings as store
from core.store.mappings import MappingStatus, RemovalPolicy
from sandbox.iterable import Fault
from sandbox.mparticle import Audience
from sandbox.slack.users.user_driver import Person
from sandbox.slack.workspace.models import Message
from tests.bot.slack.following import LONG, choose, top
from tests.bot.slack.harness import ADA, AMIR
from tests.bot.slack.live import Fed, fed
from tests.clocks import set_database_clock, set_process_clock
from tests.core.harness import HELD_S
from tests.firehosing import LIST, VIPS, person, until

DAY_S = 24 * 3600.0

NAMELESS = Audience(8755, "Savers")


async def wait_for_list(bot: Fed, *numbers: int) -> None:
    """Wait until exactly these people are on the list."""

    async def is_equal() -> bool:
        return bot.emails() == {f"p{number}@example.com" for number in numbers}

    await until(is_equal)


async def connect_and_add(bot: Fed, *numbers: int, audience: Audience = VIPS) -> None:
    """Connect Iterable and an audience, approve it, and wait until these people are on its list."""
    await bot.connection()
    await bot.mparticle.connect(audience)
    await approve(bot, audience)
    await bot.mparticle.add(audience, *map(person, numbers))
    await wait_for_list(bot, *numbers)

    async def added_up() -> bool:
        return (await bot.status_of(audience)).added == len(numbers)

    await until(added_up)


async def approve(bot: Fed, audience: Audience) -> None:
    """Amir approves the mapping of an audience on its card."""
    message = await bot.slack.wait_for_message("sync-alerts", "New live audience from mParticle", timeout=LONG)
    await bot.slack.approver.click(message, MappingAction.REVIEW)
    await bot.slack.approver.open_view(MappingCallback.REVIEW)
    assert (await bot.slack.approver.submit()).ok
    await bot.slack.wait_for(lambda: "Approved by @Amir" in bot.slack.render(message), LONG)


async def read_privately(bot: Fed, text: str, person: Person, channel: str = "sync-alerts") -> str:
    """Wait for a message that only one person sees and that contains a text. Returns its text."""
    return bot.slack.render(await bot.slack.wait_for_message(channel, text, reader=person, timeout=LONG))


async def wait_for_texts(bot: Fed, message: Message, *texts: str) -> str:
    """Wait until a message contains all of these texts, and return its text."""
    await bot.slack.wait_for(lambda: all(each in bot.slack.render(message) for each in texts), LONG, str(texts))
    return bot.slack.render(message)


async def test_audience_is_proposed_and_approved(tmp_path: Path) -> None:
    """The alert channel gets a proposal for a connected audience; an approver chooses the list, and the waiting changes
    are uploaded."""
    async with fed(tmp_path) as bot:
        await bot.connection()
        await bot.mparticle.connect(NAMELESS)
        card = await bot.slack.wait_for_message("sync-alerts", "New live audience from mParticle", timeout=LONG)
        assert "Savers" in bot.slack.render(card)
        assert "Approvers: @Amir Haddad" in bot.slack.render(card)
        await bot.mparticle.add(NAMELESS, *map(person, range(3)))
        await wait_for_texts(bot, card, "3 changes wait for approval", "[Discard pending changes]")
        assert bot.iterable.state.log.total("/api/lists/subscribe") == 0

        await bot.slack.marketer.click(card, MappingAction.REVIEW)
        assert "Only an approver of Shop can decide this" in bot.slack.render(await bot.slack.marketer.open_view())
        await bot.slack.approver.click(card, MappingAction.REVIEW)
        view = await bot.slack.approver.open_view(MappingCallback.REVIEW)
        await bot.slack.approver.fill(view, {MappingAction.LIST: str(LIST)})
        assert (await bot.slack.approver.submit()).ok
        await wait_for_list(bot, 0, 1, 2)
        text = await wait_for_texts(bot, card, "Approved by @Amir Haddad")
        assert "[" not in text
        assert [each.actor for each in await bot.entries_of(NAMELESS)] == ["mparticle", AMIR]


@pytest.mark.extended
async def test_waiting_changes_are_dropped(tmp_path: Path) -> None:
    """An approver drops the waiting changes once; a person who is not an approver gets a refusal."""
    async with fed(tmp_path) as bot:
        await bot.connection()
        await bot.mparticle.add(VIPS, *map(person, range(3)))
        card = await bot.slack.wait_for_message("sync-alerts", "3 changes wait", timeout=LONG)
        await bot.slack.operator.click(card, LiveAudienceAction.DROP)
        await read_privately(bot, "Only an approver of Shop can decide this: @Amir Haddad.", bot.slack.operator)
        await bot.slack.approver.click(card, LiveAudienceAction.DROP)
        await read_privately(bot, "Discarded 3 pending changes of", bot.slack.approver)
        await wait_for_texts(bot, card, "New live audience from mParticle")
        await bot.slack.wait_for(lambda: "Discard pending changes" not in bot.slack.render(card), LONG)
        assert (await bot.entries_of(VIPS))[-1].after == {"dropped": 3}
        await bot.mparticle.add(VIPS, person(9))
        await approve(bot, VIPS)
        await wait_for_list(bot, 9)


@pytest.mark.extended
async def test_changes_wait_while_paused(tmp_path: Path) -> None:
    """The changes of a paused mapping wait, `status` counts them, and only an approver drops them."""
    async with fed(tmp_path) as bot:
        await connect_and_add(bot, 1)
        await bot.slack.operator.command("/iterable-sync pause VIPs")
        await read_privately(bot, "is paused", bot.slack.operator, "marketing")
        await bot.mparticle.add(VIPS, person(2))
        await bot.slack.operator.command("/iterable-sync status")
        shown = await read_privately(bot, "1 waiting until it is resumed", bot.slack.operator, "marketing")
        assert "[Discard pending changes]" not in shown
        amir = bot.slack.approver
        await amir.command("/iterable-sync status", "marketing")
        message = await bot.slack.wait_for_message("marketing", "1 waiting until", reader=amir, timeout=LONG)
        await amir.click(message, LiveAudienceAction.DROP)
        await read_privately(bot, "Discarded 1 pending change of", amir, "marketing")
        await amir.click(message, LiveAudienceAction.DROP)
        await read_privately(bot, "Nothing waits for VIPs.", amir, "marketing")
        assert bot.emails() == {"p1@example.com"}


@pytest.mark.extended
async def test_key_is_replaced_before_a_list_is_chosen(tmp_path: Path) -> None:
    """The key of a connection that messages created can be replaced before its audience has a list."""
    async with fed(tmp_path) as bot:
        await bot.mparticle.connect(NAMELESS)
        ada = bot.slack.admin
        home = await ada.open_home()
        await choose(ada, home, ConnectAction.KEY)
        view = await ada.open_view(ConnectCallback.KEY)
        bot.iterable.state.add_key("another-key", bot.iterable.state.project().name)
        await ada.fill(view, {ConnectBlock.KEY: "another-key"})
        await ada.submit()
        async with bot.engine.database.read() as db:
            (connection,) = await connections.everyone(db)
        assert connection.key_last4 == "-key"


async def test_declining_drops_the_waiting_changes(tmp_path: Path) -> None:
    """Declining a live mapping drops its waiting changes."""
    async with fed(tmp_path) as bot:
        await bot.connection()
        await bot.mparticle.add(VIPS, person(1))
        card = await bot.slack.wait_for_message("sync-alerts", "1 change waits", timeout=LONG)
        await bot.slack.approver.click(card, MappingAction.REVIEW)
        view = await bot.slack.approver.open_view(MappingCallback.REVIEW)
        await bot.slack.approver.click(view, MappingAction.DECLINE)
        await wait_for_texts(bot, card, "Declined by @Amir Haddad")
        assert (await bot.status_of(VIPS)).waiting == 0
        assert bot.iterable.state.log.total("/api/lists/subscribe") == 0


@pytest.mark.extended
async def test_connection_that_messages_created(tmp_path: Path) -> None:
    """Admins decide on a connection that messages created, because it has neither a channel nor approvers, and read how
    to name approvers."""
    async with fed(tmp_path) as bot:
        await bot.mparticle.add(VIPS, person(1))
        ada, maya = bot.slack.admin, bot.slack.marketer
        await maya.command("/iterable-sync status")
        text = await read_privately(bot, "New mapping", maya, "marketing")
        assert "From mParticle" in text
        assert "1 change waits" in text
        assert "Review" not in text
        await ada.command("/iterable-sync status", "marketing")
        message = await bot.slack.wait_for_message("marketing", "New mapping", reader=ada, timeout=LONG)
        assert "mparticle-4711 has no approvers yet, so admins of this workspace decide" in bot.slack.render(message)
        assert "[Review] [Discard pending changes]" in bot.slack.render(message)
        await ada.click(message, MappingAction.REVIEW)
        view = await ada.open_view(MappingCallback.REVIEW)
        assert "They name approvers with Edit" in bot.slack.render(view).replace("*", "")
        assert (await ada.submit()).ok
        await wait_for_list(bot, 1)
        assert (await bot.mapping_of(VIPS)).decided_by == ADA
        assert not top(bot, "sync-alerts")


@pytest.mark.extended
async def test_connecting_with_the_same_key_adopts_the_connection(tmp_path: Path) -> None:
    """A person who connects Iterable with the key of the messages gets their connection, and its card appears in the
    alert channel."""
    async with fed(tmp_path) as bot:
        await bot.mparticle.add(VIPS, person(1))
        connection = await bot.connection()
        assert connection.mparticle_account_id == "4711"
        async with bot.engine.database.read() as db:
            assert [each.name for each in await connections.everyone(db)] == ["Shop"]
        await approve(bot, VIPS)
        await wait_for_list(bot, 1)


@pytest.mark.extended
async def test_removals_wait_for_approval(tmp_path: Path) -> None:
    """With the removal policy "ask", leavers stay on the list until an approver approves, and the message names the
    approver."""
    async with fed(tmp_path) as bot:
        await connect_and_add(bot, 1, 2, 3)
        async with bot.engine.database.write() as db:
            await mappings.change(db, (await bot.mapping_of(VIPS)).id, removal_policy=RemovalPolicy.ASK)
        await bot.mparticle.delete(VIPS, person(1), person(2))
        message = await bot.slack.wait_for_message("sync-alerts", "2 removals wait for approval", timeout=LONG)
        await bot.slack.operator.click(message, LiveAudienceAction.REMOVALS)
        await read_privately(bot, "Only an approver", bot.slack.operator)
        assert len(bot.emails()) == 3
        await bot.slack.approver.click(message, LiveAudienceAction.REMOVALS)
        await wait_for_list(bot, 3)
        text = await wait_for_texts(bot, message, "2 removals approved by @Amir Haddad")
        assert "[Approve removals]" not in text
        await bot.mparticle.delete(VIPS, person(3))
        again = await bot.slack.wait_for_message("sync-alerts", "1 removal waits for approval", timeout=LONG)
        assert again.ts != message.ts
        await bot.slack.approver.click(again, LiveAudienceAction.REMOVALS)
        await wait_for_list(bot)


@pytest.mark.parametrize(
    ("action", "remaining", "outcome"),
    [
        (LiveAudienceAction.REMOVE, (), "removed from"),
        pytest.param(LiveAudienceAction.KEEP, (1, 2), "stay on", marks=pytest.mark.extended),
    ],
)
async def test_disconnected(
    tmp_path: Path, action: LiveAudienceAction, remaining: tuple[int, ...], outcome: str
) -> None:
    """If mParticle disconnects an audience, an approver decides once whether its members stay on the list, and the
    message names the approver."""
    async with fed(tmp_path) as bot:
        await connect_and_add(bot, 1, 2)
        await bot.mparticle.disconnect(VIPS)
        message = await bot.slack.wait_for_message("sync-alerts", "mParticle disconnected VIPs", timeout=LONG)
        text = bot.slack.render(message)
        assert "Keep or remove the 2 people" in text
        assert "[Keep them on the list] [Remove them from the list]" in text
        await bot.slack.operator.click(message, action)
        await read_privately(bot, "Only an approver", bot.slack.operator)
        await bot.slack.approver.click(message, action)
        await wait_for_list(bot, *remaining)
        text = await wait_for_texts(bot, message, "@Amir Haddad decided: its people", outcome)
        assert "[Keep" not in text
        entries = [each for each in await bot.entries_of(VIPS) if "members" in (each.after or {})]
        assert [each.actor for each in entries] == [AMIR]

        async def is_paused() -> bool:
            mapping = await bot.mapping_of(VIPS)
            return mapping.status is MappingStatus.PAUSED and mapping.disconnected_at is None

        await until(is_paused)


@pytest.mark.extended
async def test_disconnected_audience_is_not_resumed(tmp_path: Path) -> None:
    """A disconnected audience can't be resumed: an approver decides, or mParticle connects it again."""
    async with fed(tmp_path) as bot:
        await connect_and_add(bot, 1)
        await bot.mparticle.disconnect(VIPS)
        await bot.slack.wait_for_message("sync-alerts", "mParticle disconnected", timeout=LONG)
        await bot.slack.operator.command("/iterable-sync resume VIPs", "sync-alerts")
        await read_privately(bot, "mParticle disconnected VIPs, so no changes arrive", bot.slack.operator)
        home = bot.slack.render(await bot.slack.approver.open_home())
        assert "[Keep them on the list] [Remove them from the list]" in home
        assert "[Resume]" not in home
        await bot.mparticle.connect(VIPS)
        await bot.slack.wait_for_message("sync-alerts", "connected VIPs again", timeout=LONG)
        await approve(bot, VIPS)
        assert (await bot.mapping_of(VIPS)).status is MappingStatus.ACTIVE


@pytest.mark.extended
async def test_daily_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A digest follows each day with changes, after midnight UTC by the database's clock, and no message each batch."""
    async with fed(tmp_path) as bot:
        await connect_and_add(bot, 1, 2)
        await bot.mparticle.tell(VIPS, [("delete", person(1)), ("add", person(5, email=None))])
        await wait_for_list(bot, 2)

        async def added_up() -> bool:
            return (await bot.status_of(VIPS)).rejected == 1

        await until(added_up)
        assert len(top(bot, "sync-alerts")) == 1  # the card of the proposal
        set_process_clock(monkeypatch, -9 * DAY_S)
        await set_database_clock(bot.engine.database, monkeypatch, by=DAY_S)
        bot.services.wake()
        message = await bot.slack.wait_for_message("sync-alerts", "4 changes from mParticle", timeout=LONG)
        text = bot.slack.render(message)
        assert "2 added, 1 removed, 1 rejected" in text
        assert "No email address." in text
        await set_database_clock(bot.engine.database, monkeypatch, by=2 * DAY_S)
        bot.services.wake()
        await asyncio.sleep(0.5)
        assert len(top(bot, "sync-alerts")) == 2


@pytest.mark.extended
async def test_missed_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After days without the bot, it posts a digest of each day of the last week."""
    async with fed(tmp_path) as bot:
        await connect_and_add(bot, 1)
        mapping_id = (await bot.mapping_of(VIPS)).id
        async with bot.engine.database.write() as db:
            for days, changes in ((1, 22), (-5, 33)):
                await store.count(db, time.time() + days * DAY_S, {mapping_id: changes}, {}, {})
        await set_database_clock(bot.engine.database, monkeypatch, by=4 * DAY_S)
        bot.services.wake()
        await bot.slack.wait_for(lambda: len(top(bot, "sync-alerts")) == 3, LONG)
        digests = " ".join(top(bot, "sync-alerts"))
        assert "1 change from mParticle" in digests
        assert "22 changes from mParticle" in digests
        assert "33 changes" not in digests


async def test_backlog_is_alerted_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes that wait longer than the limit open an alert, which recovers when they are uploaded."""
    # the first change opens no alert, however long it takes: of several alerts in an hour, only one is shown
    monkeypatch.setattr("core.live.worker.WATCH_INTERVAL_S", 600.0)
    async with fed(tmp_path, firehose_backlog_alert_s=0.2) as bot:
        await connect_and_add(bot, 1)
        monkeypatch.setattr("core.live.worker.WATCH_INTERVAL_S", 0.1)
        bot.iterable.faults.set([Fault("slow", path="/api/lists/subscribe", delay=HELD_S)])
        await bot.mparticle.add(VIPS, person(2))
        message = await bot.slack.wait_for_message("sync-alerts", "wait to be uploaded", timeout=LONG)
        assert "p2@" not in bot.slack.render(message)
        bot.iterable.faults.clear()
        await wait_for_list(bot, 1, 2)
        await wait_for_texts(bot, message, "Recovered: VIPs")
        await bot.slack.wait_for_message("sync-alerts", "It failed for", timeout=LONG)


@pytest.mark.extended
async def test_refused_key_is_replaced(tmp_path: Path) -> None:
    """A refused key suspends the subscription and opens one alert; after *Replace key* the changes are uploaded and the
    alert recovers."""
    async with fed(tmp_path) as bot:
        await connect_and_add(bot, 1)
        bot.iterable.state.keys[bot.iterable.key].status = "revoked"
        await bot.mparticle.add(VIPS, person(2))
        message = await bot.slack.wait_for_message("sync-alerts", "Sync failing: connection Shop", timeout=LONG)
        assert "[Replace key]" in bot.slack.render(message)
        assert (await bot.mparticle.add(VIPS, person(3)))["suspend_subscription"] is True
        await bot.slack.admin.click(message, ConnectAction.KEY)
        view = await bot.slack.admin.open_view(ConnectCallback.KEY)
        key = "another-key"
        bot.iterable.state.add_key(key, bot.iterable.state.project().name)
        await bot.slack.admin.fill(view, {ConnectBlock.KEY: key})
        assert (await bot.slack.admin.submit()).ok
        await wait_for_list(bot, 1, 2, 3)
        await wait_for_texts(bot, message, "Recovered: connection Shop")
        await bot.slack.wait_for_message("sync-alerts", "It failed for", timeout=LONG)
        assert "suspend_subscription" not in await bot.mparticle.add(VIPS, person(4))
        await wait_for_list(bot, 1, 2, 3, 4)
        assert sum("Failing" in each for each in top(bot, "sync-alerts")) == 0


async def test_approval_in_advance(tmp_path: Path) -> None:
    """Without approval, changes go to the list in mParticle's settings at once, and Slack gets no message."""
    async with fed(tmp_path, firehose_approval=FirehoseApproval.NONE) as bot:
        await bot.connection()
        await bot.mparticle.add(VIPS, person(1))
        await wait_for_list(bot, 1)
        assert not top(bot, "sync-alerts")


async def test_without_slack_proposals_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without Slack's tokens, a waiting proposal is logged without addresses, and the HTTP endpoints work."""
    caplog.set_level(logging.INFO, "bot.messages.log_notifier")
    async with fed(tmp_path, slack_bot_token=None, slack_app_token=None) as bot:
        await bot.mparticle.add(VIPS, person(1))

        async def is_logged() -> bool:
            bot.services.wake()
            return bool(caplog.messages)

        await until(is_logged)
        assert caplog.messages == ["audience VIPs from mParticle is awaiting approval in Slack"]
        assert {each.levelname for each in caplog.records} == {"INFO"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{bot.services.address}/metrics") as answer,
            session.get(f"{bot.services.address}/readyz") as ready,
        ):
            numbers = await answer.text()
            assert ready.status == 200
        assert 'iterable_sync_backlog{for="approval"} 1.0' in numbers


@pytest.mark.extended
async def test_mapping_of_files_is_offered(tmp_path: Path) -> None:
    """mParticle offers to feed a mapping of files, and nothing is sent before an approver accepts."""
    async with fed(tmp_path) as bot:
        connection = await bot.connection()
        async with bot.engine.database.write() as db:
            mapping_id = await mappings.add(
                db, connection_id=connection.id, list_id=LIST, audience_id=str(VIPS.id), audience_name=VIPS.name
            )
        await bot.mparticle.connect(VIPS)
        await bot.mparticle.add(VIPS, person(1))
        card = await bot.slack.wait_for_message("sync-alerts", "mParticle can update", timeout=LONG)
        assert not bot.emails()
        await bot.slack.marketer.click(card, LiveAudienceAction.ACCEPT_OFFER)
        async with bot.engine.database.read() as db:
            mapping = await mappings.by_id(db, mapping_id)
        assert mapping is not None
        assert (mapping.is_live, mapping.live_offer) == (False, mappings.LiveOffer.PROPOSED)
        await bot.slack.approver.click(card, LiveAudienceAction.ACCEPT_OFFER)
        await wait_for_list(bot, 1)
        await bot.slack.wait_for(lambda: "now updates continuously" in bot.slack.render(card), LONG)
        assert "[Decline]" not in bot.slack.render(card)


async def test_offer_that_is_approved_in_advance_is_announced(tmp_path: Path) -> None:
    """If the operator has approved live mappings in advance, a mapping of files becomes live, and Slack announces
    it."""
    async with fed(tmp_path, firehose_approval=FirehoseApproval.NONE) as bot:
        connection = await bot.connection()
        async with bot.engine.database.write() as db:
            await mappings.add(
                db, connection_id=connection.id, list_id=LIST, audience_id=str(VIPS.id), audience_name=VIPS.name
            )
        await bot.mparticle.connect(VIPS)
        await bot.mparticle.add(VIPS, person(1))
        await bot.slack.wait_for_message("sync-alerts", "now updates continuously", timeout=LONG)
        await wait_for_list(bot, 1)
