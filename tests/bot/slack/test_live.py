"""The message of a run, from its start to its end."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import text

from core.connections.mapping_lifecycle import decide_proposal
from core.models.run import RunStatus
from core.runs import commands
from core.store import runs
from core.store.mappings import MappingStatus
from sandbox.iterable.faults import Fault
from sandbox.slack.workspace.models import Message
from tests.bot.slack.following import LONG, SUBSCRIBE, ended, replies, start, top
from tests.bot.slack.harness import AMIR, BRISK, MAYA, TEAM, Workspace, workspace
from tests.core.harness import HELD_S, people, person, until


async def test_run_is_one_message_that_ends_as_its_summary(tmp_path: Path) -> None:
    """A run is one message in its channel, which is edited until it shows the added and the rejected members."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        members = [*people(range(3)), person(9, email=None), person(10, email="nowhere")]
        await start(bot, tmp_path, mapping, members)
        message = await bot.slack.wait_for_message("marketing", "now has 3 people", timeout=LONG)
        (shown,) = top(bot)
        assert "*List 1001 now has 3 people*\nSynced SpringShoppers → List 1001: 3 added" in shown
        assert "2 people couldn't be synced: 1 with an invalid email, 1 without an email address." in shown
        assert "_People without an email address: collect the address" in shown
        assert "Started by @Maya Lindqvist" in shown
        assert "[See why] [Run again] [Undo]" in shown
        assert message.text.startswith("Synced SpringShoppers → List 1001: 3 added.")
        await bot.slack.wait_for(lambda: replies(bot, message), LONG)
        (reply,) = replies(bot, message)
        assert reply == "@Maya Lindqvist, SpringShoppers → List 1001 is done: 3 added. 2 people couldn't be synced."


async def test_quiet_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ITERABLE_SYNC_MENTIONS_REQUESTER=false no reply mentions whoever started a sync."""
    monkeypatch.setenv("ITERABLE_SYNC_MENTIONS_REQUESTER", "false")
    async with workspace(tmp_path) as bot:
        await start(bot, tmp_path, await bot.mapping(await bot.connection()), people(range(3)))
        message = await bot.slack.wait_for_message("marketing", "now has 3 people", timeout=LONG)

        async def is_shown() -> bool:
            async with bot.engine.database.read() as db:
                return await runs.unshown(db, ended_after=None) == []

        await until(is_shown)
        assert replies(bot, message) == []


async def test_progress_is_shown_in_place_at_its_pace(tmp_path: Path) -> None:
    """The message of a run that uploads shows its progress and *Cancel*, and is not edited more often than the limit
    allows."""
    gap = 0.7
    async with workspace(tmp_path, pace=replace(BRISK, gap=gap)) as bot:
        mapping = await bot.mapping(await bot.connection(requests_per_second=5.0))
        bot.iterable.faults.set([Fault("slow", path="/api/lists", method="GET", delay=HELD_S)])
        run_id = await start(bot, tmp_path, mapping, people(range(12_000)))
        await bot.slack.wait_for_message("marketing", "Nothing has been sent yet", timeout=LONG)
        bot.iterable.faults.set([Fault("slow", path=SUBSCRIBE, after=4, delay=HELD_S)])
        message = await bot.slack.wait_for_message("marketing", "of 12,000 changes", timeout=LONG)
        await bot.slack.wait_for(
            lambda: "█" in bot.slack.render(message) and " left" in bot.slack.render(message), LONG
        )
        shown = bot.slack.render(message)
        assert "%" in shown
        assert "*Syncing SpringShoppers" in shown
        assert "[Cancel]" in shown
        bot.iterable.faults.clear()
        await ended(bot, run_id)
        await bot.slack.wait_for_message("marketing", "Synced", timeout=LONG)
        times = [call.at for call in bot.slack.calls("chat.update")]
        assert len(times) >= 2
        assert all(later - earlier >= gap - 0.05 for earlier, later in pairwise(times))
        assert len(top(bot)) == 1


async def test_failure_is_explained(tmp_path: Path) -> None:
    """The message of a failed run shows the reason and what to do, and after a retry the same message shows the end."""
    async with workspace(tmp_path) as bot:
        bot.iterable.faults.set([Fault("error", path=SUBSCRIBE, status=401, code="BadApiKey")])
        mapping = await bot.mapping(await bot.connection())
        run_id = await start(bot, tmp_path, mapping, people(range(3)))
        message = await bot.slack.wait_for_message("marketing", "failed", timeout=LONG)
        shown = bot.slack.render(message)
        assert "Iterable refuses the API key" in shown
        assert "*Progress so far:* none" in shown
        assert "[Retry now] [Replace key]" in shown
        bot.iterable.faults.clear()
        await commands.retry(bot.engine, run_id, by=MAYA, team_id=TEAM)
        bot.services.wake()
        await bot.slack.wait_for(lambda: "Synced" in bot.slack.render(message), LONG)
        await bot.slack.wait_for(lambda: "@Maya Lindqvist retried this sync." in replies(bot, message), LONG)
        assert len(top(bot)) == 1


@pytest.mark.extended
async def test_cancelled_run_says_so(tmp_path: Path) -> None:
    """The message of a cancelled run says so, and its thread names the person."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection(requests_per_second=2.0))
        # long enough for the worker to notice the cancellation
        run_id = await start(bot, tmp_path, mapping, people(range(40_000)))
        message = await bot.slack.wait_for_message("marketing", "Syncing", timeout=LONG)
        await commands.cancel(bot.engine, run_id, by=MAYA, team_id=TEAM)
        bot.services.wake()
        await bot.slack.wait_for(lambda: "cancelled: " in bot.slack.render(message), LONG)
        assert "\nCancelled by @Maya Lindqvist - " in bot.slack.render(message)
        await bot.slack.wait_for(lambda: replies(bot, message), LONG)
        assert replies(bot, message) == ["@Maya Lindqvist cancelled this sync."]


