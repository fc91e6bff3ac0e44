"""Mapping an audience to a list from Slack: proposed, reviewed, paused and resumed."""

import copy
from pathlib import Path

from bot.features.ids import MappingAction, MappingBlock, MappingCallback
from core.models.run import GuardName, Run, RunStatus
from core.runs import commands
from core.store import audit_log, mappings
from core.store.connections import Connection
from core.store.mappings import NO_LIST, AudienceMapping, MappingStatus, RemovalPolicy
from sandbox.iterable import Fault
from sandbox.slack.users.user_driver import Person
from sandbox.slack.workspace.models import Message, View
from tests.bot.slack.harness import AMIR, LIST, MARKETING, MAYA, TEAM, Workspace, audience, workspace
from tests.core.harness import Decision, decide, people, until


async def form(here: Workspace, person: Person | None = None) -> View:
    """*Map an audience*, as Maya gets it."""
    who = person or here.slack.marketer
    assert (await who.command("/iterable-sync map")).ok
    return await who.open_view(MappingCallback.MAP)


async def all_mappings(here: Workspace, connection: Connection) -> list[AudienceMapping]:
    """The connection's mappings."""
    async with here.engine.database.read() as db:
        return await mappings.of_connection(db, connection.id)


async def mapping_now(here: Workspace, mapping: AudienceMapping) -> AudienceMapping:
    """A mapping as it is now."""
    async with here.engine.database.read() as db:
        found = await mappings.by_id(db, mapping.id)
    assert found is not None
    return found


async def card(here: Workspace) -> Message:
    """The card of the proposed mapping, in #marketing."""
    return await here.slack.wait_for_message("marketing", "proposes a mapping")


async def told(here: Workspace, text: str, person: Person | None = None) -> str:
    """What one person alone reads in #marketing, once it contains this."""
    who = person or here.slack.marketer
    message = await here.slack.wait_for_message("marketing", text, reader=who)
    assert message.only_for == who.id
    return here.slack.render(message)


def lists_called(here: Workspace, name: str) -> int:
    """How many lists of that name the local Iterable has."""
    return sum(each.name == name for each in here.iterable.state.lists.values())


async def test_proposes_a_mapping_to_a_list_found_by_typing(tmp_path: Path) -> None:
    """What a marketer puts into the form is saved as a proposal, and she reads what comes next."""
    async with workspace(tmp_path) as here:
        connection = await here.connection()
        view = await form(here)
        target = here.iterable.state.lists[LIST]
        options = await here.slack.marketer.suggest(view, MappingAction.LIST, target.name[:5])
        assert str(LIST) in [each["value"] for each in options]
        list_field = f"{MappingBlock.LIST.of(connection.id)}/{MappingAction.LIST}"
        values = {MappingBlock.AUDIENCE: "Spring <Shoppers>", list_field: str(LIST), MappingBlock.REMOVALS: "ask"}
        await here.slack.marketer.fill(view, values)
        assert (await here.slack.marketer.submit()).ok
        made = (await all_mappings(here, connection))[0]
        assert (made.status, made.audience_name, made.list_id) == (MappingStatus.PROPOSED, "Spring <Shoppers>", LIST)
        assert (made.removal_policy, made.mode, made.channel) == (RemovalPolicy.ASK, "auto", MARKETING)
        assert f"Spring <Shoppers>* → *{target.name}* is proposed" in here.slack.render(here.slack.marketer.view)
        async with here.engine.database.read() as db:
            done = await audit_log.of(db, [f"mapping:{made.id}"])
        assert [(each.actor, each.action) for each in done] == [(MAYA, audit_log.AuditAction.MAPPING_PROPOSED)]


async def test_a_file_in_the_form_is_planned_at_once(tmp_path: Path) -> None:
    """A mapping proposed with a file gets its audience from it, and a run that waits because the mapping is new."""
    async with workspace(tmp_path) as here:
        connection = await here.connection()
        view = await form(here)
        file = here.slack.marketer.file("8754_SpringShoppers_172136Nov292018.csv", audience(people(range(3))))
        await here.slack.marketer.fill(view, {MappingAction.LIST: str(LIST), MappingBlock.FILE: file})
        assert (await here.slack.marketer.submit()).ok

        async def waits() -> bool:
            return (await here.latest_run()).status is RunStatus.NEEDS_APPROVAL

        await until(waits)
        run = await here.latest_run()
        assert run.plan is not None
        assert (run.channel, run.plan.to_add) == (MARKETING, 3)
        assert GuardName.NEW_MAPPING in [guard.name for guard in run.plan.guards]
        assert (await all_mappings(here, connection))[0].audience_name == "SpringShoppers"


