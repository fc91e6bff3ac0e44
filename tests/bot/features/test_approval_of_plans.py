"""An approver approves the plan that they see: changed plans ask again, large removals ask twice, old ones expire."""

import asyncio
from pathlib import Path

from sqlalchemy import text

from bot.features.ids import ApprovalAction, ApprovalCallback, ConnectAction, ConnectBlock, ConnectCallback, RunAction
from core.models.run import Run, RunRequest, RunStatus
from core.runs import approval, commands
from core.store import mappings, runs
from core.store.mappings import AudienceMapping
from sandbox.slack.users.user_driver import Person
from sandbox.slack.workspace.models import Message, View
from tests.bot.slack.following import LONG, card, ended, replies
from tests.bot.slack.harness import ADA, AMIR, MARKETING, MAYA, OKSANA, TEAM, Workspace, audience, workspace
from tests.core.harness import decide, people

DAY_S = 24 * 3600.0


async def start(here: Workspace, mapping: AudienceMapping, path: Path, numbers: range, *, by: str = MAYA) -> str:
    """Start a run of a file of its own."""
    await asyncio.to_thread(path.write_bytes, audience(people(numbers)))
    return await commands.start(
        here.engine, mapping, RunRequest(path=str(path)), by=by, channel=MARKETING, team_id=TEAM
    )


async def waits(here: Workspace, run_id: str) -> Run:
    """A run, once it waits for approval."""
    async with asyncio.timeout(LONG):
        while (run := await here.run(run_id)).status is not RunStatus.NEEDS_APPROVAL:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return run


async def decided(here: Workspace, run_id: str) -> Run:
    """A run, once it was decided about and has ended."""
    async with asyncio.timeout(LONG):
        while (await here.run(run_id)).status is RunStatus.NEEDS_APPROVAL:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return await ended(here, run_id)


async def card_of(here: Workspace, run_id: str, says: str = "To approve") -> Message:
    """The message of a run, once it says this."""

    def found() -> Message | None:
        shown = [(each, here.slack.render(each)) for each in here.slack.messages("marketing") if each.bot_id]
        return next((each for each, said in shown if f"run {run_id}" in said and says in said), None)

    return await here.slack.wait_for(found, LONG, f"the message of run {run_id} with {says!r}")


async def review(who: Person, message: Message) -> View:
    """Press *Review*, and return the modal, whatever it submits."""
    await who.click(message, ApprovalAction.REVIEW)
    return await who.open_view()


async def synced(here: Workspace, directory: Path, numbers: range) -> AudienceMapping:
    """A mapping with these people on its list."""
    mapping = await here.mapping(await here.connection(approvers=(AMIR, ADA)))
    run_id = await start(here, mapping, directory / "first.csv", numbers)
    assert (await ended(here, run_id)).status is RunStatus.SUCCEEDED
    return mapping


async def test_second_card_shows_the_new_numbers(tmp_path: Path) -> None:
    """Of two files that wait the older is approved: the other's card asks again, and its old review decides nothing."""
    async with workspace(tmp_path) as here:
        mapping = await synced(here, tmp_path, range(100, 500))
        older = await start(here, mapping, tmp_path / "older.csv", range(100, 300))
        await waits(here, older)
        newer = await start(here, mapping, tmp_path / "newer.csv", range(200, 210))
        await waits(here, newer)
        message = await card_of(here, newer, "390 to remove")
        amir = here.slack.approver
        old_review = await review(amir, message)
        assert "390" in here.slack.render(old_review)
        await decide(here.engine, older, by=ADA, team_id=TEAM)
        await ended(here, older)
        await card_of(here, newer, "190 to remove")
        assert "Changed since you looked" in here.slack.render(message)
        await here.slack.wait_for(
            lambda: any("changed since you looked" in each for each in replies(here, message)), LONG
        )
        (again,) = [each for each in replies(here, message) if "changed since you looked" in each]
        assert again.startswith("@Amir Haddad @Ada Nwosu: the plan changed")
        assert "390 to remove; now it is 0 to add, 0 to update, 190 to remove" in again

        await amir.click(old_review, ApprovalAction.APPROVE)
        await here.slack.wait_for(lambda: "190" in here.slack.render(amir.view), LONG)
        assert "Changed since you looked" in here.slack.render(amir.view)
        assert (await here.run(newer)).status is RunStatus.NEEDS_APPROVAL
        assert len(here.emails()) == 200
        await amir.click(amir.view, ApprovalAction.APPROVE)
        assert (await decided(here, newer)).status is RunStatus.SUCCEEDED
        assert len(here.emails()) == 10


