"""Live audiences in Slack: what mParticle sends over HTTP is proposed, decided on, followed and told of in channels."""

import asyncio
import logging
import time
from dataclasses import replace
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
from tests.bot.slack.following import LONG, top
from tests.bot.slack.harness import ADA, AMIR, BRISK
from tests.bot.slack.live import Fed, fed
from tests.firehosing import LIST, VIPS, person, until

NAMELESS = Audience(8755, "Savers")


async def on_the_list(here: Fed, *numbers: int) -> None:
    """Wait until these persons, and nobody else, are on the list."""

    async def there() -> bool:
        return here.emails() == {f"p{number}@example.com" for number in numbers}

    await until(there)


async def joined(here: Fed, *numbers: int, audience: Audience = VIPS) -> None:
    """Connect Iterable and an audience, approve it, and have these persons on its list."""
    await here.connection()
    await here.mparticle.connect(audience)
    await approve(here, audience)
    await here.mparticle.add(audience, *map(person, numbers))
    await on_the_list(here, *numbers)

    async def added_up() -> bool:
        return (await here.status_of(audience)).added == len(numbers)

    await until(added_up)


async def approve(here: Fed, audience: Audience) -> None:
    """Amir approves the mapping of an audience, from its card."""
    message = await here.slack.wait_for_message("sync-alerts", "proposes a mapping", timeout=LONG)
    await here.slack.approver.click(message, MappingAction.REVIEW)
    await here.slack.approver.open_view(MappingCallback.REVIEW)
    assert (await here.slack.approver.submit()).ok
    await here.slack.wait_for(lambda: "Approved by @Amir" in here.slack.render(message), LONG)


async def told(here: Fed, text: str, who: Person, channel: str = "sync-alerts") -> str:
    """What one person alone reads, once it contains this."""
    return here.slack.render(await here.slack.wait_for_message(channel, text, reader=who, timeout=LONG))


async def shows(here: Fed, message: Message, *texts: str) -> str:
    """Wait until a message contains all of these. Returns it."""
    await here.slack.wait_for(lambda: all(each in here.slack.render(message) for each in texts), LONG, str(texts))
    return here.slack.render(message)


async def test_an_audience_is_proposed_reviewed_and_flows(tmp_path: Path) -> None:
    """An audience that is connected in mParticle is proposed where alerts go, with what waits; an approver chooses the
    list, and what had waited goes out."""
    async with fed(tmp_path) as here:
        await here.connection()
        await here.mparticle.connect(NAMELESS)
        card = await here.slack.wait_for_message("sync-alerts", "mParticle proposes a mapping", timeout=LONG)
        assert "Savers" in here.slack.render(card)
        assert "Approvers: @Amir Haddad" in here.slack.render(card)
        await here.mparticle.add(NAMELESS, *map(person, range(3)))
        await shows(here, card, "3 changes wait for approval", "[Drop what waits]")
        assert here.iterable.state.log.total("/api/lists/subscribe") == 0

        await here.slack.marketer.click(card, MappingAction.REVIEW)
        await told(here, "Only an approver of Shop can decide this", here.slack.marketer)
        await here.slack.approver.click(card, MappingAction.REVIEW)
        view = await here.slack.approver.open_view(MappingCallback.REVIEW)
        await here.slack.approver.fill(view, {MappingAction.LIST: str(LIST)})
        assert (await here.slack.approver.submit()).ok
        await on_the_list(here, 0, 1, 2)
        text = await shows(here, card, "Approved by @Amir Haddad")
        assert "[" not in text
        assert [each.actor for each in await here.entries_of(NAMELESS)] == ["mparticle", AMIR]