@pytest.mark.extended
async def test_last_state_is_shown_when_slack_is_back(tmp_path: Path) -> None:
    """After an outage of Slack, one message shows the last state."""
    async with workspace(tmp_path) as bot:
        outage = bot.slack.faults.add("server_error", "chat.*", status=503)
        mapping = await bot.mapping(await bot.connection())
        run_id = await start(bot, tmp_path, mapping, people(range(3)))
        assert (await ended(bot, run_id)).status is RunStatus.SUCCEEDED
        assert not top(bot)
        bot.slack.faults.remove(outage.id)
        await bot.slack.wait_for_message("marketing", "Synced", timeout=LONG)
        assert len(top(bot)) == 1


@pytest.mark.extended
async def test_clock_that_goes_back(tmp_path: Path) -> None:
    """If the clock goes back, a message that Slack refused is still retried soon."""
    async with workspace(tmp_path) as bot:
        outage = bot.slack.faults.add("server_error", "chat.*", status=503)
        mapping = await bot.mapping(await bot.connection())
        run_id = await start(bot, tmp_path, mapping, people(range(3)))
        await ended(bot, run_id)
        await bot.slack.wait_for(lambda: outage.struck, LONG)

        async def postpone() -> bool:
            """Set the next attempt to a time that the clock has not reached. Returns whether a message was waiting."""
            async with bot.engine.database.write() as db:
                result = await db.execute(text("UPDATE posts SET next_at = next_at + 90000 WHERE next_at > 0"))
                return bool(result.rowcount)

        await until(postpone)
        bot.slack.faults.remove(outage.id)
        await bot.slack.wait_for_message("marketing", "Synced", timeout=LONG)


async def test_proposed_mapping_is_shown_until_it_is_decided(tmp_path: Path) -> None:
    """The message of a proposed mapping shows who decided."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection(), active=False)
        message = await bot.slack.wait_for_message("marketing", "Approval needed: new mapping", timeout=LONG)
        await decide_proposal(bot.engine, mapping.id, MappingStatus.ACTIVE, by=AMIR, comment="Fine", team_id=TEAM)
        bot.services.wake()
        await bot.slack.wait_for(lambda: "Approved by @Amir Haddad" in bot.slack.render(message), LONG)
        assert len(top(bot)) == 1


@pytest.mark.extended
async def test_long_sentences_are_cut(tmp_path: Path) -> None:
    """A message never exceeds Slack's limits, however long a reason or a name is."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection(), audience="A" * 200)
        bot.slack.faults.add("server_error", "chat.*", status=503)
        run_id = await start(bot, tmp_path, mapping, people(range(3)))
        await ended(bot, run_id)
        async with bot.engine.database.write() as db:
            await runs.set_status(db, run_id, RunStatus.FAILED, error="It <failed> & failed. " * 400, code="x" * 50)
        bot.slack.faults.clear()
        message = await _message(bot)
        assert sum(len(str(block)) for block in message.blocks) < 13_000
        assert "It <failed> & failed." in bot.slack.render(message)


async def _message(bot: Workspace) -> Message:
    return await bot.slack.wait_for_message("marketing", "failed", timeout=LONG)
