"""Slack fails: the run still succeeds, no message is posted twice, and its person gets the result."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from bot.features.ids import ApprovalAction, ApprovalCallback
from core.models.run import RunStatus
from core.store import slack_messages
from sandbox.iterable.faults import Fault
from sandbox.slack.faults import LOST_ANSWER, NO_ANSWER, RATE_LIMITED, SERVER_ERROR
from tests.bot.slack.following import LONG, SUBSCRIBE, card, ended, replies, start, top, until
from tests.bot.slack.harness import MARKETING, Workspace, workspace
from tests.core.databases import sampled
from tests.core.harness import HELD_S, people

POST, UPDATE = "chat.postMessage", "chat.update"


def direct(bot: Workspace) -> list[str]:
    """Return the texts of the bot's direct messages to Maya."""
    messages = bot.slack.messages("dm", reader=bot.slack.marketer)
    return [bot.slack.render(each) for each in messages if each.bot_id]


async def sync(bot: Workspace, directory: Path) -> None:
    """Sync three members, which succeeds whatever Slack does."""
    mapping = await bot.mapping(await bot.connection())
    run = await ended(bot, await start(bot, directory, mapping, people(range(3))))
    assert run.status is RunStatus.SUCCEEDED
    assert len(bot.emails()) == 3


async def wait_until_unconfirmed(bot: Workspace, stage: str) -> None:
    """Wait until the message of a run is unconfirmed."""
    key = f"run:{(await bot.latest_run()).id}"
    async with asyncio.timeout(LONG):
        while True:
            async with bot.engine.database.read() as db:
                post = await slack_messages.get(db, key)
            if post is not None and (post.status, post.kind) == (slack_messages.MessageStatus.UNCONFIRMED, stage):
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("method", "kind", "more"),
    [
        (POST, RATE_LIMITED, {"retry_after": 1}),
        *(
            pytest.param(method, kind, more, marks=pytest.mark.extended)
            for method, kind, more in (
                (UPDATE, SERVER_ERROR, {"status": 503}),
                (POST, SERVER_ERROR, {"status": 503}),
                (UPDATE, RATE_LIMITED, {"retry_after": 1}),
                (POST, "service_unavailable", {}),
                (UPDATE, "service_unavailable", {}),
            )
        ),
    ],
)
async def test_refused_message_is_retried(tmp_path: Path, method: str, kind: str, more: dict[str, int]) -> None:
    """A message that Slack refuses transiently is posted once, no earlier than Retry-After allows."""
    async with workspace(tmp_path) as bot:
        bot.slack.faults.add(kind, method, count=2, **more)
        await sync(bot, tmp_path)
        await bot.slack.wait_for_message("marketing", "Synced", timeout=LONG)
        assert len(top(bot)) == 1
        assert not direct(bot)
        if kind == RATE_LIMITED:
            times = [call.at for call in bot.slack.calls(method)][:3]
            assert all(later - earlier >= 1.0 for earlier, later in pairwise(times))


@pytest.mark.extended
@pytest.mark.parametrize(
    "word", sampled(["channel_not_found", "not_in_channel", "is_archived", "restricted_action"], 4)
)
async def test_unusable_channel_is_replaced_by_a_direct_message(tmp_path: Path, word: str) -> None:
    """If the bot can't post in the channel of a run, the person who started it gets the message and the reason."""
    async with workspace(tmp_path) as bot:
        bot.slack.faults.add(word, POST, channel=MARKETING)
        await sync(bot, tmp_path)
        message = await bot.slack.wait_for_message("dm", "Synced", reader=bot.slack.marketer, timeout=LONG)
        assert not top(bot)
        assert len(direct(bot)) == 1
        shown = bot.slack.render(message)
        assert "You get this here because" in shown
        assert "#marketing" in shown
        if word == "not_in_channel":
            assert "/invite @iterable-sync" in shown


@pytest.mark.extended
async def test_the_channel_is_tried_again_at_the_next_stage(tmp_path: Path) -> None:
    """After a card that went to a direct message, the next message is posted in the channel again."""
    async with workspace(tmp_path) as bot:
        fault = bot.slack.faults.add("not_in_channel", POST, channel=MARKETING)
        mapping = await bot.mapping(await bot.connection(self_approval=True, approvers=("U01MAYA",)), active=False)
        await start(bot, tmp_path, mapping, people(range(3)))
        maya = bot.slack.marketer
        message = await bot.slack.wait_for_message("dm", "Approval needed", reader=maya, timeout=LONG)
        bot.slack.faults.remove(fault.id)
        await maya.click(message, ApprovalAction.REVIEW)
        await maya.submit(await maya.open_view(ApprovalCallback.REVIEW))
        await bot.slack.wait_for_message("marketing", "Synced", timeout=LONG)
        await bot.slack.wait_for(lambda: "Synced" in bot.slack.render(message), LONG)
        assert len(top(bot)) == 1
        assert len([each for each in direct(bot) if "Synced" in each]) == 1