async def proposed_to_a_new_list(here: Workspace, **more: object) -> AudienceMapping:
    """A mapping that Maya proposes to a list that is not there yet."""
    connection = await here.connection()
    view = await form(here)
    offered = await here.slack.marketer.suggest(view, MappingAction.LIST, "Autumn")
    assert [each["text"]["text"] for each in offered] == ['Create a new list "Autumn"']
    values = {MappingBlock.AUDIENCE: "Leaves", MappingAction.LIST: "new:Autumn", **more}
    await here.slack.marketer.fill(view, values)
    assert (await here.slack.marketer.submit()).ok
    return (await all_mappings(here, connection))[0]


async def run_in(here: Workspace, *statuses: RunStatus) -> Run:
    """The newest run, once it has one of these statuses."""

    async def has_it() -> bool:
        return (await here.latest_run()).status in statuses

    await until(has_it)
    return await here.latest_run()


async def test_new_list_is_created_after_approval(tmp_path: Path) -> None:
    """A list that has only a name is in no project before its first run is approved; then there is one."""
    async with workspace(tmp_path) as here:
        file = here.slack.marketer.file("audience.csv", audience(people(range(3))))
        mapping = await proposed_to_a_new_list(here, **{MappingBlock.FILE: file})
        run = await run_in(here, RunStatus.NEEDS_APPROVAL)
        card = await here.slack.wait_for_message("marketing", "To approve")
        assert "Leaves to new list “Autumn”" in here.slack.render(card)
        assert lists_called(here, "Autumn") == 0
        here.iterable.faults.add(Fault("error", applied=True, path="/api/lists", method="POST", times=1))
        assert await decide(here.engine, run.id, by=AMIR, team_id=TEAM) is Decision.RECORDED
        failed = await run_in(here, RunStatus.FAILED)  # the answer was lost
        assert (failed.requests, lists_called(here, "Autumn")) == (0, 1)
        await commands.retry(here.engine, run.id, by=MAYA, team_id=TEAM)
        done = await run_in(here, RunStatus.SUCCEEDED)
        assert lists_called(here, "Autumn") == 1
        now = await mapping_now(here, mapping)
        assert here.iterable.state.lists[now.list_id].name == "Autumn"
        assert done.list_id == now.list_id
        assert len(here.emails(now.list_id)) == 3
        await here.slack.wait_for(lambda: f"“Autumn” ({now.list_id})" in here.slack.render(card))


async def test_new_list_of_a_declined_run_is_not_created(tmp_path: Path) -> None:
    """If the first run is declined there is no list, and the same can be proposed again."""
    async with workspace(tmp_path) as here:
        file = here.slack.marketer.file("audience.csv", audience(people(range(3))))
        mapping = await proposed_to_a_new_list(here, **{MappingBlock.FILE: file})
        run = await run_in(here, RunStatus.NEEDS_APPROVAL)
        assert await decide(here.engine, run.id, approves=False, by=AMIR, team_id=TEAM) is Decision.RECORDED
        assert lists_called(here, "Autumn") == 0
        assert (await mapping_now(here, mapping)).status is MappingStatus.DECLINED
        view = await form(here)
        await here.slack.marketer.suggest(view, MappingAction.LIST, "Autumn")
        await here.slack.marketer.fill(view, {MappingBlock.AUDIENCE: "Leaves", MappingAction.LIST: "new:Autumn"})
        assert (await here.slack.marketer.submit()).ok
        assert (await mapping_now(here, mapping)).status is MappingStatus.PROPOSED


