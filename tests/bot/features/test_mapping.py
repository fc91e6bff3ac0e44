"""Mapping an audience to a list in Slack: a mapping is proposed, reviewed, paused and resumed."""

import copy
from pathlib import Path

import pytest

from bot.features.ids import MappingAction, MappingBlock, MappingCallback
from bot.slack import submission
from core.models.run import GuardName, Run, RunStatus
from core.runs import commands
from core.store import audit_log, mappings
from core.store.connections import Connection
from core.store.mappings import NO_LIST, AudienceMapping, MappingStatus, RemovalPolicy
from sandbox.iterable import Fault
from sandbox.slack.users.user_driver import Person
from sandbox.slack.workspace.models import Message, View
from tests.bot.slack.following import open_options
from tests.bot.slack.harness import AMIR, LIST, MARKETING, MAYA, TEAM, Workspace, audience, workspace
from tests.core.harness import HELD_S, Decision, decide, people, until


async def form(bot: Workspace, person: Person | None = None) -> View:
    """Open *Map an audience*, as Maya by default."""
    proposer = person or bot.slack.marketer
    assert (await proposer.command("/iterable-sync map")).ok
    return await proposer.open_view(MappingCallback.MAP)


async def all_mappings(bot: Workspace, connection: Connection) -> list[AudienceMapping]:
    """Return the connection's mappings."""
    async with bot.engine.database.read() as db:
        return await mappings.of_connection(db, connection.id)


async def reload(bot: Workspace, mapping: AudienceMapping) -> AudienceMapping:
    """Return a mapping as it is stored now."""
    async with bot.engine.database.read() as db:
        stored = await mappings.by_id(db, mapping.id)
    assert stored is not None
    return stored


async def card(bot: Workspace) -> Message:
    """Wait for the card of the proposed mapping in #marketing, and return it."""
    return await bot.slack.wait_for_message("marketing", "Approval needed: new mapping")


async def read_privately(bot: Workspace, text: str, person: Person | None = None) -> str:
    """Wait for a message in #marketing that only one person sees and that contains a text. Returns its text."""
    reader = person or bot.slack.marketer
    message = await bot.slack.wait_for_message("marketing", text, reader=reader)
    assert message.only_for == reader.id
    return bot.slack.render(message)


def count_lists(bot: Workspace, name: str) -> int:
    """Return how many lists of a name the local Iterable has."""
    return sum(each.name == name for each in bot.iterable.state.lists.values())


async def test_proposes_a_mapping_to_a_list_found_by_typing(tmp_path: Path) -> None:
    """The values of the form become a proposal, and the modal shows the next step."""
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        view = await form(bot)
        target = bot.iterable.state.lists[LIST]
        options = await bot.slack.marketer.suggest(view, MappingAction.LIST, target.name[:5])
        assert str(LIST) in [each["value"] for each in options]
        list_field = f"{MappingBlock.LIST.of(connection.id)}/{MappingAction.LIST}"
        values = {MappingBlock.AUDIENCE: "Spring <Shoppers>", list_field: str(LIST), MappingBlock.REMOVALS: "ask"}
        await bot.slack.marketer.fill(await open_options(bot.slack.marketer, view), values)
        assert (await bot.slack.marketer.submit()).ok
        mapping = (await all_mappings(bot, connection))[0]
        assert (mapping.status, mapping.audience_name, mapping.list_id) == (
            MappingStatus.PROPOSED,
            "Spring <Shoppers>",
            LIST,
        )
        assert (mapping.removal_policy, mapping.mode, mapping.channel) == (RemovalPolicy.ASK, "auto", MARKETING)
        assert f"Spring <Shoppers>* → *{target.name}* is proposed" in bot.slack.render(bot.slack.marketer.view)
        async with bot.engine.database.read() as db:
            entries = await audit_log.of(db, [f"mapping:{mapping.id}"])
        assert [(each.actor, each.action) for each in entries] == [(MAYA, audit_log.AuditAction.MAPPING_PROPOSED)]


