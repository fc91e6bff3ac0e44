"""Alerts: Slack gets one message when a failure begins, and the same message says when it has recovered."""

import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from bot.features.ids import AlertAction, AlertBlock, AlertCallback
from core import alerting
from core.notifications import routes
from core.notifications.route_address import RouteOptions
from core.runs import commands
from core.store import alert_rules, audit_log, run_log
from core.store.alert_kinds import AlertKind
from core.store.alert_rules import Rule, RuleSetting
from core.store.audit_log import COMMAND_LINE
from core.store.mappings import AudienceMapping
from core.store.routes import RouteKind
from sandbox.iterable.faults import Fault
from sandbox.slack.workspace.models import Message
from tests.bot.slack.following import LONG, SUBSCRIBE, choose, ended, replies, start, top
from tests.bot.slack.harness import MAYA, OKSANA, TEAM, Workspace, workspace
from tests.core.harness import people
from tests.core.run_log.harness import turn_on, until_written


async def fail_run(bot: Workspace, directory: Path, mapping: AudienceMapping, *, status: int = 401) -> str:
    """Fail a run of a mapping, and return the run's id."""
    bot.iterable.faults.set([Fault("error", path=SUBSCRIBE, status=status, code="BadApiKey", msg="p1@example.com")])
    run_id = await start(bot, directory, mapping, people(range(3)))
    await ended(bot, run_id)
    return run_id


async def alert(bot: Workspace, text: str = "Sync failing") -> Message:
    """Wait for the latest alert in the alert channel, and return it."""
    return await bot.slack.wait_for_message("sync-alerts", text, timeout=LONG)


async def test_alert_counts_repeats_and_recovers(tmp_path: Path) -> None:
    """The alert channel and the person who started the run get one alert; it counts repeats, and says when the mapping
    works again."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        await fail_run(bot, tmp_path, mapping, status=500)
        message = await alert(bot)
        shown = bot.slack.render(message)
        assert "*Sync failing: SpringShoppers → List 1001*" in shown
        assert "*Progress so far:* none" in shown
        assert "*What you can do:* nothing is wrong with your audience. Retry in a few minutes" in shown
        assert "*Next automatic try:*" in shown
        assert "[Retry now] [Stop retrying] [I'm on it] [Snooze 24 h] [Pause]" in shown
        assert "p1@example.com" not in str(message.as_json())
        private = await bot.slack.wait_for_message("dm", "Sync failing", reader=bot.slack.marketer, timeout=LONG)
        await fail_run(bot, tmp_path, mapping, status=500)
        await bot.slack.wait_for(lambda: ", 2 times" in bot.slack.render(message), LONG)
        bot.iterable.faults.clear()
        await commands.retry(bot.engine, (await bot.latest_run()).id, by=MAYA, team_id=TEAM)
        bot.services.wake()
        await bot.slack.wait_for(lambda: "*Recovered: " in bot.slack.render(message), LONG)
        await bot.slack.wait_for(lambda: replies(bot, message), LONG)
        assert len(top(bot, "sync-alerts")) == 1
        (clear,) = [each for each in bot.slack.messages("sync-alerts") if each.thread_ts]
        assert clear.broadcast
        assert "Recovered: SpringShoppers" in bot.slack.render(clear)
        await bot.slack.wait_for(lambda: "*Recovered: " in bot.slack.render(private), LONG)


@pytest.mark.extended
async def test_refused_key_is_an_alert_of_the_connection(tmp_path: Path) -> None:
    """A refused key is one alert for the whole connection, with a button to replace the key."""
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        await fail_run(bot, tmp_path, await bot.mapping(connection))
        message = await alert(bot, "Sync failing: connection Shop")
        assert "[Retry now] [Replace key] [I'm on it]" in bot.slack.render(message)


async def test_alert_is_taken(tmp_path: Path) -> None:
    """*I'm on it* puts the person's name on the alert, and leaves an audit entry."""
    async with workspace(tmp_path) as bot:
        await fail_run(bot, tmp_path, await bot.mapping(await bot.connection()), status=500)
        message = await alert(bot)
        await bot.slack.operator.click(message, AlertAction.TAKE)
        await bot.slack.wait_for(lambda: "@Oksana Bondar is on it" in bot.slack.render(message), LONG)
        assert "[I'm on it]" not in bot.slack.render(message)
        async with bot.engine.database.read() as db:
            (entry,) = await audit_log.of(db, ["alert:1"])
        assert (entry.actor, entry.action) == (OKSANA, audit_log.AuditAction.ALERT_TAKEN)


@pytest.mark.extended
async def test_muted_for_a_day(tmp_path: Path) -> None:
    """A muted alert is still updated, but nothing new is posted, even if the reason changes."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        await fail_run(bot, tmp_path, mapping, status=500)
        message = await alert(bot)
        await bot.slack.approver.click(message, AlertAction.MUTE)
        await bot.slack.wait_for(lambda: "Muted for everyone until" in bot.slack.render(message), LONG)
        posted = len(bot.slack.messages("sync-alerts"))
        async with bot.engine.database.write() as db:
            subject: Any = {"connection_id": mapping.connection_id, "mapping_id": mapping.id}
            run_id = (await bot.latest_run()).id
            await alerting.open_or_repeat(db, **subject, run_id=run_id, code="list_gone", message="The list is gone.")
        await bot.slack.wait_for(lambda: "Now failing for another reason" in bot.slack.render(message), LONG)
        bot.iterable.faults.clear()
        await ended(bot, await start(bot, tmp_path, mapping, people(range(3))))
        await bot.slack.wait_for_message("marketing", "Synced", timeout=LONG)
        assert len([each for each in bot.slack.messages("sync-alerts") if not each.only_for]) == posted
        async with bot.engine.database.read() as db:
            (entry,) = await audit_log.of(db, ["alert:1"])
        assert entry.action is audit_log.AuditAction.ALERT_MUTED
        assert (entry.after or {})["until"] > time.time() + 23 * 3600