async def test_new_list_is_created_in_the_review(tmp_path: Path) -> None:
    """A mapping without a run that is approved gets its list then; a slow Iterable is waited for in the modal."""
    async with workspace(tmp_path) as here:
        mapping = await proposed_to_a_new_list(here)
        message = await card(here)
        assert "Autumn (new, created after approval)" in here.slack.render(message)
        assert lists_called(here, "Autumn") == 0
        here.iterable.faults.add(Fault("slow", delay=1.2, path="/api/lists", method="POST"))
        await here.slack.approver.click(message, MappingAction.REVIEW)
        await here.slack.approver.open_view(MappingCallback.REVIEW)
        assert (await here.slack.approver.submit()).ok
        assert "Asking Iterable" in here.slack.render(here.slack.approver.view)
        await here.slack.wait_for(lambda: "is approved" in here.slack.render(here.slack.approver.view))
        now = await mapping_now(here, mapping)
        assert here.iterable.state.lists[now.list_id].name == "Autumn"
        assert lists_called(here, "Autumn") == 1


async def test_proposal_to_a_list_that_has_a_mapping(tmp_path: Path) -> None:
    """The card of a proposal and its review warn if another audience feeds the list already."""
    async with workspace(tmp_path) as here:
        connection = await here.connection()
        await here.mapping(connection, "Winter")
        await here.mapping(connection, active=False)
        message = await card(here)
        assert "*This list is also fed by* Winter" in here.slack.render(message)
        await here.slack.approver.click(message, MappingAction.REVIEW)
        view = await here.slack.approver.open_view(MappingCallback.REVIEW)
        assert "*This list is also fed by* Winter" in here.slack.render(view)


async def test_says_what_is_missing_or_there_already(tmp_path: Path) -> None:
    """Without audience and list, or with a mapping that there is already, the form says so at its inputs."""
    async with workspace(tmp_path) as here:
        connection = await here.connection()
        await here.mapping(connection)
        view = await form(here)
        await here.slack.marketer.fill(view, {MappingAction.LIST: str(LIST)})
        assert set((await here.slack.marketer.submit()).errors) == {MappingBlock.AUDIENCE}
        await here.slack.marketer.fill(view, {MappingBlock.AUDIENCE: "springshoppers"})
        errors = (await here.slack.marketer.submit()).errors
        assert "already: that mapping is active" in errors[MappingBlock.AUDIENCE]


async def test_another_connection_has_other_lists(tmp_path: Path) -> None:
    """Choosing another connection forgets the list that was chosen, and keeps what was typed."""
    async with workspace(tmp_path) as here:
        await here.connection("Blog")
        shop = await here.connection("Shop")
        view = await form(here)
        await here.slack.marketer.fill(view, {MappingBlock.AUDIENCE: "Readers", MappingAction.LIST: str(LIST)})
        await here.slack.marketer.fill(view, {MappingAction.CONNECTION: str(shop.id)})
        await here.slack.wait_for(lambda: MappingBlock.LIST.of(shop.id) in str(here.slack.marketer.view.blocks))
        shown = here.slack.render(here.slack.marketer.view)
        assert "[Readers]" in shown
        assert "[Type a list's name, or a new name]" in shown


async def test_an_unreachable_iterable_is_said_in_the_menu(tmp_path: Path) -> None:
    """Where Iterable does not answer, the menu says so, and the choice of that is refused."""
    async with workspace(tmp_path) as here:
        await here.connection()
        here.iterable.faults.add(Fault("error", status=500))
        view = await form(here)
        options = await here.slack.marketer.suggest(view, MappingAction.LIST, "")
        assert "Iterable does not answer" in options[0]["text"]["text"]


async def test_who_may_not_start_may_not_propose(tmp_path: Path) -> None:
    """A person who is no operator is told whom to ask."""
    async with workspace(tmp_path) as here:
        await here.connection()
        assert (await here.slack.admin.command("/iterable-sync map")).ok
        assert "Only operators and approvers of Shop" in await told(here, "Only operators", here.slack.admin)


