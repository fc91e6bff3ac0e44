"""Choosing the data fields of a mapping in Slack: a menu of the file's columns, and an approval that shows them."""

from pathlib import Path

from bot.features.ids import MappingBlock, MappingCallback
from core.models.run import RunStatus
from core.store.mappings import MappingStatus
from tests.bot.features.test_mapping import read_privately, reload
from tests.bot.features.test_runs import start_run, wait_for_end
from tests.bot.slack.harness import AMIR, TEAM, workspace
from tests.core.harness import decide

TABLE = b"email,Plan,city\na@example.com,gold,Bonn\n"


async def test_columns_of_the_file_are_chosen_and_approved(tmp_path: Path) -> None:
    """The menu offers the columns of the latest file, none is chosen, and the approver sees what is chosen."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        await wait_for_end(bot, await start_run(bot, mapping, TABLE))
        assert (await bot.slack.marketer.command("/iterable-sync fields SpringShoppers")).ok
        view = await bot.slack.marketer.open_view(MappingCallback.FIELDS)
        (menu,) = [block["element"] for block in view.blocks if block["type"] == "input"]
        assert [each["value"] for each in menu["options"]] == ["Plan", "city"]
        assert "initial_options" not in menu
        await bot.slack.marketer.fill(view, {MappingBlock.FIELDS: ["Plan"]})
        assert (await bot.slack.marketer.submit()).ok
        assert "once an approver agrees" in await read_privately(bot, "sends the data fields Plan")
        assert (await reload(bot, mapping)).status is MappingStatus.PROPOSED

        waiting = await wait_for_end(bot, await start_run(bot, mapping, TABLE))
        assert waiting.status is RunStatus.NEEDS_APPROVAL
        await bot.slack.wait_for_message("marketing", "with the data fields Plan")
        await decide(bot.engine, waiting.id, by=AMIR, team_id=TEAM)
        assert (await wait_for_end(bot, waiting.id)).status is RunStatus.SUCCEEDED
        assert list(bot.iterable.state.project().data.values()) == [{"Plan": "gold"}]
        assert (await reload(bot, mapping)).status is MappingStatus.ACTIVE