@pytest.mark.extended
async def test_snooze_ends_with_its_outage(tmp_path: Path) -> None:
    """A snooze lasts until its alert is resolved, also if the reason changed meanwhile: the next outage is posted. It
    can be undone."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        await fail_run(bot, tmp_path, mapping, status=500)
        message = await alert(bot)
        await bot.slack.approver.click(message, AlertAction.MUTE)
        await bot.slack.wait_for(lambda: "[Unsnooze]" in bot.slack.render(message), LONG)
        await bot.slack.operator.click(message, AlertAction.UNMUTE)
        await bot.slack.wait_for(lambda: "[Snooze 24 h]" in bot.slack.render(message), LONG)
        await bot.slack.approver.click(message, AlertAction.MUTE)
        await bot.slack.wait_for(lambda: "Muted for everyone" in bot.slack.render(message), LONG)
        await fail_run(bot, tmp_path, mapping)  # for another reason
        async with bot.engine.database.write() as db:
            for mapping_id in (mapping.id, None):
                await alerting.resolve(db, mapping.connection_id, mapping_id, AlertKind.FAILURE)
        bot.services.wake()
        await bot.slack.wait_for(lambda: "Muted" not in bot.slack.render(message), LONG)
        async with bot.engine.database.write() as db:  # one alert an hour is shown
            await db.execute(text("UPDATE alerts SET opened_at = opened_at - 7200, show_at = 0"))
        await fail_run(bot, tmp_path, mapping, status=500)
        await bot.slack.wait_for(lambda: len(top(bot, "sync-alerts")) == 2, LONG)


@pytest.mark.extended
async def test_only_operators_and_approvers_mute(tmp_path: Path) -> None:
    """A person who may not start runs gets a refusal, and the alert is not muted."""
    async with workspace(tmp_path) as bot:
        await fail_run(bot, tmp_path, await bot.mapping(await bot.connection()), status=500)
        message = await alert(bot)
        ada = bot.slack.admin
        await ada.click(message, AlertAction.MUTE)
        answer = await bot.slack.wait_for_message("sync-alerts", "Only operators", reader=ada, timeout=LONG)
        assert "Only operators and approvers of Shop can do this." in bot.slack.render(answer)
        assert "Muted" not in bot.slack.render(message)


async def test_silence_names_what_to_press_in_mparticle(tmp_path: Path) -> None:
    """A live audience that is silent is no failure: the alert says so, and where to press Resume; nothing to retry."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        async with bot.engine.database.write() as db:
            await alerting.open_or_repeat(
                db,
                connection_id=mapping.connection_id,
                mapping_id=mapping.id,
                run_id=None,
                code=AlertKind.SILENCE.value,
                message="Silent for 20 hours.",
            )
        bot.services.wake()
        message = await alert(bot, "No changes from mParticle")
        shown = bot.slack.render(message)
        assert "*No changes from mParticle: SpringShoppers*" in shown
        assert "If it is faulted, press *Resume*" in shown
        assert "[I'm on it] [Snooze 24 h] [Pause]" in shown
        assert "[Retry now]" not in shown
        async with bot.engine.database.write() as db:
            await alerting.resolve(db, mapping.connection_id, mapping.id, AlertKind.SILENCE)
        bot.services.wake()
        await bot.slack.wait_for(lambda: "*Changes arrive again: SpringShoppers*" in bot.slack.render(message), LONG)


