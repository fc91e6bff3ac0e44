"""The program stops and starts again: no message is lost, and none is posted twice."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bot.features.ids import ApprovalAction, ApprovalCallback
from core.models.run import RunStatus
from sandbox.iterable import Running
from sandbox.iterable import running as iterable_running
from sandbox.iterable.faults import Fault
from sandbox.slack import Slack
from sandbox.slack.faults import NO_ANSWER
from tests.bot.slack.following import LONG, card, ended, replies, start, top, until
from tests.bot.slack.harness import BRISK, MARKETING, local_slack, running_bot, workspace
from tests.core.harness import HELD_S, people


@asynccontextmanager
async def services() -> AsyncIterator[tuple[Slack, Running]]:
    """Run a local Slack and a local Iterable that outlive the bot."""
    async with AsyncExitStack() as stack:
        iterable = await stack.enter_async_context(iterable_running())
        yield await stack.enter_async_context(local_slack()), iterable


@pytest.mark.extended
async def test_restart_while_a_run_waits_for_approval(tmp_path: Path) -> None:
    """A card from before the restart is decided after it, in the same message."""
    async with services() as (slack, iterable):
        async with running_bot(slack, iterable, tmp_path) as bot:
            message = await card(bot, tmp_path, people(range(3)))
            await slack.wait_for(lambda: replies(bot, message), LONG)
        async with running_bot(slack, iterable, tmp_path) as bot:
            amir = slack.approver
            await amir.click(message, ApprovalAction.REVIEW)
            assert (await amir.submit(await amir.open_view(ApprovalCallback.REVIEW))).ok
            await slack.wait_for(lambda: "Synced" in slack.render(message), LONG)
            await slack.wait_for(lambda: len(replies(bot, message)) == 3, LONG)
            assert len(top(bot)) == 1
            assert len(bot.emails()) == 3


@pytest.mark.extended
async def test_restart_during_planning(tmp_path: Path) -> None:
    """A run that was being planned resumes after the restart, in the same message."""
    async with services() as (slack, iterable):
        async with running_bot(slack, iterable, tmp_path) as bot:
            mapping = await bot.mapping(await bot.connection())
            iterable.faults.set([Fault("slow", path="/api/lists", method="GET", delay=HELD_S)])
            run_id = await start(bot, tmp_path, mapping, people(range(3)))
            await slack.wait_for_message("marketing", "Nothing has been sent yet", timeout=LONG)
            bot.engine.stopping.set()
            iterable.faults.clear()
        assert len(top(bot)) == 1
        async with running_bot(slack, iterable, tmp_path) as bot:
            assert (await ended(bot, run_id)).status is RunStatus.SUCCEEDED
            await slack.wait_for_message("marketing", "Synced", timeout=LONG)
            assert len(top(bot)) == 1


@pytest.mark.extended
async def test_restart_during_the_upload(tmp_path: Path) -> None:
    """The message of a run that was uploading says that it resumes, and shows its end after the restart."""
    async with services() as (slack, iterable):
        # the last state is shown, however busy the machine is
        async with running_bot(slack, iterable, tmp_path, pace=replace(BRISK, ending=LONG)) as bot:
            mapping = await bot.mapping(await bot.connection(requests_per_second=1.0))  # a request a second
            run_id = await start(bot, tmp_path, mapping, people(range(8_000)))
            message = await slack.wait_for_message("marketing", "Syncing", timeout=LONG)
        assert "Interrupted; it resumes when" in slack.render(message)
        async with running_bot(slack, iterable, tmp_path) as bot:
            assert (await ended(bot, run_id)).status is RunStatus.SUCCEEDED
            await slack.wait_for(lambda: "8,000 added" in slack.render(message), LONG)
            assert len(top(bot)) == 1
            assert len(bot.emails()) == 8_000


@pytest.mark.extended
async def test_restart_before_the_summary(tmp_path: Path) -> None:
    """A summary that Slack refused before the program stopped is posted after the restart."""
    async with services() as (slack, iterable):
        async with running_bot(slack, iterable, tmp_path) as bot:
            slack.faults.add("server_error", "chat.*", status=503)
            mapping = await bot.mapping(await bot.connection())
            run_id = await start(bot, tmp_path, mapping, people(range(3)))
            await ended(bot, run_id)
        assert not top(bot)
        slack.faults.clear()
        async with running_bot(slack, iterable, tmp_path) as bot:
            await slack.wait_for_message("marketing", "Synced", timeout=LONG)
            assert len(top(bot)) == 1


@pytest.mark.extended
async def test_restart_while_a_message_is_being_posted(tmp_path: Path) -> None:
    """A message whose confirmation was lost is not posted again in its channel; its person gets it."""
    async with services() as (slack, iterable):
        async with running_bot(slack, iterable, tmp_path) as bot:
            fault = slack.faults.add(NO_ANSWER, "chat.postMessage", channel=MARKETING)
            mapping = await bot.mapping(await bot.connection(), active=False)
            run_id = await start(bot, tmp_path, mapping, people(range(3)))
            await until(lambda: bool(fault.struck))
            while (await bot.run(run_id)).status is not RunStatus.NEEDS_APPROVAL:
                await until(lambda: True)
        slack.faults.clear()
        async with running_bot(slack, iterable, tmp_path) as bot:
            await slack.wait_for_message("marketing", "Approval needed", timeout=LONG)
            assert len(top(bot)) == 1


async def test_second_process_stays_silent(tmp_path: Path) -> None:
    """One of two processes on a database posts to Slack, and the other one stays silent."""
    async with workspace(tmp_path) as bot, AsyncExitStack() as stack:
        other = await stack.enter_async_context(running_bot(bot.slack, bot.iterable, tmp_path))
        mapping = await bot.mapping(await bot.connection())
        await start(other, tmp_path, mapping, people(range(3)))
        await bot.slack.wait_for_message("marketing", "Synced", timeout=LONG)
        assert len(top(bot)) == 1