async def test_what_waits_is_dropped(tmp_path: Path) -> None:
    """An approver drops what waits, once; who is none is told so, and what is approved is not dropped any more."""
    async with fed(tmp_path) as here:
        await here.connection()
        await here.mparticle.add(VIPS, *map(person, range(3)))
        card = await here.slack.wait_for_message("sync-alerts", "3 changes wait", timeout=LONG)
        await here.slack.operator.click(card, LiveAudienceAction.DROP)
        await told(here, "Only an approver of Shop can decide this", here.slack.operator)
        await here.slack.approver.click(card, LiveAudienceAction.DROP)
        await told(here, "3 changes dropped that waited for", here.slack.approver)
        await shows(here, card, "proposes a mapping")
        await here.slack.wait_for(lambda: "Drop what waits" not in here.slack.render(card), LONG)
        assert (await here.entries_of(VIPS))[-1].after == {"dropped": 3}
        await here.mparticle.add(VIPS, person(9))
        await approve(here, VIPS)
        await on_the_list(here, 9)


async def test_what_waits_while_paused(tmp_path: Path) -> None:
    """What comes for a paused mapping waits, as `status` says, and is dropped there by an approver only."""
    async with fed(tmp_path) as here:
        await joined(here, 1)
        await here.slack.operator.command("/iterable-sync pause VIPs")
        await told(here, "is paused", here.slack.operator, "marketing")
        await here.mparticle.add(VIPS, person(2))
        await here.slack.operator.command("/iterable-sync status")
        seen = await told(here, "1 waiting until it is resumed", here.slack.operator, "marketing")
        assert "[Drop what waits]" not in seen
        amir = here.slack.approver
        await amir.command("/iterable-sync status", "marketing")
        message = await here.slack.wait_for_message("marketing", "1 waiting until", reader=amir, timeout=LONG)
        await amir.click(message, LiveAudienceAction.DROP)
        await told(here, "1 change dropped that waited for", amir, "marketing")
        await amir.click(message, LiveAudienceAction.DROP)
        await told(here, "Nothing waits for VIPs.", amir, "marketing")
        assert here.emails() == {"p1@example.com"}


async def test_a_key_is_replaced_before_a_list_is_chosen(tmp_path: Path) -> None:
    """The key of a connection that messages made can be replaced while its audience has no list yet."""
    async with fed(tmp_path) as here:
        await here.mparticle.connect(NAMELESS)
        ada = here.slack.admin
        home = await ada.open_home()
        await ada.click(home, ConnectAction.KEY)
        view = await ada.open_view(ConnectCallback.KEY)
        here.iterable.state.add_key("another-key", here.iterable.state.project().name)
        await ada.fill(view, {ConnectBlock.KEY: "another-key"})
        await ada.submit()
        async with here.engine.database.read() as db:
            (made,) = await connections.everyone(db)
        assert made.key_last4 == "-key"


async def test_declined_and_what_waits_is_dropped(tmp_path: Path) -> None:
    """Who declines has been told that what waits is dropped, and it is."""
    async with fed(tmp_path) as here:
        await here.connection()
        await here.mparticle.add(VIPS, person(1))
        card = await here.slack.wait_for_message("sync-alerts", "1 change waits", timeout=LONG)
        await here.slack.approver.click(card, MappingAction.REVIEW)
        view = await here.slack.approver.open_view(MappingCallback.REVIEW)
        await here.slack.approver.click(view, MappingAction.DECLINE)
        await shows(here, card, "Declined by @Amir Haddad")
        assert (await here.status_of(VIPS)).waiting == 0
        assert here.iterable.state.log.total("/api/lists/subscribe") == 0


async def test_a_connection_that_messages_made(tmp_path: Path) -> None:
    """Where nobody has connected Iterable in Slack there is no channel and there are no approvers: admins see it on the
    home page and in `status`, decide, and are told how to name approvers; nobody else may."""
    async with fed(tmp_path) as here:
        await here.mparticle.add(VIPS, person(1))
        ada, maya = here.slack.admin, here.slack.marketer
        await maya.command("/iterable-sync status")
        text = await told(here, "a new mapping", maya, "marketing")
        assert "Comes from mParticle" in text
        assert "1 change waits" in text
        assert "Review" not in text
        await ada.command("/iterable-sync status", "marketing")
        message = await here.slack.wait_for_message("marketing", "a new mapping", reader=ada, timeout=LONG)
        assert "mparticle-4711 has no approvers yet, so admins of this workspace decide" in here.slack.render(message)
        assert "[Review] [Drop what waits]" in here.slack.render(message)
        await ada.click(message, MappingAction.REVIEW)
        view = await ada.open_view(MappingCallback.REVIEW)
        assert "They name approvers with Edit" in here.slack.render(view).replace("*", "")
        assert (await ada.submit()).ok
        await on_the_list(here, 1)
        assert (await here.mapping_of(VIPS)).decided_by == ADA
        assert not top(here, "sync-alerts")