@pytest.mark.extended
async def test_run_log_that_cannot_be_written(tmp_path: Path) -> None:
    """An alert says why runs are not written to the run log, without a path, and that they are written again."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        place = await turn_on(bot.engine, tmp_path)
        place.rename(tmp_path / "away")
        await ended(bot, await start(bot, tmp_path, mapping, people(range(3))))
        message = await alert(bot, "The run log can't be written")
        shown = bot.slack.render(message)
        assert "there is no such folder. Create it, or mount its disk. 1 run waits to be written" in shown
        assert "*What you can do:* the operator of this program fixes what is described above" in shown
        assert str(tmp_path) not in shown
        assert "[I'm on it] [Snooze 24 h]" in shown
        (tmp_path / "away").rename(place)
        async with bot.engine.database.write() as db:
            await run_log.change(db, next_at=0.0)
        bot.engine.due.set()
        bot.engine.queued.set()
        await until_written(place)
        bot.services.wake()
        await bot.slack.wait_for(lambda: "*The run log is written again*" in bot.slack.render(message), LONG)


async def test_alert_goes_to_another_channel(tmp_path: Path) -> None:
    """A route in Slack gets the alert as the alert channel does, and its all-clear."""
    async with workspace(tmp_path) as bot:
        channel = bot.slack.channel("marketing").id
        chosen = RouteOptions("team", RouteKind.SLACK, channel)
        await routes.add(bot.engine, chosen, by=COMMAND_LINE, team_id=TEAM)
        mapping = await bot.mapping(await bot.connection())
        async with bot.engine.database.write() as db:
            subject: Any = {"connection_id": mapping.connection_id, "mapping_id": mapping.id, "run_id": None}
            await alerting.open_or_repeat(db, **subject, code=Rule.DEVIATION, message="100 people were added.")
        bot.services.wake()
        message = await bot.slack.wait_for_message("marketing", "Unusual numbers", timeout=LONG)
        await alert(bot, "Unusual numbers")
        async with bot.engine.database.write() as db:
            await alerting.resolve(db, mapping.connection_id, mapping.id, AlertKind.RUN_RULE)
        bot.services.wake()
        await bot.slack.wait_for(lambda: "The numbers are as usual" in bot.slack.render(message), LONG)
        await bot.slack.wait_for(lambda: replies(bot, message), LONG)


async def test_alert_rules(tmp_path: Path) -> None:
    """An admin changes the alert rules of a mapping from the Home page; a text that is no number is refused."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        admin = bot.slack.admin
        page = await admin.open_home()
        await bot.slack.wait_for(lambda: "Alert rules]" in bot.slack.render(page), LONG)
        await choose(admin, page, AlertAction.RULES)
        form = await admin.open_view(AlertCallback.RULES)
        shown = bot.slack.render(form)
        assert "No successful sync (hours)" in shown
        assert "Live changes wait" not in shown
        await admin.fill(form, {AlertBlock.RULE.of(Rule.OVERDUE): "26", AlertBlock.RULE.of(Rule.DRIFT): "soon"})
        assert "Type a number" in (await admin.submit(form)).errors[AlertBlock.RULE.of(Rule.DRIFT)]
        await admin.fill(form, {AlertBlock.RULE.of(Rule.DRIFT): "off"})
        assert (await admin.submit(form)).ok
        async with bot.engine.database.read() as db:
            settings = await alert_rules.settings(db, mapping.connection_id, mapping.id)
        assert settings.of_mapping == {Rule.OVERDUE: RuleSetting(threshold=26), Rule.DRIFT: RuleSetting(is_on=False)}
