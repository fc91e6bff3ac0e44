"""Slack failing: a run never fails for it, nothing is posted twice, and what happened is told, here or elsewhere."""

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
from tests.core.harness import people

POST, UPDATE = "chat.postMessage", "chat.update"


def direct(here: Workspace) -> list[str]:
    """What the bot wrote to Maya."""
    found = here.slack.messages("dm", reader=here.slack.marketer)
    return [here.slack.render(each) for each in found if each.bot_id]


async def sync(here: Workspace, directory: Path) -> None:
    """Sync three members, which succeeds whatever Slack does."""
    mapping = await here.mapping(await here.connection())
    run = await ended(here, await start(here, directory, mapping, people(range(3))))
    assert run.status is RunStatus.SUCCEEDED
    assert len(here.emails()) == 3


async def until_lost(here: Workspace, stage: str) -> None:
    """Wait until the bot knows that it does not know whether a run's message is there."""
    key = f"run:{(await here.latest_run()).id}"
    async with asyncio.timeout(LONG):
        while True:
            async with here.engine.database.read() as db:
                post = await slack_messages.get(db, key)
            if post is not None and (post.status, post.kind) == (slack_messages.MessageStatus.UNCONFIRMED, stage):
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("method", [POST, UPDATE])
@pytest.mark.parametrize(
    ("kind", "more"),
    [(RATE_LIMITED, {"retry_after": 1}), (SERVER_ERROR, {"status": 503}), ("service_unavailable", {})],
)
async def test_what_is_refused_for_now_comes_later(
    tmp_path: Path, method: str, kind: str, more: dict[str, int]
) -> None:
    """A message that Slack does not take at the moment comes as soon as it does, once, and not before Slack said."""
    async with workspace(tmp_path) as here:
        here.slack.faults.add(kind, method, count=2, **more)
        await sync(here, tmp_path)
        await here.slack.wait_for_message("marketing", "Synced", timeout=LONG)
        assert len(top(here)) == 1
        assert not direct(here)
        if kind == RATE_LIMITED:
            times = [call.at for call in here.slack.calls(method)][:3]
            assert all(later - earlier >= 1.0 for earlier, later in pairwise(times))


@pytest.mark.parametrize("word", ["channel_not_found", "not_in_channel", "is_archived", "restricted_action"])
async def test_where_the_channel_takes_nothing_its_person_gets_it(tmp_path: Path, word: str) -> None:
    """A run whose channel can't be posted in is told to who started it, with the reason, and succeeds."""
    async with workspace(tmp_path) as here:
        here.slack.faults.add(word, POST, channel=MARKETING)
        await sync(here, tmp_path)
        message = await here.slack.wait_for_message("dm", "Synced", reader=here.slack.marketer, timeout=LONG)
        assert not top(here)
        assert len(direct(here)) == 1
        shown = here.slack.render(message)
        assert "You get this here because" in shown
        assert "#marketing" in shown
        if word == "not_in_channel":
            assert "/invite @iterable-sync" in shown


async def test_the_channel_is_tried_again_at_the_next_stage(tmp_path: Path) -> None:
    """A card that its channel did not take is decided by direct message; what follows is in the channel again."""
    async with workspace(tmp_path) as here:
        fault = here.slack.faults.add("not_in_channel", POST, channel=MARKETING)
        mapping = await here.mapping(await here.connection(self_approval=True, approvers=("U01MAYA",)), active=False)
        await start(here, tmp_path, mapping, people(range(3)))
        maya = here.slack.marketer
        message = await here.slack.wait_for_message("dm", "To approve", reader=maya, timeout=LONG)
        here.slack.faults.remove(fault.id)
        await maya.click(message, ApprovalAction.REVIEW)
        await maya.submit(await maya.open_view(ApprovalCallback.REVIEW))
        await here.slack.wait_for_message("marketing", "Synced", timeout=LONG)
        await here.slack.wait_for(lambda: "Synced" in here.slack.render(message), LONG)
        assert len(top(here)) == 1
        assert len([each for each in direct(here) if "Synced" in each]) == 1


@pytest.mark.parametrize("word", ["invalid_blocks", "msg_too_long"])
@pytest.mark.parametrize("method", [POST, UPDATE])
async def test_what_is_too_much_comes_as_plain_text(tmp_path: Path, word: str, method: str) -> None:
    """A message whose blocks Slack does not take is shown as text, once, with all that it says."""
    async with workspace(tmp_path) as here:
        if method == UPDATE:
            message = await card(here, tmp_path, people(range(3)))
            here.slack.faults.add(word, method, count=1)
            amir = here.slack.approver
            await amir.click(message, ApprovalAction.DECLINE)
            await amir.submit(await amir.open_view(ApprovalCallback.DECLINE))
            await here.slack.wait_for(lambda: not message.blocks, LONG)
            assert "Declined by" in here.slack.render(message)
        else:
            here.slack.faults.add(word, method, count=1)
            message = await card(here, tmp_path, people(range(3)))
            assert "3 to add" in here.slack.render(message)
        assert len(top(here)) == 1


