"""Managing mappings in Slack: edited, archived, restored, deleted."""

from pathlib import Path
from typing import Any

import pytest

from bot.features.ids import MappingAction, MappingBlock, MappingCallback
from core.models.run import RunStatus
from core.store import mappings
from core.store.connections import Connection
from core.store.mappings import AudienceMapping, MappingStatus
from sandbox.slack.workspace.models import View
from tests.bot.features.test_mapping import read_privately, reload
from tests.bot.features.test_runs import start_run, wait_for_end
from tests.bot.slack.harness import AMIR, LIST, MARKETING, TEAM, Workspace, audience, workspace
from tests.core.harness import addresses, decide, people, until


async def edit(bot: Workspace) -> View:
    """Open *Edit a mapping* as Maya."""
    assert (await bot.slack.marketer.command("/iterable-sync edit SpringShoppers")).ok
    return await bot.slack.marketer.open_view(MappingCallback.EDIT)


async def synced(bot: Workspace, connection: Connection) -> AudienceMapping:
    """Return a mapping with three people on its list."""
    mapping = await bot.mapping(connection)
    assert (await wait_for_end(bot, await start_run(bot, mapping, audience(people(range(3)))))).status is (
        RunStatus.SUCCEEDED
    )
    return mapping


async def test_mapping_is_edited(tmp_path: Path) -> None:
    """The form has the present settings; what changes is stored; only an approver changes the limits."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        view = await edit(bot)
        assert MappingBlock.MAX_REMOVED_SHARE not in [block.get("block_id") for block in view.blocks]
        assert "Only approvers can change the limits" in bot.slack.render(view)
        await bot.slack.marketer.fill(view, {MappingBlock.NAME: "Spring <sale>"})
        assert (await bot.slack.marketer.submit()).ok
        assert "Spring <sale>" in bot.slack.render(bot.slack.marketer.view)
        assert (await reload(bot, mapping)).name == "Spring <sale>"

        approver = bot.slack.person(AMIR)
        assert (await approver.command("/iterable-sync edit Spring <sale>")).ok
        view = await approver.open_view(MappingCallback.EDIT)
        await approver.fill(view, {MappingBlock.MAX_REMOVED_SHARE: "110"})
        assert "from 0 to 100" in str((await approver.submit()).errors)
        await approver.fill(view, {MappingBlock.MAX_REMOVED_SHARE: "35"})
        assert (await approver.submit()).ok
        assert (await reload(bot, mapping)).max_removed_share == 0.35


async def test_mapping_is_archived_and_restored(tmp_path: Path) -> None:
    """An archived mapping is off the home page, and its button brings it back, to be approved again."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        await bot.slack.marketer.click(await edit(bot), MappingAction.ARCHIVE)

        async def is_archived() -> bool:
            return (await reload(bot, mapping)).status is MappingStatus.ARCHIVED

        await until(is_archived)
        assert (await bot.slack.marketer.command("/iterable-sync restore")).ok
        await read_privately(bot, "Which one?")
        assert (await bot.slack.marketer.command("/iterable-sync restore SpringShoppers")).ok
        assert "Its next sync needs approval" in await read_privately(bot, "is back")
        assert (await reload(bot, mapping)).status is MappingStatus.PROPOSED


async def test_everyone_is_taken_off_before_a_mapping_is_deleted(tmp_path: Path) -> None:
    """The modal says what is deleted; the run needs approval; its card says what it is for."""
    async with workspace(tmp_path) as bot:
        mapping = await synced(bot, await bot.connection())
        await bot.slack.marketer.click(await edit(bot), MappingAction.DELETE)
        view = await bot.slack.marketer.open_view(MappingCallback.DELETE)
        assert "*3 people* are on the list because of this mapping" in bot.slack.render(view)
        await bot.slack.marketer.fill(view, {MappingBlock.MEMBERS: "leave"})
        assert (await bot.slack.marketer.submit()).ok
        assert "Only an approver" in bot.slack.render(bot.slack.marketer.view)
        await bot.slack.marketer.click(await edit(bot), MappingAction.DELETE)
        view = await bot.slack.marketer.open_view(MappingCallback.DELETE)
        await bot.slack.marketer.fill(view, {MappingBlock.MEMBERS: "remove"})
        assert (await bot.slack.marketer.submit()).ok
        card = bot.slack.render(await bot.slack.wait_for_message("marketing", "Approval needed"))
        assert "everyone off" in card
        waiting = await bot.latest_run()
        assert (waiting.channel, waiting.status) == (MARKETING, RunStatus.NEEDS_APPROVAL)
        await decide(bot.engine, waiting.id, by=AMIR, team_id=TEAM)
        assert (await wait_for_end(bot, waiting.id)).counters.removed == 3
        assert not addresses(range(3)) & {email for email, _ in bot.iterable.state.members(LIST)}
        ended = await reload(bot, mapping)
        assert (ended.status, ended.delete_at is None) == (MappingStatus.ARCHIVED, False)
        approver = bot.slack.person(AMIR)
        assert (await approver.command("/iterable-sync edit SpringShoppers")).ok
        await approver.click(await approver.open_view(None), MappingAction.DELETE)
        assert (await approver.submit(await approver.open_view(MappingCallback.DELETE))).ok
        async with bot.engine.database.read() as db:
            assert await mappings.by_id(db, mapping.id) is None