async def test_connecting_with_the_same_key_takes_it_over(tmp_path: Path) -> None:
    """Who connects Iterable with the key that mParticle's messages carry gets their connection, with what waits there:
    its card appears in the channel for alerts."""
    async with fed(tmp_path) as here:
        await here.mparticle.add(VIPS, person(1))
        made = await here.connection()
        assert made.mparticle_account_id == "4711"
        async with here.engine.database.read() as db:
            assert [each.name for each in await connections.everyone(db)] == ["Shop"]
        await approve(here, VIPS)
        await on_the_list(here, 1)


async def test_removals_wait_for_approval(tmp_path: Path) -> None:
    """Where removals ask, who leaves stays on the list until an approver says so; the message then says who did."""
    async with fed(tmp_path) as here:
        await joined(here, 1, 2, 3)
        async with here.engine.database.write() as db:
            await mappings.change(db, (await here.mapping_of(VIPS)).id, removal_policy=RemovalPolicy.ASK)
        await here.mparticle.delete(VIPS, person(1), person(2))
        message = await here.slack.wait_for_message("sync-alerts", "2 removals wait for approval", timeout=LONG)
        await here.slack.operator.click(message, LiveAudienceAction.REMOVALS)
        await told(here, "Only an approver", here.slack.operator)
        assert len(here.emails()) == 3
        await here.slack.approver.click(message, LiveAudienceAction.REMOVALS)
        await on_the_list(here, 3)
        text = await shows(here, message, "2 removals approved by @Amir Haddad")
        assert "[Approve removals]" not in text
        await here.mparticle.delete(VIPS, person(3))
        again = await here.slack.wait_for_message("sync-alerts", "1 removal waits for approval", timeout=LONG)
        assert again.ts != message.ts
        await here.slack.approver.click(again, LiveAudienceAction.REMOVALS)
        await on_the_list(here)


@pytest.mark.parametrize(
    ("action", "left", "said"),
    [(LiveAudienceAction.KEEP, (1, 2), "stay on"), (LiveAudienceAction.REMOVE, (), "taken off")],
)
async def test_disconnected(tmp_path: Path, action: LiveAudienceAction, left: tuple[int, ...], said: str) -> None:
    """When mParticle disconnects an audience, Slack says so and asks what becomes of its members; an approver decides,
    once, and the message says who decided what."""
    async with fed(tmp_path) as here:
        await joined(here, 1, 2)
        await here.mparticle.disconnect(VIPS)
        message = await here.slack.wait_for_message("sync-alerts", "mParticle disconnected the audience", timeout=LONG)
        text = here.slack.render(message)
        assert "What should become of the 2 people" in text
        assert "[Keep them on the list] [Take them off]" in text
        await here.slack.operator.click(message, action)
        await told(here, "Only an approver", here.slack.operator)
        await here.slack.approver.click(message, action)
        await on_the_list(here, *left)
        text = await shows(here, message, "@Amir Haddad decided: its members", said)
        assert "[Keep" not in text
        entry = [each for each in await here.entries_of(VIPS) if "members" in (each.after or {})]
        assert [each.actor for each in entry] == [AMIR]

        async def paused() -> bool:
            now = await here.mapping_of(VIPS)
            return now.status is MappingStatus.PAUSED and now.disconnected_at is None

        await until(paused)