async def test_where_nothing_can_be_edited_its_person_gets_the_end(tmp_path: Path) -> None:
    """A message that can't be edited any more is followed by a direct message to who started the run."""
    async with workspace(tmp_path) as here:
        message = await card(here, tmp_path, people(range(3)))
        here.slack.faults.add("channel_not_found", UPDATE)
        amir = here.slack.approver
        await amir.click(message, ApprovalAction.DECLINE)
        await amir.submit(await amir.open_view(ApprovalCallback.DECLINE))
        found = await here.slack.wait_for_message("dm", "Declined", reader=here.slack.marketer, timeout=LONG)
        assert "You get this here because" in here.slack.render(found)
        assert len(top(here)) == 1


async def test_deleted_message_comes_back_with_the_next_stage(tmp_path: Path) -> None:
    """A message that somebody deleted is not posted again before there is something new to say."""
    async with workspace(tmp_path) as here:
        here.iterable.faults.set([Fault("slow", path=SUBSCRIBE, delay=0.5)])
        mapping = await here.mapping(await here.connection(requests_per_second=2.0))
        run_id = await start(here, tmp_path, mapping, people(range(6_000)))
        message = await here.slack.wait_for_message("marketing", "Uploading", timeout=LONG)
        message.channel.messages.remove(message)
        await here.slack.wait_for(
            lambda: any(call.answer.get("error") == "message_not_found" for call in here.slack.calls(UPDATE)), LONG
        )
        assert not top(here)
        await ended(here, run_id)
        await here.slack.wait_for_message("marketing", "6,000 added", timeout=LONG)
        assert len(top(here)) == 1
        assert not direct(here)


async def test_a_lost_message_is_never_posted_again_as_it_was(tmp_path: Path) -> None:
    """A card whose posting was never confirmed goes to who started the run; the next stage is a new message."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection(), active=False)
        here.slack.faults.add(LOST_ANSWER, POST, channel=MARKETING)
        await start(here, tmp_path, mapping, people(range(3)))
        maya = here.slack.marketer
        private = await here.slack.wait_for_message("dm", "To approve", reader=maya, timeout=LONG)
        assert "Slack did not confirm that it was posted in #marketing" in here.slack.render(private)
        message = await here.slack.wait_for_message("marketing", "To approve", timeout=LONG)
        await until_lost(here, "card")
        here.slack.faults.clear()
        amir = here.slack.approver
        await amir.click(message, ApprovalAction.DECLINE)  # it is there after all, and so it is followed again
        await amir.submit(await amir.open_view(ApprovalCallback.DECLINE))
        await here.slack.wait_for(lambda: "Declined by" in here.slack.render(message), LONG)
        assert len([each for each in top(here) if "Declined" in each]) == 1
        assert await here.slack.wait_for(lambda: "Declined by" in here.slack.render(private), LONG)


async def test_next_stage_of_a_lost_message_is_posted(tmp_path: Path) -> None:
    """Where nobody presses anything in a lost message, the end of the run is a message of its own."""
    async with workspace(tmp_path) as here:
        here.slack.faults.add(LOST_ANSWER, POST, channel=MARKETING, count=1)
        await sync(here, tmp_path)
        await here.slack.wait_for_message("marketing", "Synced", timeout=LONG)
        assert len(top(here)) == 2
        assert len([each for each in top(here) if "Synced" in each]) == 1


async def test_silence_of_slack_for_one_message_keeps_no_other_from_being_shown(tmp_path: Path) -> None:
    """While Slack does not answer about one channel, another one's messages come."""
    async with workspace(tmp_path) as here:
        here.slack.faults.add(NO_ANSWER, POST, channel=MARKETING)
        connection = await here.connection()
        first = await here.mapping(connection)
        await start(here, tmp_path, first, people(range(3)))
        await until(lambda: bool(here.slack.faults.active[0].struck))
        second = await here.mapping(connection, audience="Other", list_id=1002)
        await start(here, tmp_path, second, people(range(2)), channel="C01ALERTS")
        message = await here.slack.wait_for_message("sync-alerts", "2 added", timeout=LONG)
        assert not replies(here, message)