@pytest.mark.extended
async def test_file_in_the_form_is_planned_at_once(tmp_path: Path) -> None:
    """A mapping that is proposed with a file gets its audience from the file, and a run that waits for approval."""
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        view = await form(bot)
        file = bot.slack.marketer.file("8754_SpringShoppers_172136Nov292018.csv", audience(people(range(3))))
        await bot.slack.marketer.fill(view, {MappingAction.LIST: str(LIST), MappingBlock.FILE: file})
        assert (await bot.slack.marketer.submit()).ok

        async def needs_approval() -> bool:
            return (await bot.latest_run()).status is RunStatus.NEEDS_APPROVAL

        await until(needs_approval)
        run = await bot.latest_run()
        assert run.plan is not None
        assert (run.channel, run.plan.to_add) == (MARKETING, 3)
        assert GuardName.NEW_MAPPING in [guard.name for guard in run.plan.guards]
        assert (await all_mappings(bot, connection))[0].audience_name == "SpringShoppers"


async def propose_new_list(bot: Workspace, **more: object) -> AudienceMapping:
    """Propose a mapping to a new list as Maya, and return it."""
    connection = await bot.connection()
    view = await form(bot)
    offered = await bot.slack.marketer.suggest(view, MappingAction.LIST, "Autumn")
    assert [each["text"]["text"] for each in offered] == ['Create a new list "Autumn"']
    values = {MappingBlock.AUDIENCE: "Leaves", MappingAction.LIST: "new:Autumn", **more}
    await bot.slack.marketer.fill(view, values)
    assert (await bot.slack.marketer.submit()).ok
    return (await all_mappings(bot, connection))[0]


async def wait_for_run(bot: Workspace, *statuses: RunStatus) -> Run:
    """Wait until the newest run has one of these statuses, and return it."""

    async def has_status() -> bool:
        return (await bot.latest_run()).status in statuses

    await until(has_status)
    return await bot.latest_run()


async def test_new_list_is_created_after_approval(tmp_path: Path) -> None:
    """A new list is created once, after its first run is approved."""
    async with workspace(tmp_path) as bot:
        file = bot.slack.marketer.file("audience.csv", audience(people(range(3))))
        mapping = await propose_new_list(bot, **{MappingBlock.FILE: file})
        run = await wait_for_run(bot, RunStatus.NEEDS_APPROVAL)
        card = await bot.slack.wait_for_message("marketing", "Approval needed")
        assert "Leaves → new list Autumn" in bot.slack.render(card)
        assert count_lists(bot, "Autumn") == 0
        bot.iterable.faults.add(Fault("error", applied=True, path="/api/lists", method="POST", times=1))
        assert await decide(bot.engine, run.id, by=AMIR, team_id=TEAM) is Decision.RECORDED
        failed = await wait_for_run(bot, RunStatus.FAILED)  # the answer was lost
        assert (failed.requests, count_lists(bot, "Autumn")) == (0, 1)
        await commands.retry(bot.engine, run.id, by=MAYA, team_id=TEAM)
        done = await wait_for_run(bot, RunStatus.SUCCEEDED)
        assert count_lists(bot, "Autumn") == 1
        stored = await reload(bot, mapping)
        assert bot.iterable.state.lists[stored.list_id].name == "Autumn"
        assert done.list_id == stored.list_id
        assert len(bot.emails(stored.list_id)) == 3
        await bot.slack.wait_for(lambda: f"list {stored.list_id} in Iterable" in bot.slack.render(card))


@pytest.mark.extended
async def test_new_list_of_a_declined_run_is_not_created(tmp_path: Path) -> None:
    """If the first run is declined, the list is not created, and the same mapping can be proposed again."""
    async with workspace(tmp_path) as bot:
        file = bot.slack.marketer.file("audience.csv", audience(people(range(3))))
        mapping = await propose_new_list(bot, **{MappingBlock.FILE: file})
        run = await wait_for_run(bot, RunStatus.NEEDS_APPROVAL)
        assert await decide(bot.engine, run.id, approves=False, by=AMIR, team_id=TEAM) is Decision.RECORDED
        assert count_lists(bot, "Autumn") == 0
        assert (await reload(bot, mapping)).status is MappingStatus.DECLINED
        view = await form(bot)
        await bot.slack.marketer.suggest(view, MappingAction.LIST, "Autumn")
        await bot.slack.marketer.fill(view, {MappingBlock.AUDIENCE: "Leaves", MappingAction.LIST: "new:Autumn"})
        assert (await bot.slack.marketer.submit()).ok
        assert (await reload(bot, mapping)).status is MappingStatus.PROPOSED


