"""The program ends and begins again in the middle of something: nothing is lost, and nothing is posted twice."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bot.features.ids import ApprovalAction, ApprovalCallback
from core.models.run import RunStatus
from sandbox.iterable import Running
from sandbox.iterable import running as iterable_running
from sandbox.iterable.faults import Fault
from sandbox.slack import Slack
from sandbox.slack.faults import NO_ANSWER
from tests.bot.slack.following import LONG, card, ended, replies, start, top, until
from tests.bot.slack.harness import MARKETING, bot, local_slack, workspace
from tests.core.harness import people


@asynccontextmanager
async def services() -> AsyncIterator[tuple[Slack, Running]]:
    """A local Slack and a local Iterable that outlive the bot."""
    async with AsyncExitStack() as stack:
        iterable = await stack.enter_async_context(iterable_running())
        yield await stack.enter_async_context(local_slack()), iterable


async def test_while_it_waits_for_approval(tmp_path: Path) -> None:
    """A card from before the restart is decided after it, in the same message and with nothing said twice."""
    async with services() as (slack, iterable):
        async with bot(slack, iterable, tmp_path) as here:
            message = await card(here, tmp_path, people(range(3)))
            await slack.wait_for(lambda: replies(here, message), LONG)
        async with bot(slack, iterable, tmp_path) as here:
            amir = slack.approver
            await amir.click(message, ApprovalAction.REVIEW)
            assert (await amir.submit(await amir.open_view(ApprovalCallback.REVIEW))).ok
            await slack.wait_for(lambda: "Synced" in slack.render(message), LONG)
            await slack.wait_for(lambda: len(replies(here, message)) == 2, LONG)
            assert len(top(here)) == 1
            assert len(here.emails()) == 3


async def test_while_it_plans(tmp_path: Path) -> None:
    """A run that was being planned says that it goes on, and does so after the restart, in the same message."""
    async with services() as (slack, iterable):
        iterable.faults.set([Fault("slow", path="/api/lists", method="GET", delay=1.0)])
        async with bot(slack, iterable, tmp_path) as here:
            mapping = await here.mapping(await here.connection())
            run_id = await start(here, tmp_path, mapping, people(range(3)))
            await slack.wait_for_message("marketing", "Nothing has been sent yet", timeout=LONG)
        assert len(top(here)) == 1
        async with bot(slack, iterable, tmp_path) as here:
            assert (await ended(here, run_id)).status is RunStatus.SUCCEEDED
            await slack.wait_for_message("marketing", "Synced", timeout=LONG)
            assert len(top(here)) == 1


async def test_while_it_uploads(tmp_path: Path) -> None:
    """A run that was uploading says when the program ends that it goes on, and ends in the same message."""
    async with services() as (slack, iterable):
        async with bot(slack, iterable, tmp_path) as here:
            mapping = await here.mapping(await here.connection(requests_per_second=1.0))  # a request a second
            run_id = await start(here, tmp_path, mapping, people(range(8_000)))
            message = await slack.wait_for_message("marketing", "Uploading", timeout=LONG)
        assert "Interrupted; it resumes by itself" in slack.render(message)
        async with bot(slack, iterable, tmp_path) as here:
            assert (await ended(here, run_id)).status is RunStatus.SUCCEEDED
            await slack.wait_for(lambda: "8,000 added" in slack.render(message), LONG)
            assert len(top(here)) == 1
            assert len(here.emails()) == 8_000


async def test_while_its_end_is_told(tmp_path: Path) -> None:
    """A run whose summary Slack did not take before the program ended is summed up after it began again."""
    async with services() as (slack, iterable):
        async with bot(slack, iterable, tmp_path) as here:
            slack.faults.add("server_error", "chat.*", status=503)
            mapping = await here.mapping(await here.connection())
            run_id = await start(here, tmp_path, mapping, people(range(3)))
            await ended(here, run_id)
        assert not top(here)
        slack.faults.clear()
        async with bot(slack, iterable, tmp_path) as here:
            await slack.wait_for_message("marketing", "Synced", timeout=LONG)
            assert len(top(here)) == 1


async def test_while_a_message_is_on_its_way(tmp_path: Path) -> None:
    """A message whose answer the program did not live to see is not posted again; its person gets it instead."""
    async with services() as (slack, iterable):
        async with bot(slack, iterable, tmp_path) as here:
            fault = slack.faults.add(NO_ANSWER, "chat.postMessage", channel=MARKETING)
            mapping = await here.mapping(await here.connection(), active=False)
            run_id = await start(here, tmp_path, mapping, people(range(3)))
            await until(lambda: bool(fault.struck))
            while (await here.run(run_id)).status is not RunStatus.NEEDS_APPROVAL:
                await until(lambda: True)
        slack.faults.clear()
        async with bot(slack, iterable, tmp_path) as here:
            await slack.wait_for_message("marketing", "To approve", timeout=LONG)
            assert len(top(here)) == 1


async def test_another_process_does_not_talk_as_well(tmp_path: Path) -> None:
    """Of two programs on one database only one talks to Slack, and the other goes on when that one ends."""
    async with workspace(tmp_path) as here, AsyncExitStack() as stack:
        other = await stack.enter_async_context(bot(here.slack, here.iterable, tmp_path))
        mapping = await here.mapping(await here.connection())
        await start(other, tmp_path, mapping, people(range(3)))
        await here.slack.wait_for_message("marketing", "Synced", timeout=LONG)
        assert len(top(here)) == 1