async def test_a_disconnected_audience_is_not_just_resumed(tmp_path: Path) -> None:
    """Nobody resumes what mParticle has disconnected: it is decided about, or connected anew."""
    async with fed(tmp_path) as here:
        await joined(here, 1)
        await here.mparticle.disconnect(VIPS)
        await here.slack.wait_for_message("sync-alerts", "mParticle disconnected", timeout=LONG)
        await here.slack.operator.command("/iterable-sync resume VIPs", "sync-alerts")
        await told(here, "mParticle disconnected VIPs, so no changes arrive", here.slack.operator)
        home = here.slack.render(await here.slack.approver.open_home())
        assert "[Keep them on the list] [Take them off]" in home
        assert "[Resume]" not in home
        await here.mparticle.connect(VIPS)
        await here.slack.wait_for_message("sync-alerts", "connected the audience VIPs again", timeout=LONG)
        await approve(here, VIPS)
        assert (await here.mapping_of(VIPS)).status is MappingStatus.ACTIVE


async def test_daily_digest(tmp_path: Path) -> None:
    """At the first look after midnight (UTC) a digest says once what the day brought; there is none of days without
    changes, and no message for each batch."""
    ahead = 0.0

    def clock() -> float:
        return time.time() + ahead

    async with fed(tmp_path, pace=replace(BRISK, clock=clock)) as here:
        await joined(here, 1, 2)
        await here.mparticle.tell(VIPS, [("delete", person(1)), ("add", person(5, email=None))])
        await on_the_list(here, 2)

        async def added_up() -> bool:
            return (await here.status_of(VIPS)).rejected == 1

        await until(added_up)
        assert len(top(here, "sync-alerts")) == 1  # the card
        ahead = 24 * 3600.0
        message = await here.slack.wait_for_message("sync-alerts", "4 changes from mParticle", timeout=LONG)
        text = here.slack.render(message)
        assert "2 added, 0 updated, 1 removed, 1 rejected" in text
        assert "The profile has no email address." in text
        ahead = 2 * 24 * 3600.0
        await asyncio.sleep(0.5)
        assert len(top(here, "sync-alerts")) == 2


async def test_digests_that_were_missed(tmp_path: Path) -> None:
    """After days in which the bot was not there a digest says what each of them brought, within a week."""
    ahead = 0.0

    def clock() -> float:
        return time.time() + ahead

    async with fed(tmp_path, pace=replace(BRISK, clock=clock)) as here:
        await joined(here, 1)
        mapping_id = (await here.mapping_of(VIPS)).id
        async with here.engine.database.write() as db:
            for days, changes in ((1, 22), (-5, 33)):
                await store.count(db, store.day_of(time.time() + days * 24 * 3600.0), {mapping_id: changes}, {})
        ahead = 4 * 24 * 3600.0
        await here.slack.wait_for(lambda: len(top(here, "sync-alerts")) == 3, LONG)
        said = " ".join(top(here, "sync-alerts"))
        assert "1 change from mParticle" in said
        assert "22 changes from mParticle" in said
        assert "33 changes" not in said


async def test_backlog_is_alerted_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where changes wait for longer than the limit an alert says so, and an all-clear when they don't any more."""
    monkeypatch.setattr("core.live.worker.TEND_EVERY_S", 0.1)
    async with fed(tmp_path, firehose_backlog_alert_s=0.2) as here:
        await joined(here, 1)
        here.iterable.faults.set([Fault("slow", path="/api/lists/subscribe", delay=1.0)])
        await here.mparticle.add(VIPS, person(2))
        message = await here.slack.wait_for_message("sync-alerts", "wait to be uploaded", timeout=LONG)
        assert "p2@" not in here.slack.render(message)
        here.iterable.faults.clear()
        await on_the_list(here, 1, 2)
        await shows(here, message, "Works again: VIPs")
        await here.slack.wait_for_message("sync-alerts", "It had been failing since", timeout=LONG)


