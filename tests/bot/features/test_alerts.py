"""Alerts: told once when something begins to fail, and once when it works again."""

import time
from pathlib import Path

from bot.features.ids import AlertAction
from core import alerting
from core.runs import commands
from core.store import audit_log
from core.store.mappings import AudienceMapping
from sandbox.iterable.faults import Fault
from sandbox.slack.workspace.models import Message
from tests.bot.slack.following import LONG, SUBSCRIBE, ended, replies, start, top
from tests.bot.slack.harness import MAYA, OKSANA, TEAM, Workspace, workspace
from tests.core.harness import people


async def failing(here: Workspace, directory: Path, mapping: AudienceMapping, *, status: int = 401) -> str:
    """Fail a run of a mapping."""
    here.iterable.faults.set([Fault("error", path=SUBSCRIBE, status=status, code="BadApiKey", msg="p1@example.com")])
    run_id = await start(here, directory, mapping, people(range(3)))
    await ended(here, run_id)
    return run_id


async def alert(here: Workspace, text: str = "Failing") -> Message:
    """The latest alert."""
    return await here.slack.wait_for_message("sync-alerts", text, timeout=LONG)


async def test_alert_comes_once_counts_and_ends(tmp_path: Path) -> None:
    """A failure is told once, in the alert channel and to who started the run; repeats are counted in it; and when it
    works again the message says so, and one reply."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection())
        await failing(here, tmp_path, mapping, status=500)
        message = await alert(here)
        shown = here.slack.render(message)
        assert "*Failing: SpringShoppers to list “List 1001” (1001)*" in shown
        assert "*Done before:* nothing" in shown
        assert "*What to do:* nothing is wrong with your audience. Wait some minutes, then press *Retry*" in shown
        assert "[Retry] [Pause] [I take it] [Mute for a day]" in shown
        assert "p1@example.com" not in str(message.as_json())
        private = await here.slack.wait_for_message("dm", "Failing", reader=here.slack.marketer, timeout=LONG)
        await failing(here, tmp_path, mapping, status=500)
        await here.slack.wait_for(lambda: ", 2 times" in here.slack.render(message), LONG)
        here.iterable.faults.clear()
        await commands.retry(here.engine, (await here.latest_run()).id, by=MAYA, team_id=TEAM)
        here.services.wake()
        await here.slack.wait_for(lambda: "*Works again" in here.slack.render(message), LONG)
        await here.slack.wait_for(lambda: replies(here, message), LONG)
        assert len(top(here, "sync-alerts")) == 1
        (clear,) = [each for each in here.slack.messages("sync-alerts") if each.thread_ts]
        assert clear.broadcast
        assert "Works again: SpringShoppers" in here.slack.render(clear)
        await here.slack.wait_for(lambda: "*Works again" in here.slack.render(private), LONG)


async def test_refused_key_concerns_the_connection(tmp_path: Path) -> None:
    """A key that Iterable refuses is one alert for the whole connection, and offers to replace the key."""
    async with workspace(tmp_path) as here:
        connection = await here.connection()
        await failing(here, tmp_path, await here.mapping(connection))
        message = await alert(here, "Failing: connection Shop")
        assert "[Retry] [Replace key] [I take it]" in here.slack.render(message)


async def test_somebody_takes_it(tmp_path: Path) -> None:
    """*I take it* names who sees to it, once; the second one is told who does."""
    async with workspace(tmp_path) as here:
        await failing(here, tmp_path, await here.mapping(await here.connection()), status=500)
        message = await alert(here)
        await here.slack.operator.click(message, AlertAction.TAKE)
        await here.slack.wait_for(lambda: "@Oksana Bondar is on it" in here.slack.render(message), LONG)
        assert "[I take it]" not in here.slack.render(message)
        async with here.engine.database.read() as db:
            (entry,) = await audit_log.of(db, ["alert:1"])
        assert (entry.actor, entry.action) == (OKSANA, audit_log.AuditAction.ALERT_TAKEN)


async def test_muted_for_a_day(tmp_path: Path) -> None:
    """A muted alert still follows what happens, but nothing new is posted, even of another kind."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection())
        await failing(here, tmp_path, mapping, status=500)
        message = await alert(here)
        await here.slack.approver.click(message, AlertAction.MUTE)
        await here.slack.wait_for(lambda: "Muted until" in here.slack.render(message), LONG)
        posted = len(here.slack.messages("sync-alerts"))
        async with here.engine.database.write() as db:
            about = {"connection_id": mapping.connection_id, "mapping_id": mapping.id}
            run_id = (await here.latest_run()).id
            await alerting.open_or_repeat(db, **about, run_id=run_id, code="list_gone", message="The list is gone.")
        await here.slack.wait_for(lambda: "Fails for another reason" in here.slack.render(message), LONG)
        here.iterable.faults.clear()
        await ended(here, await start(here, tmp_path, mapping, people(range(3))))
        await here.slack.wait_for_message("marketing", "Synced", timeout=LONG)
        assert len([each for each in here.slack.messages("sync-alerts") if not each.only_for]) == posted
        async with here.engine.database.read() as db:
            (entry,) = await audit_log.of(db, ["alert:1"])
        assert entry.action is audit_log.AuditAction.ALERT_MUTED
        assert (entry.after or {})["until"] > time.time() + 23 * 3600


async def test_only_who_has_a_say_mutes(tmp_path: Path) -> None:
    """Somebody who may not start runs is told so, and nothing changes."""
    async with workspace(tmp_path) as here:
        await failing(here, tmp_path, await here.mapping(await here.connection()), status=500)
        message = await alert(here)
        ada = here.slack.admin
        await ada.click(message, AlertAction.MUTE)
        answer = await here.slack.wait_for_message("sync-alerts", "Only operators", reader=ada, timeout=LONG)
        assert "Only operators and approvers of Shop can do this." in here.slack.render(answer)
        assert "Muted" not in here.slack.render(message)
