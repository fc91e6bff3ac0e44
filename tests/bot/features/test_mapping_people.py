"""Operators and approvers of a mapping's own, and user groups in their place."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.features.ids import (
    ApprovalAction,
    ApprovalCallback,
    ConnectAction,
    ConnectBlock,
    ConnectCallback,
    MappingAction,
    MappingBlock,
    MappingCallback,
)
from bot.messages.fallback import recipients
from bot.slack.actor import Actor
from core.connections import mapping_settings
from core.connections.people_lookup import PeopleUnknownError, look_up_people
from core.errors import ValidationError
from core.models.run import RunStatus
from core.store import audit_log, connections
from core.store.mappings import AudienceMapping
from tests.bot.features.test_mapping import read_privately, reload
from tests.bot.features.test_runs import start_run, wait_for_end
from tests.bot.slack.following import choose
from tests.bot.slack.harness import ADA, AMIR, MAYA, OKSANA, TEAM, Workspace, audience, workspace
from tests.core.harness import people, until

MANIFEST: dict[str, Any] = yaml.safe_load((Path(__file__).parents[3] / "manifest-usergroups.yml").read_text())
GROUP, LEADS = "S01CRM", "S01LEADS"


async def set_people(bot: Workspace, mapping: AudienceMapping, **people: tuple[str, ...]) -> None:
    """Set the people of a mapping, as an admin."""
    await mapping_settings.edit(bot.engine, mapping.id, by=ADA, team_id=TEAM, **people)  # type: ignore[arg-type]


async def waiting_run(bot: Workspace, mapping: AudienceMapping) -> str:
    """Start a run that waits for approval, and return its id."""
    run = await wait_for_end(bot, await start_run(bot, mapping, audience(people(range(3)))))
    assert run.status is RunStatus.NEEDS_APPROVAL
    return run.id


async def test_admin_chooses_the_people_of_a_mapping(tmp_path: Path) -> None:
    """An admin chooses people and user groups; those who approved before get a message; only admins may."""
    async with workspace(tmp_path, manifest=MANIFEST) as bot:
        mapping = await bot.mapping(await bot.connection(operators=()))
        ada = bot.slack.person(ADA)
        assert (await bot.slack.marketer.command("/iterable-sync edit SpringShoppers")).ok
        await bot.slack.marketer.click(await bot.slack.marketer.open_view(MappingCallback.EDIT), MappingAction.PEOPLE)
        refusal = await bot.slack.wait_for_message("dm", "choose the operators", reader=bot.slack.marketer)
        assert "Only an admin" in bot.slack.render(refusal)
        assert (await ada.command("/iterable-sync edit SpringShoppers")).ok
        view = await ada.open_view(MappingCallback.EDIT)
        assert "Same as for the connection" in bot.slack.render(view)
        await ada.click(view, MappingAction.PEOPLE)
        view = await ada.open_view(MappingCallback.PEOPLE)
        await ada.fill(view, {MappingBlock.OPERATORS: [MAYA], MappingBlock.APPROVER_GROUPS: ["@crm-leads"]})
        assert (await ada.submit()).ok
        assert "Operators: @Maya Lindqvist. Approvers: @crm-leads." in bot.slack.render(ada.view)
        now = await reload(bot, mapping)
        assert (now.operators, now.approvers) == ((MAYA,), (LEADS,))
        await bot.slack.wait_for_message("sync-alerts", "changed who approves syncs of SpringShoppers")
        await bot.slack.wait_for_message("dm", "changed who approves", reader=bot.slack.approver)
        async with bot.engine.database.read() as db:
            (*_, entry) = await audit_log.of(db, [f"mapping:{mapping.id}"])
        assert (entry.actor, entry.before, entry.after) == (
            ADA,
            {"operators": [], "approvers": []},
            {"operators": [MAYA], "approvers": [LEADS]},
        )


async def test_members_of_a_user_group_decide(tmp_path: Path) -> None:
    """Only people in the group decide on the mapping; if Slack does not say who that is, no one does."""
    async with workspace(tmp_path, manifest=MANIFEST) as bot:
        mapping = await bot.mapping(await bot.connection(approvers=(ADA,)), active=False)
        await set_people(bot, mapping, operators=(GROUP,), approvers=(LEADS,))
        amir, ada = bot.slack.approver, bot.slack.admin
        assert (await bot.slack.marketer.command("/iterable-sync pause SpringShoppers")).ok
        assert "Only operators and approvers" in await read_privately(bot, "pause its mappings")
        run_id = await waiting_run(bot, mapping)
        card = await bot.slack.wait_for_message("marketing", "Approval needed")
        assert "Approvers: @crm-leads" in bot.slack.render(card)

        await ada.click(card, ApprovalAction.REVIEW)
        view = await ada.open_view(None)
        assert "Only an approver of Shop can decide this: @crm-leads." in bot.slack.render(view)
        bot.services.groups._known.clear()
        bot.slack.faults.add("internal_error", "usergroups.list", count=1)
        await amir.click(card, ApprovalAction.REVIEW)
        view = await amir.open_view(None)
        assert "does not say at the moment who is in @crm, @crm-leads, so no one counts" in bot.slack.render(view)
        amir.views.clear()
        bot.services.groups._known.clear()
        await amir.click(card, ApprovalAction.REVIEW)
        assert (await amir.submit(await amir.open_view(ApprovalCallback.REVIEW))).ok
        assert (await wait_for_end(bot, run_id)).status is RunStatus.SUCCEEDED
        assert len(bot.slack.calls("usergroups.list")) < 6
        bot.slack.world.user_groups[LEADS].users.clear()
        bot.services.groups._known.clear()
        assert not (await bot.services.mapping(_actor(AMIR), mapping.id))[0].is_approver(AMIR)


async def test_user_groups_of_a_connection(tmp_path: Path) -> None:
    """The form of a connection has user groups; they stay if Slack does not list them, and approvers get fallbacks."""
    async with workspace(tmp_path, manifest=MANIFEST) as bot:
        connection = await bot.connection(approvers=(LEADS, OKSANA))
        ada = bot.slack.admin

        async def save(**values: object) -> str:
            await choose(ada, await ada.open_home(), ConnectAction.EDIT)
            form = await ada.open_view(ConnectCallback.EDIT)
            await ada.fill(form, {ConnectBlock[name]: value for name, value in values.items()})
            shown = bot.slack.render(form)
            assert (await ada.submit(form)).ok
            ada.views.clear()
            return shown

        assert "@crm-leads" in await save(OPERATOR_GROUPS=["@crm"], OPERATORS=[])
        bot.services.groups._known.clear()
        bot.slack.faults.add("missing_scope", "usergroups.list", count=1)
        assert "user groups" not in await save(APPROVERS=[])

        async def is_saved() -> bool:
            async with bot.engine.database.read() as db:
                saved = await connections.by_id(db, connection.id)
            return saved is not None and (saved.operators, saved.approvers) == ((GROUP,), (LEADS,))

        await until(is_saved)
        bot.services.groups._known.clear()
        known = await bot.services.connection(_actor(ADA), connection.id)
        assert (recipients(known), known.names(OKSANA), known.is_approver(OKSANA)) == ([AMIR], True, False)


async def test_people_are_named_by_address_and_handle(tmp_path: Path) -> None:
    """Programs and the command line name people as they are called; a name that no one has is an error."""
    async with workspace(tmp_path, manifest=MANIFEST) as bot:
        names = ["amir@example.com", "@CRM", "U01ADA", "amir@example.com"]
        assert await look_up_people(bot.engine, TEAM, names, "approvers") == (AMIR, GROUP, ADA)
        for wrong in ("no@example.com", "@nothing", "ada", "X1"):
            with pytest.raises(ValidationError):
                await look_up_people(bot.engine, TEAM, [wrong], "approvers")
        bot.slack.faults.add("missing_scope", "users.lookupByEmail")
        with pytest.raises(PeopleUnknownError, match=r"manifest-usergroups\.yml"):
            await look_up_people(bot.engine, TEAM, names, "approvers")


def _actor(person: str) -> Actor:
    return Actor(person, TEAM, None, "")
