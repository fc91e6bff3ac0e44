"""The message of a run, from its start to its end."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from sqlalchemy import text

from core.mapping_lifecycle import decide_proposal
from core.models.run import RunStatus
from core.runs import commands
from core.store import runs
from core.store.mappings import MappingStatus
from sandbox.iterable.faults import Fault
from sandbox.slack.workspace.models import Message
from tests.bot.slack.following import LONG, SUBSCRIBE, ended, replies, start, top
from tests.bot.slack.harness import AMIR, BRISK, MAYA, TEAM, Workspace, workspace
from tests.core.harness import people, person, until


async def test_run_is_one_message_that_ends_as_its_summary(tmp_path: Path) -> None:
    """A run is one message in its channel, edited in place until it says what was added and what was rejected."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection())
        members = [*people(range(3)), person(9, email=None), person(10, email="nowhere")]
        await start(here, tmp_path, mapping, members)
        message = await here.slack.wait_for_message("marketing", "On the list in Iterable now*: 3", timeout=LONG)
        (shown,) = top(here)
        assert "3 added, 0 updated, 0 removed, 2 rejected." in shown.replace("*", "")
        assert "The profile has no email address.\n_Collect the address" in shown
        assert "Started by @Maya Lindqvist" in shown
        assert "[Rejected users] [Run again] [Undo]" in shown
        assert message.text.endswith("3 added, 0 updated, 0 removed, 2 rejected.")
        assert not replies(here, message)


async def test_progress_is_shown_in_place_at_its_pace(tmp_path: Path) -> None:
    """While a run uploads, its message has a bar, counts and a button to cancel, and is not edited more often than
    the pace allows."""
    gap = 0.7
    async with workspace(tmp_path, pace=replace(BRISK, gap=gap)) as here:
        here.iterable.faults.set([Fault("slow", path=SUBSCRIBE, delay=0.4)])
        mapping = await here.mapping(await here.connection(requests_per_second=5.0))
        run_id = await start(here, tmp_path, mapping, people(range(12_000)))
        message = await here.slack.wait_for_message("marketing", "of 12,000 changes made", timeout=LONG)
        await here.slack.wait_for(
            lambda: "█" in here.slack.render(message) and " left" in here.slack.render(message), LONG
        )
        shown = here.slack.render(message)
        assert "%" in shown
        assert "Uploading" in shown
        assert "[Cancel]" in shown
        await ended(here, run_id)
        await here.slack.wait_for_message("marketing", "Synced", timeout=LONG)
        times = [call.at for call in here.slack.calls("chat.update")]
        assert len(times) >= 2
        assert all(later - earlier >= gap - 0.05 for earlier, later in pairwise(times))
        assert len(top(here)) == 1


async def test_failure_says_what_happened_what_was_done_and_what_to_do(tmp_path: Path) -> None:
    """A run that fails says why in its message, and goes on there when it is retried; the thread says who did that."""
    async with workspace(tmp_path) as here:
        here.iterable.faults.set([Fault("error", path=SUBSCRIBE, status=401, code="BadApiKey")])
        mapping = await here.mapping(await here.connection())
        run_id = await start(here, tmp_path, mapping, people(range(3)))
        message = await here.slack.wait_for_message("marketing", "failed", timeout=LONG)
        shown = here.slack.render(message)
        assert "Iterable refuses the API key" in shown
        assert "*Done before:* nothing" in shown
        assert "[Retry] [Replace key]" in shown
        here.iterable.faults.clear()
        await commands.retry(here.engine, run_id, by=MAYA, team_id=TEAM)
        here.services.wake()
        await here.slack.wait_for(lambda: "Synced" in here.slack.render(message), LONG)
        assert replies(here, message) == ["@Maya Lindqvist let this sync go on."]
        assert len(top(here)) == 1


async def test_cancelled_run_says_so(tmp_path: Path) -> None:
    """A run that is cancelled says so, what it had done, and in the thread who asked for it."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection(requests_per_second=2.0))
        # long enough for whoever works on it to hear of it on the way
        run_id = await start(here, tmp_path, mapping, people(range(40_000)))
        message = await here.slack.wait_for_message("marketing", "Uploading", timeout=LONG)
        await commands.cancel(here.engine, run_id, by=MAYA, team_id=TEAM)
        here.services.wake()
        await here.slack.wait_for(lambda: "was cancelled" in here.slack.render(message), LONG)
        assert replies(here, message) == ["@Maya Lindqvist asked to cancel this sync."]


async def test_last_state_is_shown_when_slack_is_back(tmp_path: Path) -> None:
    """What happens while Slack takes no messages is shown when it does again, as one message."""
    async with workspace(tmp_path) as here:
        down = here.slack.faults.add("server_error", "chat.*", status=503)
        mapping = await here.mapping(await here.connection())
        run_id = await start(here, tmp_path, mapping, people(range(3)))
        assert (await ended(here, run_id)).status is RunStatus.SUCCEEDED
        assert not top(here)
        here.slack.faults.remove(down.id)
        await here.slack.wait_for_message("marketing", "Synced", timeout=LONG)
        assert len(top(here)) == 1


async def test_message_that_waits_when_the_clock_is_put_back(tmp_path: Path) -> None:
    """A message that Slack did not take is not tried hours later because the clock was put back meanwhile."""
    async with workspace(tmp_path) as here:
        down = here.slack.faults.add("server_error", "chat.*", status=503)
        mapping = await here.mapping(await here.connection())
        run_id = await start(here, tmp_path, mapping, people(range(3)))
        await ended(here, run_id)
        await here.slack.wait_for(lambda: down.struck, LONG)

        async def waits() -> bool:
            """Whether it waits now, until a time that the clock has yet to come to."""
            async with here.engine.database.write() as db:
                found = await db.execute(text("UPDATE posts SET next_at = next_at + 90000 WHERE next_at > 0"))
                return bool(found.rowcount)

        await until(waits)
        here.slack.faults.remove(down.id)
        await here.slack.wait_for_message("marketing", "Synced", timeout=LONG)


async def test_proposed_mapping_is_shown_until_it_is_decided(tmp_path: Path) -> None:
    """A mapping that is proposed and not synced is shown in its channel, and the message says who decided on it."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection(), active=False)
        message = await here.slack.wait_for_message("marketing", "proposes a mapping", timeout=LONG)
        await decide_proposal(here.engine, mapping.id, MappingStatus.ACTIVE, by=AMIR, comment="Fine", team_id=TEAM)
        here.services.wake()
        await here.slack.wait_for(lambda: "Approved by @Amir Haddad" in here.slack.render(message), LONG)
        assert len(top(here)) == 1


async def test_long_sentences_are_cut(tmp_path: Path) -> None:
    """A message never gets longer than Slack takes it, however long a reason or a name is."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection(), audience="A" * 200)
        here.slack.faults.add("server_error", "chat.*", status=503)
        run_id = await start(here, tmp_path, mapping, people(range(3)))
        await ended(here, run_id)
        async with here.engine.database.write() as db:
            await runs.set_status(db, run_id, RunStatus.FAILED, error="It <failed> & failed. " * 400, code="x" * 50)
        here.slack.faults.clear()
        message = await _message(here)
        assert sum(len(str(block)) for block in message.blocks) < 13_000
        assert "It <failed> & failed." in here.slack.render(message)


async def _message(here: Workspace) -> Message:
    return await here.slack.wait_for_message("marketing", "failed", timeout=LONG)