async def test_a_proposal_is_reviewed_by_an_approver_only(tmp_path: Path) -> None:
    """Whoever proposed it can't approve it; an approver can, once, and it is on record with the comment."""
    async with workspace(tmp_path) as here:
        connection = await here.connection()
        mapping = await here.mapping(connection, active=False)
        message = await card(here)
        seen_before = copy.copy(message)
        assert "Add the audience" in here.slack.render(message)
        assert (await here.slack.marketer.click(message, MappingAction.REVIEW)).ok
        assert "Only an approver of Shop can decide this: @Amir Haddad" in await told(here, "Only an approver")
        assert (await here.slack.approver.click(message, MappingAction.REVIEW)).ok
        view = await here.slack.approver.open_view(MappingCallback.REVIEW)
        await here.slack.approver.fill(view, {MappingBlock.COMMENT: "Fine by me"})
        assert (await here.slack.approver.submit()).ok
        await here.slack.wait_for(lambda: "is approved, by @Amir Haddad" in here.slack.render(here.slack.approver.view))
        now = await mapping_now(here, mapping)
        assert (now.status, now.decided_by, now.comment) == (MappingStatus.ACTIVE, AMIR, "Fine by me")
        assert (await here.slack.approver.click(seen_before, MappingAction.REVIEW)).ok
        await told(here, "is approved, by", here.slack.approver)
        await here.slack.wait_for(lambda: "Approved by @Amir Haddad: the mapping" in here.slack.render(message))


async def test_a_proposal_is_declined_in_the_review(tmp_path: Path) -> None:
    """Decline in the review says so and is final."""
    async with workspace(tmp_path) as here:
        connection = await here.connection()
        mapping = await here.mapping(connection, active=False)
        message = await card(here)
        await here.slack.approver.click(message, MappingAction.REVIEW)
        view = await here.slack.approver.open_view(MappingCallback.REVIEW)
        assert (await here.slack.approver.click(view, MappingAction.DECLINE)).ok
        await here.slack.wait_for(lambda: "is declined, by" in here.slack.render(here.slack.approver.view))
        assert (await mapping_now(here, mapping)).status is MappingStatus.DECLINED


async def test_a_live_mapping_without_a_list_gets_one_in_the_review(tmp_path: Path) -> None:
    """A mapping that came from mParticle without a list is approved together with the list that is chosen."""
    async with workspace(tmp_path) as here:
        connection = await here.connection()
        mapping = await here.mapping(connection, active=False)
        async with here.engine.database.write() as db:
            await mappings.change(db, mapping.id, list_id=NO_LIST, is_live=True)
        message = await card(here)
        await here.slack.approver.click(message, MappingAction.REVIEW)
        view = await here.slack.approver.open_view(MappingCallback.REVIEW)
        assert not (await here.slack.approver.submit()).ok
        await here.slack.approver.fill(view, {MappingAction.LIST: "1002"})
        assert (await here.slack.approver.submit()).ok
        now = await mapping_now(here, mapping)
        assert (now.status, now.list_id) == (MappingStatus.ACTIVE, 1002)


async def test_pauses_and_resumes(tmp_path: Path) -> None:
    """A mapping is paused by its name and resumed by the button of the answer; a second pause says that it is."""
    async with workspace(tmp_path) as here:
        mapping = await here.mapping(await here.connection())
        maya = here.slack.marketer
        await maya.command("/iterable-sync pause springshoppers")
        await told(here, "is paused. Nothing of it is synced")
        assert (await mapping_now(here, mapping)).status is MappingStatus.PAUSED
        answer = await here.slack.wait_for_message("marketing", "is paused", reader=maya)
        await maya.command("/iterable-sync pause springshoppers")
        await told(here, "can't be paused: it is paused")
        await maya.click(answer, MappingAction.RESUME)
        await told(here, "is active again")
        assert (await mapping_now(here, mapping)).status is MappingStatus.ACTIVE


async def test_says_which_mappings_there_are(tmp_path: Path) -> None:
    """A name that several mappings have, or none, is answered with those that were probably meant."""
    async with workspace(tmp_path) as here:
        connection = await here.connection()
        await here.mapping(connection, "SpringShoppers")
        await here.mapping(connection, "SpringSavers", list_id=1002)
        await here.mapping(connection, "Lapsed", list_id=1003)
        await here.slack.marketer.command("/iterable-sync pause spring")
        both = await told(here, "the name of several mappings")
        assert "SpringShoppers" in both
        assert "SpringSavers" in both
        assert "Lapsed" not in both
        await here.slack.marketer.command("/iterable-sync pause Lapsd")
        assert "Lapsed" in await told(here, "There is no mapping *Lapsd*. Which one?")
