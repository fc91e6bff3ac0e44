"""Decisions about runs that wait for approval: who may decide, that one decision counts, and how Slack shows it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.features.ids import ApprovalAction, ApprovalCallback
from core.models.run import RunRequest, RunStatus
from core.runs import commands
from core.store import audit_log, connections
from sandbox.mparticle import Audience, Profile
from sandbox.mparticle.exports import write_bucket_export
from sandbox.slack.users.user_driver import Person
from sandbox.slack.workspace.models import Message, View
from tests.bot.slack.following import LONG, card, ended, replies, start, top
from tests.bot.slack.harness import ADA, AMIR, MARKETING, MAYA, TEAM, Workspace, workspace
from tests.clocks import set_database_clock, set_process_clock
from tests.core.harness import people, person

DAY_S = 24 * 3600.0


async def review(person: Person, message: Message) -> View:
    """Open the modal in which an approver reviews a run."""
    await person.click(message, ApprovalAction.REVIEW)
    return await person.open_view(ApprovalCallback.REVIEW)


async def run_id_of(bot: Workspace) -> str:
    """Return the id of the only run."""
    return (await bot.latest_run()).id


async def test_card_shows_the_changes_and_mentions_the_approvers(tmp_path: Path) -> None:
    """The card of a waiting run shows its numbers, guards and a warning, and its thread mentions the approvers."""
    async with workspace(tmp_path) as bot:
        message = await card(bot, tmp_path, [*people(range(3)), person(9, email=None)])
        shown = bot.slack.render(message)
        assert "*Approval needed: SpringShoppers → List 1001*\n0 → 3 people, +3\n" in shown
        assert "First sync of SpringShoppers to List 1001." in shown
        assert "1 person can't be synced: 1 without an email address." in shown
        assert "Estimated time: under a minute" in shown
        assert "Approvers: @Amir Haddad" in shown
        assert len(shown.splitlines()) <= 10
        await bot.slack.wait_for(lambda: replies(bot, message), LONG)
        assert replies(bot, message) == ["@Amir Haddad: please review this sync."]
        assert not bot.emails()
        oksana = bot.slack.operator
        await oksana.click(message, ApprovalAction.DETAILS)
        details = bot.slack.render(await oksana.open_view())
        assert "may trigger Iterable journeys" in details
        assert "No email address." in details


@pytest.mark.extended
async def test_mass_removal_shows_the_share(tmp_path: Path) -> None:
    """The card of a mass removal shows the share of the synced members that would be removed."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        await ended(bot, await start(bot, tmp_path, mapping, people(range(200))))
        await start(bot, tmp_path, mapping, people(range(100)))
        message = await bot.slack.wait_for_message("marketing", "Approval needed", timeout=LONG)
        assert "Large removal: 50 % of List 1001" in bot.slack.render(message)
        await bot.slack.approver.click(message, ApprovalAction.REVIEW)
        view = await bot.slack.approver.open_view(ApprovalCallback.DECLINE)
        assert "100 (50 % of the 200 synced before)" in bot.slack.render(view)
        assert "*Would be removed - examples*\n• p***@example.com" in bot.slack.render(view)


async def test_approver_reviews_and_approves(tmp_path: Path) -> None:
    """*Review* shows a few masked members, *Approve* starts the run, and the message then shows the approver and the
    comment."""
    async with workspace(tmp_path) as bot:
        message = await card(bot, tmp_path, [*people(range(3)), person(9, email=None)])
        amir = bot.slack.approver
        view = await review(amir, message)
        shown = bot.slack.render(view)
        assert "*Would be added - examples*\n• p***@example.com" in shown
        assert "p1@example.com" not in shown
        await amir.fill(view, {"approval-comment": "Fine <!channel> & go"})
        assert (await amir.submit(view)).ok
        assert not amir.views
        await bot.slack.wait_for(lambda: "Synced" in bot.slack.render(message), LONG)
        assert "Approved by @Amir Haddad" in bot.slack.render(message)
        assert "“Fine <!channel> & go”" in bot.slack.render(message)
        assert "<!channel>" not in str(message.blocks)
        await bot.slack.wait_for(
            lambda: "@Amir Haddad approved this sync: “Fine <!channel> & go”" in replies(bot, message), LONG
        )
        assert len(bot.emails()) == 3


@pytest.mark.extended
async def test_two_at_once_decide_once(tmp_path: Path) -> None:
    """If two approvers decide at the same time, one decision counts, and the other approver sees who made it."""
    async with workspace(tmp_path) as bot:
        message = await card(bot, tmp_path, people(range(3)), approvers=(AMIR, ADA))
        amir, ada = bot.slack.approver, bot.slack.admin
        views = [await review(amir, message), await review(ada, message)]
        await asyncio.gather(amir.submit(views[0]), ada.submit(views[1]))
        assert (await ended(bot, await run_id_of(bot))).status is RunStatus.SUCCEEDED
        (late,) = [each for each in (amir, ada) if each.views]
        (first,) = [each for each in (amir, ada) if not each.views]
        assert f"@{first.user.real_name} approved this" in bot.slack.render(late.view)
        async with bot.engine.database.read() as db:
            entries = await audit_log.of(db, [f"run:{await run_id_of(bot)}"])
        assert [each.actor for each in entries if each.action is audit_log.AuditAction.RUN_APPROVED] == [first.id]


