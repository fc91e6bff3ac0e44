"""An approver approves the plan that they see: a changed plan asks again, a large removal asks twice, an old one
expires."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.features.ids import ApprovalAction, ApprovalCallback, ConnectAction, ConnectBlock, ConnectCallback, RunAction
from core.models.run import Run, RunRequest, RunStatus
from core.runs import approval, commands
from core.store import mappings, runs
from core.store.mappings import AudienceMapping
from sandbox.slack.users.user_driver import Person
from sandbox.slack.workspace.models import Message, View
from tests.bot.slack.following import LONG, card, choose, ended, replies
from tests.bot.slack.harness import ADA, AMIR, MARKETING, MAYA, OKSANA, TEAM, Workspace, audience, workspace
from tests.core.harness import decide, people

DAY_S = 24 * 3600.0


async def start(bot: Workspace, mapping: AudienceMapping, path: Path, numbers: range, *, by: str = MAYA) -> str:
    """Start a run of a file with these people, and return the run's id."""
    await asyncio.to_thread(path.write_bytes, audience(people(numbers)))
    return await commands.start(bot.engine, mapping, RunRequest(path=str(path)), by=by, channel=MARKETING, team_id=TEAM)


async def wait_for_approval(bot: Workspace, run_id: str) -> Run:
    """Wait until a run needs approval, and return it."""
    async with asyncio.timeout(LONG):
        while (run := await bot.run(run_id)).status is not RunStatus.NEEDS_APPROVAL:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return run


async def wait_for_decision(bot: Workspace, run_id: str) -> Run:
    """Wait until a run has been decided and has ended, and return it."""
    async with asyncio.timeout(LONG):
        while (await bot.run(run_id)).status is RunStatus.NEEDS_APPROVAL:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return await ended(bot, run_id)


async def wait_for_card(bot: Workspace, run_id: str, says: str = "Approval needed") -> Message:
    """Wait until the message of a run contains a text, and return it."""

    def find() -> Message | None:
        cards = [(each, bot.slack.render(each)) for each in bot.slack.messages("marketing") if each.bot_id]
        return next((each for each, rendered in cards if f"run {run_id}" in rendered and says in rendered), None)

    return await bot.slack.wait_for(find, LONG, f"the message of run {run_id} with {says!r}")


async def review(person: Person, message: Message) -> View:
    """Press *Review*, and return the modal."""
    await person.click(message, ApprovalAction.REVIEW)
    return await person.open_view()


async def sync_people(bot: Workspace, directory: Path, numbers: range) -> AudienceMapping:
    """Sync these people, and return the mapping."""
    mapping = await bot.mapping(await bot.connection(approvers=(AMIR, ADA)))
    run_id = await start(bot, mapping, directory / "first.csv", numbers)
    assert (await ended(bot, run_id)).status is RunStatus.SUCCEEDED
    return mapping


async def test_second_card_shows_the_new_numbers(tmp_path: Path) -> None:
    """If one of two waiting runs is approved, the other's card asks again with new numbers, and its open review decides
    nothing."""
    async with workspace(tmp_path) as bot:
        mapping = await sync_people(bot, tmp_path, range(100, 500))
        older = await start(bot, mapping, tmp_path / "older.csv", range(100, 300))
        await wait_for_approval(bot, older)
        newer = await start(bot, mapping, tmp_path / "newer.csv", range(200, 210))
        await wait_for_approval(bot, newer)
        message = await wait_for_card(bot, newer, "−390")
        amir = bot.slack.approver
        old_review = await review(amir, message)
        assert "390" in bot.slack.render(old_review)
        await decide(bot.engine, older, by=ADA, team_id=TEAM)
        await ended(bot, older)
        await wait_for_card(bot, newer, "−190")
        assert "Changed since you looked" in bot.slack.render(message)
        await bot.slack.wait_for(
            lambda: any("changed since you looked" in each for each in replies(bot, message)), LONG
        )
        (again,) = [each for each in replies(bot, message) if "changed since you looked" in each]
        assert again.startswith("@Amir Haddad @Ada Nwosu: the plan changed")
        assert "390 to remove; now it is 190 to remove" in again

        await amir.click(old_review, ApprovalAction.APPROVE)
        await bot.slack.wait_for(lambda: "190" in bot.slack.render(amir.view), LONG)
        assert "Changed since you looked" in bot.slack.render(amir.view)
        assert (await bot.run(newer)).status is RunStatus.NEEDS_APPROVAL
        assert len(bot.emails()) == 200
        await amir.click(amir.view, ApprovalAction.APPROVE)
        assert (await wait_for_decision(bot, newer)).status is RunStatus.SUCCEEDED
        assert len(bot.emails()) == 10