async def test_people_are_excluded(tmp_path: Path) -> None:
    """The form has what is excluded now; the change waits for the approval of the next sync, which counts them."""
    async with workspace(tmp_path) as bot:
        mapping = await synced(bot, await bot.connection())
        await bot.slack.marketer.click(await edit(bot), MappingAction.EXCLUSIONS)
        view = await bot.slack.marketer.open_view(MappingCallback.EXCLUSIONS)
        values: dict[str, Any] = {
            MappingBlock.EXCLUDED_DOMAINS: "@rival.example.com, b.example",
            MappingBlock.EXCLUDED_ADDRESSES: "x",
        }
        await bot.slack.marketer.fill(view, values)
        assert (await bot.slack.marketer.submit()).ok
        assert "no email address" in bot.slack.render(bot.slack.marketer.view)
        await bot.slack.marketer.click(await edit(bot), MappingAction.EXCLUSIONS)
        view = await bot.slack.marketer.open_view(MappingCallback.EXCLUSIONS)
        await bot.slack.marketer.fill(view, {**values, MappingBlock.EXCLUDED_ADDRESSES: "p1@example.com"})
        assert (await bot.slack.marketer.submit()).ok
        text = bot.slack.render(bot.slack.marketer.view)
        assert "excludes 1 address, @b.example, @rival.example.com" in text
        assert "The change needs approval" in text
        waiting = await wait_for_end(bot, await start_run(bot, mapping, audience(people(range(3)))))
        card = bot.slack.render(await bot.slack.wait_for_message("marketing", "The mapping was changed"))
        assert "it excludes 1 address" in card
        await decide(bot.engine, waiting.id, by=AMIR, team_id=TEAM)
        assert (await wait_for_end(bot, waiting.id)).counters.rejected == 1
        assert bot.emails() == addresses([0, 2])
        assert (await reload(bot, mapping)).status is MappingStatus.ACTIVE
        await bot.slack.marketer.click(await edit(bot), MappingAction.EXCLUSIONS)
        view = await bot.slack.marketer.open_view(MappingCallback.EXCLUSIONS)
        await bot.slack.marketer.fill(
            view, {MappingBlock.EXCLUDED_DOMAINS: "", MappingBlock.EXCLUDED_FORGET: ["forget"]}
        )
        assert (await bot.slack.marketer.submit()).ok
        assert "excludes no one" in bot.slack.render(bot.slack.marketer.view)
        view = await edit(bot)
        await bot.slack.marketer.fill(view, {MappingBlock.MODE: "add", MappingBlock.REMOVALS: "keep"})
        assert (await bot.slack.marketer.submit()).ok
        assert "its mode is add (before: auto)" in bot.slack.render(bot.slack.marketer.view)
        assert (await reload(bot, mapping)).status is MappingStatus.PROPOSED


@pytest.mark.extended
async def test_audience_goes_to_another_list(tmp_path: Path) -> None:
    """The form says what happens to both lists; the new mapping's first sync asks, and its approval ends the former."""
    async with workspace(tmp_path) as bot:
        mapping = await synced(bot, await bot.connection())
        await bot.slack.marketer.click(await edit(bot), MappingAction.CHANGE_LIST)
        view = await bot.slack.marketer.open_view(MappingCallback.LIST)
        assert "3 people on the former list" in bot.slack.render(view)
        assert (await bot.slack.marketer.submit()).errors
        await bot.slack.marketer.suggest(view, MappingAction.LIST, "1002")
        await bot.slack.marketer.fill(view, {MappingAction.LIST: "1002"})
        assert (await bot.slack.marketer.submit()).ok
        assert "waits for approval. Until then" in bot.slack.render(bot.slack.marketer.view)
        async with bot.engine.database.read() as db:
            (successor,) = await mappings.of_connection(db, mapping.connection_id, 1002)
        waiting = await wait_for_end(bot, await start_run(bot, successor, audience(people(range(3)))))
        assert waiting.status is RunStatus.NEEDS_APPROVAL
        await decide(bot.engine, waiting.id, by=AMIR, team_id=TEAM)
        assert (await wait_for_end(bot, waiting.id)).status is RunStatus.SUCCEEDED
        assert (await reload(bot, mapping)).status is MappingStatus.ARCHIVED
        assert bot.emails(1002) == bot.emails(LIST) == addresses(range(3))