@pytest.mark.extended
async def test_new_list_is_created_in_the_review(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Approving a mapping without a run creates its list, and the modal waits for a slow Iterable."""
    async with workspace(tmp_path) as bot:
        mapping = await propose_new_list(bot)
        message = await card(bot)
        assert "Autumn (new, created after approval)" in bot.slack.render(message)
        assert count_lists(bot, "Autumn") == 0
        bot.iterable.faults.add(Fault("slow", delay=HELD_S, path="/api/lists", method="POST"))
        monkeypatch.setattr(submission, "ACK_WITHIN_S", 0.1)
        await bot.slack.approver.click(message, MappingAction.REVIEW)
        await bot.slack.approver.open_view(MappingCallback.REVIEW)
        assert (await bot.slack.approver.submit()).ok
        assert "Asking Iterable" in bot.slack.render(bot.slack.approver.view)
        bot.iterable.faults.clear()
        await bot.slack.wait_for(lambda: "was approved" in bot.slack.render(bot.slack.approver.view))
        stored = await reload(bot, mapping)
        assert bot.iterable.state.lists[stored.list_id].name == "Autumn"
        assert count_lists(bot, "Autumn") == 1


async def test_proposal_to_a_list_that_has_a_mapping(tmp_path: Path) -> None:
    """The card and the review of a proposal warn if another audience already feeds the list."""
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        await bot.mapping(connection, "Winter")
        await bot.mapping(connection, active=False)
        message = await card(bot)
        assert "*This list is also fed by* Winter" in bot.slack.render(message)
        await bot.slack.approver.click(message, MappingAction.REVIEW)
        view = await bot.slack.approver.open_view(MappingCallback.REVIEW)
        assert "*This list is also fed by* Winter" in bot.slack.render(view)


async def test_missing_and_repeated_values(tmp_path: Path) -> None:
    """A missing audience and a mapping that exists already are errors at their inputs."""
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        await bot.mapping(connection)
        view = await form(bot)
        await bot.slack.marketer.fill(view, {MappingAction.LIST: str(LIST)})
        assert set((await bot.slack.marketer.submit()).errors) == {MappingBlock.AUDIENCE}
        await bot.slack.marketer.fill(view, {MappingBlock.AUDIENCE: "springshoppers"})
        errors = (await bot.slack.marketer.submit()).errors
        assert "already: that mapping is active" in errors[MappingBlock.AUDIENCE]


async def test_another_connection_has_other_lists(tmp_path: Path) -> None:
    """Choosing another connection clears the chosen list, and keeps the typed audience."""
    async with workspace(tmp_path) as bot:
        await bot.connection("Blog")
        shop = await bot.connection("Shop")
        view = await form(bot)
        await bot.slack.marketer.fill(view, {MappingBlock.AUDIENCE: "Readers", MappingAction.LIST: str(LIST)})
        await bot.slack.marketer.fill(view, {MappingAction.CONNECTION: str(shop.id)})
        await bot.slack.wait_for(lambda: MappingBlock.LIST.of(shop.id) in str(bot.slack.marketer.view.blocks))
        shown = bot.slack.render(bot.slack.marketer.view)
        assert "[Readers]" in shown
        assert "[Type a list's name, or a new name]" in shown


async def test_menu_reports_an_unreachable_iterable(tmp_path: Path) -> None:
    """If Iterable does not answer, the menu of lists says so."""
    async with workspace(tmp_path) as bot:
        await bot.connection()
        bot.iterable.faults.add(Fault("error", status=500))
        view = await form(bot)
        options = await bot.slack.marketer.suggest(view, MappingAction.LIST, "")
        assert "Iterable does not answer" in options[0]["text"]["text"]


async def test_only_operators_propose(tmp_path: Path) -> None:
    """A person who is not an operator gets a refusal that names the operators."""
    async with workspace(tmp_path) as bot:
        await bot.connection()
        assert (await bot.slack.admin.command("/iterable-sync map")).ok
        assert "Only operators and approvers of Shop" in await read_privately(bot, "Only operators", bot.slack.admin)


async def test_only_approvers_review_a_proposal(tmp_path: Path) -> None:
    """The proposer can't approve a mapping; an approver can, once, and the comment is stored."""
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        mapping = await bot.mapping(connection, active=False)
        message = await card(bot)
        old_message = copy.copy(message)
        assert "Add the audience" in bot.slack.render(message)
        assert (await bot.slack.marketer.click(message, MappingAction.REVIEW)).ok
        refusal = bot.slack.render(await bot.slack.marketer.open_view())
        assert "Only an approver of Shop can decide this: @Amir Haddad" in refusal
        assert (await bot.slack.approver.click(message, MappingAction.REVIEW)).ok
        view = await bot.slack.approver.open_view(MappingCallback.REVIEW)
        await bot.slack.approver.fill(view, {MappingBlock.COMMENT: "Fine by me"})
        assert (await bot.slack.approver.submit()).ok
        await bot.slack.wait_for(lambda: "was approved by @Amir Haddad" in bot.slack.render(bot.slack.approver.view))
        stored = await reload(bot, mapping)
        assert (stored.status, stored.decided_by, stored.comment) == (MappingStatus.ACTIVE, AMIR, "Fine by me")
        assert (await bot.slack.approver.click(old_message, MappingAction.REVIEW)).ok
        await bot.slack.wait_for(lambda: bot.slack.approver.view.title == "Already decided")
        await bot.slack.wait_for(lambda: "Approved by @Amir Haddad: the mapping" in bot.slack.render(message))


async def test_proposal_is_declined_in_the_review(tmp_path: Path) -> None:
    """*Decline* in the review declines the mapping."""
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        mapping = await bot.mapping(connection, active=False)
        message = await card(bot)
        await bot.slack.approver.click(message, MappingAction.REVIEW)
        view = await bot.slack.approver.open_view(MappingCallback.REVIEW)
        assert (await bot.slack.approver.click(view, MappingAction.DECLINE)).ok
        await bot.slack.wait_for(lambda: "was declined by" in bot.slack.render(bot.slack.approver.view))
        assert (await reload(bot, mapping)).status is MappingStatus.DECLINED


@pytest.mark.extended
async def test_live_mapping_gets_its_list_in_the_review(tmp_path: Path) -> None:
    """The approver of a live mapping without a list has to choose one."""
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        mapping = await bot.mapping(connection, active=False)
        async with bot.engine.database.write() as db:
            await mappings.change(db, mapping.id, list_id=NO_LIST, is_live=True)
        message = await bot.slack.wait_for_message("marketing", "New live audience from mParticle")
        await bot.slack.approver.click(message, MappingAction.REVIEW)
        view = await bot.slack.approver.open_view(MappingCallback.REVIEW)
        assert not (await bot.slack.approver.submit()).ok
        await bot.slack.approver.fill(view, {MappingAction.LIST: "1002"})
        assert (await bot.slack.approver.submit()).ok
        stored = await reload(bot, mapping)
        assert (stored.status, stored.list_id) == (MappingStatus.ACTIVE, 1002)


async def test_pauses_and_resumes(tmp_path: Path) -> None:
    """A mapping is paused by its name and resumed with the button; a second pause is refused."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        maya = bot.slack.marketer
        await maya.command("/iterable-sync pause springshoppers")
        await read_privately(bot, "is paused. Nothing syncs until")
        assert (await reload(bot, mapping)).status is MappingStatus.PAUSED
        answer = await bot.slack.wait_for_message("marketing", "is paused", reader=maya)
        await maya.command("/iterable-sync pause springshoppers")
        await read_privately(bot, "can't be paused: it is already paused")
        await maya.click(answer, MappingAction.RESUME)
        await read_privately(bot, "is resumed")
        assert (await reload(bot, mapping)).status is MappingStatus.ACTIVE


async def test_similar_names_are_suggested(tmp_path: Path) -> None:
    """The answer to an ambiguous or unknown name suggests similar mappings."""
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        await bot.mapping(connection, "SpringShoppers")
        await bot.mapping(connection, "SpringSavers", list_id=1002)
        await bot.mapping(connection, "Lapsed", list_id=1003)
        await bot.slack.marketer.command("/iterable-sync pause spring")
        reply = await read_privately(bot, "the name of several mappings")
        assert "SpringShoppers" in reply
        assert "SpringSavers" in reply
        assert "Lapsed" not in reply
        await bot.slack.marketer.command("/iterable-sync pause Lapsd")
        assert "Lapsed" in await read_privately(bot, "There is no mapping *Lapsd*. Which one?")