async def test_stale_review_of_a_small_change(tmp_path: Path) -> None:
    """A review that shows an earlier plan does not approve the current one: the modal shows the current one."""
    async with workspace(tmp_path) as bot:
        message = await card(bot, tmp_path, people(range(3)))
        amir = bot.slack.approver
        await amir.click(message, ApprovalAction.REVIEW)
        view = await amir.open_view(ApprovalCallback.REVIEW)
        run = await bot.latest_run()
        async with bot.engine.database.write() as db:
            await db.execute(text("UPDATE runs SET plan_digest = 'another'"))
        await amir.submit(view)
        assert "Changed since you looked" in bot.slack.render(amir.view)
        assert (await bot.run(run.id)).status is RunStatus.NEEDS_APPROVAL
        assert not bot.emails()
        assert (await amir.submit(amir.view)).ok
        assert (await ended(bot, run.id)).status is RunStatus.SUCCEEDED


async def test_large_removal_asks_twice(tmp_path: Path) -> None:
    """A large removal has a warning, the size before and after, and a red button whose dialog repeats the number."""
    async with workspace(tmp_path) as bot:
        mapping = await sync_people(bot, tmp_path, range(200))
        run_id = await start(bot, mapping, tmp_path / "less.csv", range(80))
        message = await wait_for_card(bot, run_id)
        shown = bot.slack.render(message)
        assert "Large removal: 60 % of " in shown
        assert "200 → 80 people, −120" in shown
        view = await review(bot.slack.approver, message)
        assert view.source["submit"]["text"] == "Decline"
        (button,) = [
            element
            for block in view.blocks
            for element in block.get("elements", [])
            if element.get("action_id") == ApprovalAction.APPROVE
        ]
        assert button["style"] == "danger"
        assert "120 people" in button["text"]["text"]
        assert "120 people" in button["confirm"]["confirm"]["text"]
        await bot.slack.approver.click(view, ApprovalAction.APPROVE, confirm=False)
        assert (await bot.run(run_id)).status is RunStatus.NEEDS_APPROVAL
        await bot.slack.approver.fill(view, {"approval-comment": "They unsubscribed"})
        await bot.slack.approver.click(view, ApprovalAction.APPROVE)
        run = await wait_for_decision(bot, run_id)
        assert (run.status, run.comment) == (RunStatus.SUCCEEDED, "They unsubscribed")


async def test_harmless_sync_does_not_look_dangerous(tmp_path: Path) -> None:
    """A sync that removes no one has neither the warning nor the red button."""
    async with workspace(tmp_path) as bot:
        message = await card(bot, tmp_path, people(range(3)))
        assert "Large removal" not in bot.slack.render(message)
        view = await review(bot.slack.approver, message)
        assert view.source["submit"]["text"] == "Approve"
        assert '"danger"' not in str(view.source).replace("'", '"')


@pytest.mark.extended
async def test_expired_approval(tmp_path: Path) -> None:
    """An expired approval says so, has no buttons to decide, and *Plan again* starts a new one."""
    async with workspace(tmp_path) as bot:
        message = await card(bot, tmp_path, people(range(3)))
        run = await bot.latest_run()
        amir = bot.slack.approver
        await amir.click(message, ApprovalAction.REVIEW)
        view = await amir.open_view(ApprovalCallback.REVIEW)
        async with bot.engine.database.write() as db:
            await db.execute(text("UPDATE runs SET finished_at = finished_at - :wait"), {"wait": 3.1 * DAY_S})
        assert await approval.expire_waiting(bot.engine) == 1
        bot.services.wake()
        await wait_for_card(bot, run.id, "Expired")
        shown = bot.slack.render(message)
        assert "No one decided within 3 days" in shown
        assert "Declined" not in shown
        assert "[Review]" not in shown
        await amir.submit(view)
        assert "This approval has expired" in bot.slack.render(amir.view)
        await bot.slack.marketer.click(message, RunAction.AGAIN)
        again = await bot.slack.wait_for_message("marketing", "Approval needed", timeout=LONG)
        assert again.ts != message.ts
        assert (await bot.latest_run()).id != run.id