async def test_stale_review_of_a_small_change(tmp_path: Path) -> None:
    """A modal that shows an earlier plan does not approve the one that is there now: it shows that one."""
    async with workspace(tmp_path) as here:
        message = await card(here, tmp_path, people(range(3)))
        amir = here.slack.approver
        await amir.click(message, ApprovalAction.REVIEW)
        view = await amir.open_view(ApprovalCallback.REVIEW)
        run = await here.latest_run()
        async with here.engine.database.write() as db:
            await db.execute(text("UPDATE runs SET plan_digest = 'another'"))
        await amir.submit(view)
        assert "Changed since you looked" in here.slack.render(amir.view)
        assert (await here.run(run.id)).status is RunStatus.NEEDS_APPROVAL
        assert not here.emails()
        assert (await amir.submit(amir.view)).ok
        assert (await ended(here, run.id)).status is RunStatus.SUCCEEDED


async def test_large_removal_asks_twice(tmp_path: Path) -> None:
    """A large removal has a warning, the size before and after, and a red button whose dialog repeats the number."""
    async with workspace(tmp_path) as here:
        mapping = await synced(here, tmp_path, range(200))
        run_id = await start(here, mapping, tmp_path / "less.csv", range(80))
        message = await card_of(here, run_id)
        shown = here.slack.render(message)
        assert "Large removal: 60 % of " in shown
        assert "200 → 80 people (−120)" in shown
        view = await review(here.slack.approver, message)
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
        await here.slack.approver.click(view, ApprovalAction.APPROVE, confirm=False)
        assert (await here.run(run_id)).status is RunStatus.NEEDS_APPROVAL
        await here.slack.approver.fill(view, {"approval-comment": "They unsubscribed"})
        await here.slack.approver.click(view, ApprovalAction.APPROVE)
        run = await decided(here, run_id)
        assert (run.status, run.comment) == (RunStatus.SUCCEEDED, "They unsubscribed")


async def test_harmless_sync_does_not_look_dangerous(tmp_path: Path) -> None:
    """A sync that removes no one has neither the warning nor the red button."""
    async with workspace(tmp_path) as here:
        message = await card(here, tmp_path, people(range(3)))
        assert "Large removal" not in here.slack.render(message)
        view = await review(here.slack.approver, message)
        assert view.source["submit"]["text"] == "Approve"
        assert '"danger"' not in str(view.source).replace("'", '"')


async def test_expired_approval(tmp_path: Path) -> None:
    """An approval that has expired says so, has no buttons to decide, and *Plan again* asks once more."""
    async with workspace(tmp_path) as here:
        message = await card(here, tmp_path, people(range(3)))
        run = await here.latest_run()
        amir = here.slack.approver
        await amir.click(message, ApprovalAction.REVIEW)
        view = await amir.open_view(ApprovalCallback.REVIEW)
        async with here.engine.database.write() as db:
            await db.execute(text("UPDATE runs SET finished_at = finished_at - :wait"), {"wait": 3.1 * DAY_S})
        assert await approval.expire_waiting(here.engine) == 1
        here.services.wake()
        await card_of(here, run.id, "Expired")
        shown = here.slack.render(message)
        assert "No one decided within 3 days" in shown
        assert "Declined" not in shown
        assert "[Review]" not in shown
        await amir.submit(view)
        assert "This approval has expired" in here.slack.render(amir.view)
        await here.slack.marketer.click(message, RunAction.AGAIN)
        again = await here.slack.wait_for_message("marketing", "To approve", timeout=LONG)
        assert again.ts != message.ts
        assert (await here.latest_run()).id != run.id


