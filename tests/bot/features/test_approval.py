"""Deciding on runs that wait: who may, once, and how it is shown."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bot.features.ids import ApprovalAction, ApprovalCallback
from core.models.run import RunStatus
from core.store import audit_log, connections
from sandbox.slack.users.user_driver import Person
from sandbox.slack.workspace.models import Message, View
from tests.bot.slack.following import LONG, card, ended, replies, start, top
from tests.bot.slack.harness import ADA, AMIR, BRISK, MAYA, Workspace, workspace
from tests.core.harness import people, person

DAY_S = 24 * 3600.0


async def review(who: Person, message: Message) -> View:
    """Open the modal in which a run is approved."""
    await who.click(message, ApprovalAction.REVIEW)
    return await who.open_view(ApprovalCallback.REVIEW)


async def run_of(here: Workspace) -> str:
    """The id of the only run."""
    return (await here.latest_run()).id


async def test_card_says_what_would_change_and_calls_who_may_decide(tmp_path: Path) -> None:
    """A run that waits is a card with its numbers, its guards and a warning; its thread calls the approvers."""
    async with workspace(tmp_path) as here:
        message = await card(here, tmp_path, [*people(range(3)), person(9, email=None)])
        shown = here.slack.render(message)
        assert "3 to add, 0 to update, 0 to remove. Nothing has been sent yet." in shown
        assert "No one has approved yet that audience SpringShoppers is synced to list 1001." in shown
        assert "Joining or leaving a list can start journeys" in shown
        assert "The profile has no email address." in shown
        assert "Can be decided by @Amir Haddad" in shown
        await here.slack.wait_for(lambda: replies(here, message), LONG)
        assert replies(here, message) == ["@Amir Haddad: please review this sync."]
        assert not here.emails()


async def test_mass_removal_says_what_share_would_go(tmp_path: Path) -> None:
    """A run that would take many off the list says which share of those who were synced before."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection())
        await ended(here, await start(here, tmp_path, mapping, people(range(200))))
        await start(here, tmp_path, mapping, people(range(100)))
        message = await here.slack.wait_for_message("marketing", "To approve", timeout=LONG)
        assert "100 (50 % of the 200 that were synced before)" in here.slack.render(message)
        await here.slack.approver.click(message, ApprovalAction.REVIEW)
        view = await here.slack.approver.open_view(ApprovalCallback.DECLINE)
        assert "*Would be removed, for example*\n• p***@example.com" in here.slack.render(view)


async def test_approver_reviews_and_approves(tmp_path: Path) -> None:
    """*Review* shows a few masked members; *Approve* starts the run, and the message says who decided, in which
    words, from then on."""
    async with workspace(tmp_path) as here:
        message = await card(here, tmp_path, [*people(range(3)), person(9, email=None)])
        amir = here.slack.approver
        view = await review(amir, message)
        shown = here.slack.render(view)
        assert "*Would be added, for example*\n• p***@example.com" in shown
        assert "p1@example.com" not in shown
        await amir.fill(view, {"approval-comment": "Fine <!channel> & go"})
        assert (await amir.submit(view)).ok
        assert not amir.views
        await here.slack.wait_for(lambda: "Synced" in here.slack.render(message), LONG)
        assert "Approved by @Amir Haddad" in here.slack.render(message)
        assert "“Fine <!channel> & go”" in here.slack.render(message)
        assert "<!channel>" not in str(message.blocks)
        assert "@Amir Haddad approved this sync: “Fine <!channel> & go”" in replies(here, message)
        assert len(here.emails()) == 3


async def test_two_at_once_decide_once(tmp_path: Path) -> None:
    """Of two approvers who decide at the same time one does, and the other is told who did."""
    async with workspace(tmp_path) as here:
        message = await card(here, tmp_path, people(range(3)), approvers=(AMIR, ADA))
        amir, ada = here.slack.approver, here.slack.admin
        views = [await review(amir, message), await review(ada, message)]
        await asyncio.gather(amir.submit(views[0]), ada.submit(views[1]))
        assert (await ended(here, await run_of(here))).status is RunStatus.SUCCEEDED
        (late,) = [each for each in (amir, ada) if each.views]
        (first,) = [each for each in (amir, ada) if not each.views]
        assert f"@{first.user.real_name} approved this" in here.slack.render(late.view)
        async with here.engine.database.read() as db:
            entries = await audit_log.of(db, [f"run:{await run_of(here)}"])
        assert [each.actor for each in entries if each.action is audit_log.AuditAction.RUN_APPROVED] == [first.id]


