"""`status` and `history`: what a person reads privately."""

from pathlib import Path

import pytest

from bot.features.home import publisher
from bot.features.status.phrases import live_line
from core.iterable import InvalidApiKeyError
from core.models.run import RunRequest
from core.runs import commands
from core.store import alerts, mappings
from core.store.live_mappings import LiveStatus
from core.store.mappings import NO_LIST
from tests.bot.slack.harness import MARKETING, MAYA, TEAM, Workspace, audience, workspace
from tests.core.harness import people, queue_run, until


async def reply_to(bot: Workspace, typed: str, text: str) -> str:
    """Type a subcommand as Maya, wait for a private reply that contains a text, and return its text."""
    await bot.slack.marketer.command(f"/iterable-sync {typed}")
    shown = await bot.slack.wait_for_message("marketing", text, reader=bot.slack.marketer)
    assert shown.only_for == MAYA
    return bot.slack.render(shown)


async def test_status(tmp_path: Path) -> None:
    """`status` shows the numbers first, then runs in progress, approvals, alerts, and the state of each mapping."""
    async with workspace(tmp_path) as bot:
        assert "No Iterable project" in await reply_to(bot, "status", "No Iterable project")

        connection = await bot.connection()
        await bot.mapping(connection)
        await bot.mapping(connection, "Lapsed", list_id=1002, active=False)
        fed = await bot.mapping(connection, "Fed", list_id=NO_LIST)
        async with bot.engine.database.write() as db:
            await mappings.change(db, fed.id, is_live=True)
            await alerts.open_(
                db,
                connection_id=connection.id,
                mapping_id=None,
                run_id=None,
                code="key_refused",
                message="Refused <it>.",
            )
        text = await reply_to(bot, "Status", "open alert")
        assert "1 open alert, 1 approval waiting, 3 mappings." in text
        assert "*Shop*: Refused <it>." in text
        assert "*SpringShoppers* → List 1001 (https://app.iterable.com/lists) (Shop) · Active\nNot synced yet" in text
        assert "*Lapsed* → List 1002 (Shop) · New mapping\nProposed by @Maya Lindqvist" in text
        assert "*Fed* → no list yet (Shop) · Active\nLive: 0 changes today" in text
        assert InvalidApiKeyError.code not in text


async def test_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`history` shows the latest runs of a mapping with their numbers, and a button to run or retry each."""
    monkeypatch.setattr(publisher, "APART_S", 0.1)
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        assert "No syncs yet" in await reply_to(bot, "history", "No syncs")
        first, second = await bot.mapping(connection), await bot.mapping(connection, "Lapsed", list_id=1002)
        (tmp_path / "audience.csv").write_bytes(audience(people(range(1, 4))))
        request = RunRequest(path=str(tmp_path / "audience.csv"))
        run_id = await commands.start(bot.engine, first, request, by=MAYA, channel=MARKETING, team_id=TEAM)
        failed = await queue_run(
            bot.engine, connection, second, RunRequest(path=str(tmp_path / "none.csv")), started_by=MAYA
        )
        await bot.slack.marketer.open_home()
        home = bot.slack.marketer.user.home
        await bot.slack.wait_for(lambda: _both_ended(bot.slack.render(home)))
        await until(lambda: _is_posted(bot, run_id))  # Home may say "Done" before the run's message is posted

        text = await reply_to(bot, "history spring", "Latest sync of SpringShoppers")
        assert "*Done*\n3 added\n" in text
        assert f"by @Maya Lindqvist, run {run_id} (http" in text
        assert "Lapsed" not in text
        text = await reply_to(bot, "history", "Latest 2 syncs")
        assert text.index("Lapsed") < text.index("SpringShoppers")
        assert f"run {failed}" in text
        assert "\nnone.csv: there is no such file. Check the path.\n[Retry now]" in text


async def _is_posted(bot: Workspace, run_id: str) -> bool:
    return run_id in await bot.services.run_links(TEAM, [run_id])


def _both_ended(page: str) -> bool:
    return "Done, 3 added" in page and ": Failed" in page


def test_live_line() -> None:
    """The line of a live mapping shows today's changes by outcome, the backlog, and the changes that wait for
    approval."""
    status = LiveStatus(
        changes_today=1200,
        backlog=40,
        oldest_age_s=125.0,
        last_accepted_at=None,
        added=900,
        removed=200,
        rejected=3,
        waiting=7,
    )
    expected = (
        "Live: 1,200 changes today, 900 added, 200 removed, 50 without effect, 3 rejected, 40 on the way (for 2 min), "
        "7 waiting for approval"
    )
    assert live_line(status) == expected