@pytest.mark.parametrize(
    ("word", "method"),
    [
        ("invalid_blocks", POST),
        pytest.param("msg_too_long", UPDATE, marks=pytest.mark.extended),
        pytest.param("invalid_blocks", UPDATE, marks=pytest.mark.extended),
        pytest.param("msg_too_long", POST, marks=pytest.mark.extended),
    ],
)
async def test_refused_blocks_become_plain_text(tmp_path: Path, word: str, method: str) -> None:
    """A message whose blocks Slack refuses is posted once as plain text."""
    async with workspace(tmp_path) as bot:
        if method == UPDATE:
            message = await card(bot, tmp_path, people(range(3)))
            bot.slack.faults.add(word, method, count=1)
            amir = bot.slack.approver
            await amir.click(message, ApprovalAction.DECLINE)
            await amir.submit(await amir.open_view(ApprovalCallback.DECLINE))
            await bot.slack.wait_for(lambda: not message.blocks, LONG)
            assert "Declined by" in bot.slack.render(message)
        else:
            bot.slack.faults.add(word, method, count=1)
            message = await card(bot, tmp_path, people(range(3)))
            assert "0 → 3 people, +3" in bot.slack.render(message)
        assert len(top(bot)) == 1


async def test_failed_edit_is_replaced_by_a_direct_message(tmp_path: Path) -> None:
    """If a message can no longer be edited, the person who started the run gets a direct message."""
    async with workspace(tmp_path) as bot:
        message = await card(bot, tmp_path, people(range(3)))
        bot.slack.faults.add("channel_not_found", UPDATE)
        amir = bot.slack.approver
        await amir.click(message, ApprovalAction.DECLINE)
        await amir.submit(await amir.open_view(ApprovalCallback.DECLINE))
        private = await bot.slack.wait_for_message("dm", "Declined", reader=bot.slack.marketer, timeout=LONG)
        assert "You get this here because" in bot.slack.render(private)
        assert len(top(bot)) == 1


@pytest.mark.extended
async def test_deleted_message_comes_back_with_the_next_stage(tmp_path: Path) -> None:
    """A deleted message is posted again only when the run reaches its next stage."""
    async with workspace(tmp_path) as bot:
        second = Fault("slow", path=SUBSCRIBE, after=1, delay=HELD_S)
        bot.iterable.faults.set([second])
        # so slow that one request is sent at a time
        mapping = await bot.mapping(await bot.connection(requests_per_second=0.25))
        run_id = await start(bot, tmp_path, mapping, people(range(3_000)))
        message = await bot.slack.wait_for_message("marketing", "1,000 of 3,000", timeout=LONG)
        await until(lambda: second.hits > 0)
        message.channel.messages.remove(message)
        bot.iterable.faults.set([Fault("slow", path=SUBSCRIBE, delay=HELD_S)])
        await bot.slack.wait_for(
            lambda: any(call.answer.get("error") == "message_not_found" for call in bot.slack.calls(UPDATE)), LONG
        )
        assert not top(bot)
        bot.iterable.faults.clear()
        await ended(bot, run_id)
        await bot.slack.wait_for_message("marketing", "3,000 added", timeout=LONG)
        assert len(top(bot)) == 1
        assert not direct(bot)


@pytest.mark.extended
async def test_unconfirmed_message_is_not_repeated(tmp_path: Path) -> None:
    """An unconfirmed card goes to the person who started the run, and a click in the card proves that it was posted."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection(), active=False)
        bot.slack.faults.add(LOST_ANSWER, POST, channel=MARKETING)
        await start(bot, tmp_path, mapping, people(range(3)))
        maya = bot.slack.marketer
        private = await bot.slack.wait_for_message("dm", "Approval needed", reader=maya, timeout=LONG)
        assert "Slack did not confirm that it was posted in #marketing" in bot.slack.render(private)
        message = await bot.slack.wait_for_message("marketing", "Approval needed", timeout=LONG)
        await wait_until_unconfirmed(bot, "card")
        bot.slack.faults.clear()
        amir = bot.slack.approver
        await amir.click(message, ApprovalAction.DECLINE)  # proves that the message exists
        await amir.submit(await amir.open_view(ApprovalCallback.DECLINE))
        await bot.slack.wait_for(lambda: "Declined by" in bot.slack.render(message), LONG)
        assert len([each for each in top(bot) if "Declined" in each]) == 1
        assert await bot.slack.wait_for(lambda: "Declined by" in bot.slack.render(private), LONG)


@pytest.mark.extended
async def test_next_stage_of_an_unconfirmed_message_is_posted(tmp_path: Path) -> None:
    """If no one clicks in an unconfirmed message, the end of the run is a new message."""
    async with workspace(tmp_path) as bot:
        bot.slack.faults.add(LOST_ANSWER, POST, channel=MARKETING, count=1)
        await sync(bot, tmp_path)
        await bot.slack.wait_for_message("marketing", "Synced", timeout=LONG)
        assert len(top(bot)) == 2
        assert len([each for each in top(bot) if "Synced" in each]) == 1


@pytest.mark.extended
async def test_unanswered_message_does_not_block_others(tmp_path: Path) -> None:
    """While Slack does not answer for one channel, messages in other channels are posted."""
    async with workspace(tmp_path) as bot:
        bot.slack.faults.add(NO_ANSWER, POST, channel=MARKETING)
        connection = await bot.connection()
        first = await bot.mapping(connection)
        await start(bot, tmp_path, first, people(range(3)))
        await until(lambda: bool(bot.slack.faults.active[0].struck))
        second = await bot.mapping(connection, audience="Other", list_id=1002)
        await start(bot, tmp_path, second, people(range(2)), channel="C01ALERTS")
        message = await bot.slack.wait_for_message("sync-alerts", "2 added", timeout=LONG)
        assert not replies(bot, message)