@pytest.mark.extended
async def test_late_approval_shows_the_earlier_decision(tmp_path: Path) -> None:
    """An approver of a run that another one has declined sees that decision, and nothing is sent."""
    async with workspace(tmp_path) as bot:
        message = await card(bot, tmp_path, people(range(3)), approvers=(AMIR, ADA))
        amir, ada = bot.slack.approver, bot.slack.admin
        late = await review(amir, message)
        view = await review(ada, message)
        await ada.fill(view, {"approval-comment": "Not before Monday"})
        await ada.click(view, ApprovalAction.DECLINE_HERE)
        await bot.slack.wait_for(lambda: "Declined: " in bot.slack.render(message), LONG)
        await amir.submit(late)
        assert "@Ada Nwosu declined this" in bot.slack.render(amir.view)
        shown = bot.slack.render(message)
        assert "Declined by @Ada Nwosu" in shown
        assert "“Not before Monday”" in shown
        mention = "@Maya Lindqvist, @Ada Nwosu declined this sync: “Not before Monday”"
        await bot.slack.wait_for(lambda: mention in replies(bot, message), LONG)
        assert "[Review]" not in shown
        assert (await bot.run(await run_id_of(bot))).status is RunStatus.CANCELLED
        assert not bot.emails()


async def test_only_approvers_decide(tmp_path: Path) -> None:
    """A person who is not an approver sees who may decide, at *Review* and at *Decline*."""
    async with workspace(tmp_path) as bot:
        message = await card(bot, tmp_path, people(range(3)))
        oksana = bot.slack.operator
        for action in (ApprovalAction.REVIEW, ApprovalAction.DECLINE):
            await oksana.click(message, action)
            view = await oksana.open_view()
            assert "Only an approver of Shop can decide this: @Amir Haddad." in bot.slack.render(view)
            assert "submit" not in view.source or view.source["submit"] is None
            await oksana.close(view)


async def test_rights_are_checked_again_at_submission(tmp_path: Path) -> None:
    """A person who is no longer an approver when they submit the modal does not approve."""
    async with workspace(tmp_path) as bot:
        message = await card(bot, tmp_path, people(range(3)))
        amir = bot.slack.approver
        view = await review(amir, message)
        await change_approvers(bot, (ADA,))
        await amir.submit(view)
        assert "Only an approver of Shop can decide this" in bot.slack.render(amir.view)
        assert (await bot.run(await run_id_of(bot))).status is RunStatus.NEEDS_APPROVAL


async def change_approvers(bot: Workspace, approvers: tuple[str, ...]) -> None:
    """Replace the approvers of the latest run's connection."""
    run = await bot.latest_run()
    async with bot.engine.database.write() as db:
        await connections.change(db, run.connection_id, approvers=approvers)


async def test_self_approval_needs_the_setting(tmp_path: Path) -> None:
    """A person approves a run that they started only if the connection allows it."""
    async with workspace(tmp_path) as bot:
        message = await card(bot, tmp_path, people(range(3)), approvers=(MAYA, AMIR))
        maya = bot.slack.marketer
        await maya.click(message, ApprovalAction.REVIEW)
        view = await maya.open_view()
        assert "You asked for this yourself, so another approver has to decide it." in bot.slack.render(view)
        assert "Approvers: @Amir Haddad" in bot.slack.render(message)
    async with workspace(tmp_path / "allowed") as bot:
        message = await card(bot, tmp_path / "allowed", people(range(3)), approvers=(MAYA,), self_approval=True)
        maya = bot.slack.marketer
        assert (await maya.submit(await review(maya, message))).ok
        await bot.slack.wait_for(lambda: "Synced" in bot.slack.render(message), LONG)


@pytest.mark.extended
async def test_approvers_get_one_reminder_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread of a waiting run mentions the approvers once a day, by the database's clock."""
    async with workspace(tmp_path) as bot:
        message = await card(bot, tmp_path, people(range(3)))
        reminded = _reminders(bot, message)
        set_process_clock(monkeypatch, 9 * DAY_S)
        database = bot.engine.database
        await set_database_clock(database, monkeypatch, by=1.1 * DAY_S)
        bot.services.wake()
        await bot.slack.wait_for(lambda: len(reminded()) == 1, LONG)
        assert reminded()[0].startswith("@Amir Haddad: this sync still waits for approval, since ")
        await set_database_clock(database, monkeypatch, by=1.9 * DAY_S)
        bot.services.wake()
        # two days were missed: one reminder for both
        await set_database_clock(database, monkeypatch, by=3.2 * DAY_S)
        bot.services.wake()
        await bot.slack.wait_for(lambda: len(reminded()) == 2, LONG)
        async with bot.engine.database.read() as db:
            entries = await audit_log.of(db, [f"run:{await run_id_of(bot)}"])
        days_recorded = [each.after for each in entries if each.action is audit_log.AuditAction.RUN_REMINDED]
        assert days_recorded == [{"day": 1}, {"day": 3}]
        assert len(top(bot)) == 1


def _reminders(bot: Workspace, message: Message) -> Callable[[], list[str]]:
    return lambda: [each for each in replies(bot, message) if "still waits" in each]


async def test_export_without_removals_is_said_on_the_card(tmp_path: Path) -> None:
    """A bucket export that holds no removals is a warning on the card and in the modal, in words for a marketer."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection(), active=False)
        changes = [("add", Profile(1, "p1@example.com"), 1_750_000_000_000)]
        path = write_bucket_export(tmp_path, Audience(8754, "SpringShoppers"), changes)
        request = RunRequest(path=str(path))
        await commands.start(bot.engine, mapping, request, by=MAYA, channel=MARKETING, team_id=TEAM)
        bot.services.wake()
        message = await bot.slack.wait_for_message("marketing", "Approval needed", timeout=LONG)
        warning = "*People who leave may stay on the list.* mParticle leaves removals out of this output unless"
        assert bot.slack.render(message).count("mParticle leaves removals out of this output unless") == 1
        assert warning in bot.slack.render(message)
        assert warning in bot.slack.render(await review(bot.slack.approver, message))