async def test_proposer_does_not_approve_through_another_s_run(tmp_path: Path) -> None:
    """Who proposed a mapping can't approve it with a run that another person started."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection(approvers=(MAYA, AMIR)), active=False)
        run_id = await start(here, mapping, tmp_path / "a.csv", range(3), by=OKSANA)
        message = await card_of(here, run_id)
        assert "Can be decided by @Amir Haddad" in here.slack.render(message)
        view = await review(here.slack.marketer, message)
        assert "You proposed this mapping yourself" in here.slack.render(view)
        assert (await here.run(run_id)).status is RunStatus.NEEDS_APPROVAL
        async with here.engine.database.write() as db:
            await mappings.change(db, mapping.id, status=mappings.MappingStatus.ACTIVE)
        await here.slack.marketer.close(view)
        assert "To approve" in here.slack.render(message)
        view = await review(here.slack.marketer, message)
        assert "You proposed this mapping yourself" not in here.slack.render(view)


async def test_waiting_source_is_older_than_the_synced_one(tmp_path: Path) -> None:
    """A run that waits while a newer audience is synced says so: approving it would take the list back."""
    async with workspace(tmp_path) as here:
        mapping = await synced(here, tmp_path, range(200))
        run_id = await start(here, mapping, tmp_path / "less.csv", range(80))
        await waits(here, run_id)
        async with here.engine.database.write() as db:  # as a run does that adds, and waits for none that removes
            await db.execute(text("UPDATE runs SET source_at = source_at + 1000 WHERE status = 'succeeded'"))
        here.services.wake()
        message = await card_of(here, run_id, "A newer audience was synced meanwhile")
        assert "Review" in here.slack.render(message)


async def test_old_message_does_not_roll_the_list_back(tmp_path: Path) -> None:
    """*Run again* on the message of an older audience asks, and says what it is older than; nothing is sent."""
    async with workspace(tmp_path) as here:
        mapping = await synced(here, tmp_path, range(10))
        old = await here.latest_run()
        new = await start(here, mapping, tmp_path / "new.csv", range(2, 12))
        assert (await ended(here, new)).status is RunStatus.SUCCEEDED
        message = await card_of(here, old.id, "Synced")
        await here.slack.marketer.click(message, RunAction.AGAIN)
        again = await here.slack.wait_for_message("marketing", "To approve", timeout=LONG)
        assert f"older than the audience that run {new} synced last" in here.slack.render(again)
        assert "the list would go back to an earlier state" in here.slack.render(again)
        assert here.emails() == {f"p{number}@example.com" for number in range(2, 12)}


async def test_file_of_another_audience(tmp_path: Path) -> None:
    """The card warns if the file is of another audience than the mapping names."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection(), "Spring")
        path = tmp_path / "77_Winter_172136Nov292018.csv"
        rows = [f"{n},1543512096000,p{n}@example.com,email\n" for n in range(3)]
        content = "mpid,scanned_timestamp_ms,identity_value,identity_type\n" + "".join(rows)
        await asyncio.to_thread(path.write_text, content)
        run_id = await commands.start(
            here.engine, mapping, RunRequest(path=str(path)), by=MAYA, channel=MARKETING, team_id=TEAM
        )
        shown = here.slack.render(await card_of(here, run_id))
        assert "*The file is of another audience.*" in shown
        assert "77 (Winter)" in shown
        assert not here.emails()


async def test_list_that_another_mapping_feeds(tmp_path: Path) -> None:
    """The card says if another mapping feeds the list already."""
    async with workspace(tmp_path) as here:
        connection = await here.connection()
        await here.mapping(connection, "Winter")
        mapping = await here.mapping(connection, active=False)
        run_id = await start(here, mapping, tmp_path / "a.csv", range(3))
        assert "*This list is also fed by* Winter" in here.slack.render(await card_of(here, run_id))


async def test_previous_approvers_learn_of_new_ones(tmp_path: Path) -> None:
    """If an admin makes themselves the approver, the previous one and the alert channel are notified."""
    async with workspace(tmp_path) as here:
        await here.connection()
        ada = here.slack.admin
        home = await ada.open_home()
        await ada.click(home, ConnectAction.EDIT)
        form = await ada.open_view(ConnectCallback.EDIT)
        await ada.fill(form, {ConnectBlock.APPROVERS: [ADA]})
        await ada.submit(form)
        said = "@Ada Nwosu changed who approves syncs of Shop: @Ada Nwosu now. Before: @Amir Haddad."
        await here.slack.wait_for_message("sync-alerts", said, timeout=LONG)
        amir = here.slack.approver
        await here.slack.wait_for(
            lambda: any(said in here.slack.render(each) for each in amir.messages(amir.direct_message)), LONG
        )
        assert not any(said in here.slack.render(each) for each in ada.messages(ada.direct_message))


async def test_approval_while_the_run_is_cancelled(tmp_path: Path) -> None:
    """A run that is cancelled while its review is open is not approved by it."""
    async with workspace(tmp_path) as here:
        message = await card(here, tmp_path, people(range(3)))
        run = await here.latest_run()
        amir = here.slack.approver
        view = await review(amir, message)
        await asyncio.gather(
            amir.submit(view), commands.cancel(here.engine, run.id, by=OKSANA, team_id=TEAM), return_exceptions=True
        )
        final = await ended(here, run.id)
        async with here.engine.database.read() as db:
            assert await runs.by_id(db, run.id) is not None
        assert final.status in (RunStatus.CANCELLED, RunStatus.SUCCEEDED)
        assert len(here.emails()) in (0, 3)