async def test_a_refused_key_is_replaced(tmp_path: Path) -> None:
    """A refused key suspends the subscription and is alerted once, with *Replace key*; with a new key changes flow
    again, and the all-clear follows."""
    async with fed(tmp_path) as here:
        await joined(here, 1)
        here.iterable.state.keys[here.iterable.key].status = "revoked"
        await here.mparticle.add(VIPS, person(2))
        message = await here.slack.wait_for_message("sync-alerts", "Failing: connection Shop", timeout=LONG)
        assert "[Replace key]" in here.slack.render(message)
        assert (await here.mparticle.add(VIPS, person(3)))["suspend_subscription"] is True
        await here.slack.admin.click(message, ConnectAction.KEY)
        view = await here.slack.admin.open_view(ConnectCallback.KEY)
        key = "another-key"
        here.iterable.state.add_key(key, here.iterable.state.project().name)
        await here.slack.admin.fill(view, {ConnectBlock.KEY: key})
        assert (await here.slack.admin.submit()).ok
        await on_the_list(here, 1, 2, 3)
        await shows(here, message, "Works again: connection Shop")
        await here.slack.wait_for_message("sync-alerts", "It had been failing since", timeout=LONG)
        assert "suspend_subscription" not in await here.mparticle.add(VIPS, person(4))
        await on_the_list(here, 1, 2, 3, 4)
        assert sum("Failing" in each for each in top(here, "sync-alerts")) == 0


async def test_drop_in(tmp_path: Path) -> None:
    """Without approval nothing is asked: the list in the settings is used at once, and Slack stays quiet."""
    async with fed(tmp_path, firehose_approval=FirehoseApproval.NONE) as here:
        await here.connection()
        await here.mparticle.add(VIPS, person(1))
        await on_the_list(here, 1)
        assert not top(here, "sync-alerts")


async def test_without_slack_it_goes_to_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without Slack's tokens what would have been asked there is in the log, as information and without addresses; and
    the Firehose, health and numbers are answered all the same."""
    caplog.set_level(logging.INFO, "bot.messages.log_notifier")
    async with fed(tmp_path, slack_bot_token=None, slack_app_token=None) as here:
        await here.mparticle.add(VIPS, person(1))

        async def said() -> bool:
            here.services.wake()
            return bool(caplog.messages)

        await until(said)
        assert caplog.messages == ["audience VIPs from mParticle is awaiting approval in Slack"]
        assert {each.levelname for each in caplog.records} == {"INFO"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{here.services.address}/metrics") as answer,
            session.get(f"{here.services.address}/readyz") as ready,
        ):
            numbers = await answer.text()
            assert ready.status == 200
        assert 'iterable_sync_backlog{for="approval"} 1.0' in numbers


async def test_mapping_of_files_is_offered(tmp_path: Path) -> None:
    """mParticle offers to feed a mapping that files feed, with a card; nothing is sent before an approver accepts."""
    async with fed(tmp_path) as here:
        connection = await here.connection()
        async with here.engine.database.write() as db:
            mapping_id = await mappings.add(
                db, connection_id=connection.id, list_id=LIST, audience_id=str(VIPS.id), audience_name=VIPS.name
            )
        await here.mparticle.connect(VIPS)
        await here.mparticle.add(VIPS, person(1))
        card = await here.slack.wait_for_message("sync-alerts", "mParticle offers to feed", timeout=LONG)
        assert not here.emails()
        await here.slack.marketer.click(card, LiveAudienceAction.ACCEPT_OFFER)
        async with here.engine.database.read() as db:
            known = await mappings.by_id(db, mapping_id)
        assert known is not None
        assert (known.is_live, known.live_offer) == (False, mappings.LiveOffer.PROPOSED)
        await here.slack.approver.click(card, LiveAudienceAction.ACCEPT_OFFER)
        await on_the_list(here, 1)
        await here.slack.wait_for(lambda: "now follows mParticle" in here.slack.render(card), LONG)
        assert "[Decline]" not in here.slack.render(card)


async def test_offer_that_is_approved_in_advance_is_announced(tmp_path: Path) -> None:
    """If the operator has approved live mappings in advance, a mapping of files goes live, and Slack says so."""
    async with fed(tmp_path, firehose_approval=FirehoseApproval.NONE) as here:
        connection = await here.connection()
        async with here.engine.database.write() as db:
            await mappings.add(
                db, connection_id=connection.id, list_id=LIST, audience_id=str(VIPS.id), audience_name=VIPS.name
            )
        await here.mparticle.connect(VIPS)
        await here.mparticle.add(VIPS, person(1))
        await here.slack.wait_for_message("sync-alerts", "now follows mParticle", timeout=LONG)
        await on_the_list(here, 1)