async def test_who_comes_late_is_told_who_decided(tmp_path: Path) -> None:
    """Somebody who wants to approve what was declined meanwhile is told so, and nothing is sent."""
    async with workspace(tmp_path) as here:
        message = await card(here, tmp_path, people(range(3)), approvers=(AMIR, ADA))
        amir, ada = here.slack.approver, here.slack.admin
        late = await review(amir, message)
        await ada.click(message, ApprovalAction.DECLINE)
        view = await ada.open_view(ApprovalCallback.DECLINE)
        await ada.fill(view, {"approval-comment": "Not before Monday"})
        await ada.submit(view)
        await amir.submit(late)
        assert "@Ada Nwosu declined this" in here.slack.render(amir.view)
        await here.slack.wait_for(lambda: "Declined: " in here.slack.render(message), LONG)
        shown = here.slack.render(message)
        assert "Declined by @Ada Nwosu" in shown
        assert "“Not before Monday”" in shown
        assert "[Review]" not in shown
        assert (await here.run(await run_of(here))).status is RunStatus.CANCELLED
        assert not here.emails()


async def test_only_approvers_decide(tmp_path: Path) -> None:
    """Somebody who is no approver is told who is, at *Review* and at *Decline*."""
    async with workspace(tmp_path) as here:
        message = await card(here, tmp_path, people(range(3)))
        oksana = here.slack.operator
        for action in (ApprovalAction.REVIEW, ApprovalAction.DECLINE):
            await oksana.click(message, action)
            view = await oksana.open_view()
            assert "Only an approver of Shop can decide this: @Amir Haddad." in here.slack.render(view)
            assert "submit" not in view.source or view.source["submit"] is None
            await oksana.close(view)


async def test_rights_are_asked_for_again_at_the_end(tmp_path: Path) -> None:
    """An approver who ceases to be one while the modal is open does not approve."""
    async with workspace(tmp_path) as here:
        message = await card(here, tmp_path, people(range(3)))
        amir = here.slack.approver
        view = await review(amir, message)
        await here_approvers(here, (ADA,))
        await amir.submit(view)
        assert "Only an approver of Shop can decide this" in here.slack.render(amir.view)
        assert (await here.run(await run_of(here))).status is RunStatus.NEEDS_APPROVAL


async def here_approvers(here: Workspace, approvers: tuple[str, ...]) -> None:
    """Name other approvers."""
    run = await here.latest_run()
    async with here.engine.database.write() as db:
        await connections.change(db, run.connection_id, approvers=approvers)


async def test_own_runs_are_approved_where_that_is_allowed(tmp_path: Path) -> None:
    """Who asked for a run approves it only where the connection allows that."""
    async with workspace(tmp_path) as here:
        message = await card(here, tmp_path, people(range(3)), approvers=(MAYA, AMIR))
        maya = here.slack.marketer
        await maya.click(message, ApprovalAction.REVIEW)
        view = await maya.open_view()
        assert "You asked for this yourself, so another approver has to decide it." in here.slack.render(view)
        assert "Can be decided by @Amir Haddad" in here.slack.render(message)
    async with workspace(tmp_path / "allowed") as here:
        message = await card(here, tmp_path / "allowed", people(range(3)), approvers=(MAYA,), self_approval=True)
        maya = here.slack.marketer
        assert (await maya.submit(await review(maya, message))).ok
        await here.slack.wait_for(lambda: "Synced" in here.slack.render(message), LONG)


async def test_an_approval_that_waits_is_reminded_of_once_a_day(tmp_path: Path) -> None:
    """Each day that a run waits, its thread calls the approvers once, also after a restart."""
    days = [0.0]

    def clock() -> float:
        return time.time() + days[0] * DAY_S

    async with workspace(tmp_path, pace=replace(BRISK, clock=clock)) as here:
        message = await card(here, tmp_path, people(range(3)))
        reminded = _reminders(here, message)
        days[0] = 1.1
        await here.slack.wait_for(lambda: len(reminded()) == 1, LONG)
        assert reminded()[0].startswith("@Amir Haddad: this sync still waits for approval, since ")
        days[0] = 1.9
        here.services.wake()
        days[0] = 3.2  # two days were missed, and one reminder is enough
        await here.slack.wait_for(lambda: len(reminded()) == 2, LONG)
        async with here.engine.database.read() as db:
            entries = await audit_log.of(db, [f"run:{await run_of(here)}"])
        said = [each.after for each in entries if each.action is audit_log.AuditAction.RUN_REMINDED]
        assert said == [{"day": 1}, {"day": 3}]
        assert len(top(here)) == 1


def _reminders(here: Workspace, message: Message) -> Callable[[], list[str]]:
    return lambda: [each for each in replies(here, message) if "still waits" in each]