async def test_proposer_does_not_approve_with_a_run_of_another_person(tmp_path: Path) -> None:
    """The person who proposed a mapping can't approve it with a run that another person started."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection(approvers=(MAYA, AMIR)), active=False)
        run_id = await start(bot, mapping, tmp_path / "a.csv", range(3), by=OKSANA)
        message = await wait_for_card(bot, run_id)
        assert "Approvers: @Amir Haddad" in bot.slack.render(message)
        view = await review(bot.slack.marketer, message)
        assert "You proposed this mapping yourself" in bot.slack.render(view)
        assert (await bot.run(run_id)).status is RunStatus.NEEDS_APPROVAL
        async with bot.engine.database.write() as db:
            await mappings.change(db, mapping.id, status=mappings.MappingStatus.ACTIVE)
        await bot.slack.marketer.close(view)
        assert "Approval needed" in bot.slack.render(message)
        view = await review(bot.slack.marketer, message)
        assert "You proposed this mapping yourself" not in bot.slack.render(view)


async def test_waiting_source_is_older_than_the_synced_one(tmp_path: Path) -> None:
    """The card of a waiting run warns if a newer audience has been synced meanwhile."""
    async with workspace(tmp_path) as bot:
        mapping = await sync_people(bot, tmp_path, range(200))
        run_id = await start(bot, mapping, tmp_path / "less.csv", range(80))
        await wait_for_approval(bot, run_id)
        async with bot.engine.database.write() as db:  # like a run that only adds, which need not wait
            await db.execute(text("UPDATE runs SET source_at = source_at + 1000 WHERE status = 'succeeded'"))
        bot.services.wake()
        message = await wait_for_card(bot, run_id, "A newer audience was synced already")
        assert "Review" in bot.slack.render(message)


@pytest.mark.extended
async def test_old_message_does_not_roll_the_list_back(tmp_path: Path) -> None:
    """*Run again* of an older audience needs approval, names the newer run, and sends nothing."""
    async with workspace(tmp_path) as bot:
        mapping = await sync_people(bot, tmp_path, range(10))
        old = await bot.latest_run()
        new = await start(bot, mapping, tmp_path / "new.csv", range(2, 12))
        assert (await ended(bot, new)).status is RunStatus.SUCCEEDED
        message = await wait_for_card(bot, old.id, "Synced")
        await bot.slack.marketer.click(message, RunAction.AGAIN)
        again = await bot.slack.wait_for_message("marketing", "Approval needed", timeout=LONG)
        assert f"older than the audience that run {new} synced last" in bot.slack.render(again)
        assert "the list would go back to an earlier state" in bot.slack.render(again)
        assert bot.emails() == {f"p{number}@example.com" for number in range(2, 12)}


async def test_file_of_another_audience(tmp_path: Path) -> None:
    """The card warns if the file contains another audience than the mapping names."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection(), "Spring")
        path = tmp_path / "77_Winter_172136Nov292018.csv"
        rows = [f"{n},1543512096000,p{n}@example.com,email\n" for n in range(3)]
        content = "mpid,scanned_timestamp_ms,identity_value,identity_type\n" + "".join(rows)
        await asyncio.to_thread(path.write_text, content)
        run_id = await commands.start(
            bot.engine, mapping, RunRequest(path=str(path)), by=MAYA, channel=MARKETING, team_id=TEAM
        )
        shown = bot.slack.render(await wait_for_card(bot, run_id))
        assert "*The file is of another audience.*" in shown
        assert "77 (Winter)" in shown
        assert not bot.emails()


async def test_list_that_another_mapping_feeds(tmp_path: Path) -> None:
    """The card says if another mapping already feeds the list."""
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        await bot.mapping(connection, "Winter")
        mapping = await bot.mapping(connection, active=False)
        run_id = await start(bot, mapping, tmp_path / "a.csv", range(3))
        assert "*This list is also fed by* Winter" in bot.slack.render(await wait_for_card(bot, run_id))


async def test_previous_approvers_are_notified(tmp_path: Path) -> None:
    """If an admin replaces the approver, the previous one and the alert channel get a message."""
    async with workspace(tmp_path) as bot:
        await bot.connection()
        ada = bot.slack.admin
        home = await ada.open_home()
        await choose(ada, home, ConnectAction.EDIT)
        form = await ada.open_view(ConnectCallback.EDIT)
        await ada.fill(form, {ConnectBlock.APPROVERS: [ADA]})
        await ada.submit(form)
        notice = "@Ada Nwosu changed who approves syncs of Shop: @Ada Nwosu now. Before: @Amir Haddad."
        await bot.slack.wait_for_message("sync-alerts", notice, timeout=LONG)
        amir = bot.slack.approver
        await bot.slack.wait_for(
            lambda: any(notice in bot.slack.render(each) for each in amir.messages(amir.direct_message)), LONG
        )
        assert not any(notice in bot.slack.render(each) for each in ada.messages(ada.direct_message))


@pytest.mark.extended
async def test_approval_while_the_run_is_cancelled(tmp_path: Path) -> None:
    """A run that is cancelled while its review is open ends, either cancelled or synced in full."""
    async with workspace(tmp_path) as bot:
        message = await card(bot, tmp_path, people(range(3)))
        run = await bot.latest_run()
        amir = bot.slack.approver
        view = await review(amir, message)
        await asyncio.gather(
            amir.submit(view), commands.cancel(bot.engine, run.id, by=OKSANA, team_id=TEAM), return_exceptions=True
        )
        final = await ended(bot, run.id)
        async with bot.engine.database.read() as db:
            assert await runs.by_id(db, run.id) is not None
        assert final.status in (RunStatus.CANCELLED, RunStatus.SUCCEEDED)
        assert len(bot.emails()) in (0, 3)
