"""Freezing in Slack: the command, the form, and what the messages say meanwhile."""

import time
from pathlib import Path

from bot.features.ids import FreezeAction, FreezeCallback
from core.store import freezes, mappings
from core.store.freezes import Freeze
from tests.bot.slack.following import LONG, card, choose, ended, start
from tests.bot.slack.harness import AMIR, Workspace, workspace
from tests.core.harness import RunStatus, people


async def freeze_of(bot: Workspace, mapping_id: int) -> Freeze | None:
    """The freeze of a mapping as it is stored."""
    async with bot.engine.database.read() as db:
        return await freezes.of_mapping(db, mapping_id)


async def test_all_are_frozen_until_a_day_in_the_persons_time_zone(tmp_path: Path) -> None:
    """`freeze all until monday` ends at midnight where the person is; a sync waits, says so, and ends after
    `unfreeze all`."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        maya = bot.slack.marketer
        maya.user.tz = "Asia/Tokyo"

        await maya.command("/iterable-sync freeze all until monday")
        reply = await bot.slack.wait_for_message("marketing", "All mappings are frozen until", reader=maya)
        current = await freeze_of(bot, mapping.id)
        run_id = await start(bot, tmp_path, mapping, people(range(3)))
        message = await bot.slack.wait_for_message("marketing", "Frozen until", timeout=LONG)

        assert current is not None
        assert current.until is not None
        assert (current.until + 9 * 3600) % 86400 == 0
        assert time.gmtime(current.until + 9 * 3600).tm_wday == 0
        assert "for all mappings. The sync then continues automatically." in bot.slack.render(message)
        assert not bot.emails()
        await maya.click(reply, FreezeAction.UNFREEZE)
        assert (await ended(bot, run_id)).status is RunStatus.SUCCEEDED
        assert len(bot.emails()) == 3


async def test_form(tmp_path: Path) -> None:
    """The form freezes by hand and before campaigns, and shows an unreadable time at its input."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        maya = bot.slack.marketer
        page = await maya.open_home()
        await choose(maya, page, FreezeAction.OPEN)
        form = await maya.open_view(FreezeCallback.FREEZE)
        await maya.fill(form, {"freezes-until": "soon"})
        refused = await maya.submit(form)
        await maya.fill(form, {"freezes-until": "2h", "freezes-holds": "removals", "freezes-campaigns": "30"})
        assert (await maya.submit(form)).ok

        assert "“soon” is no time" in refused.errors["freezes-until"]
        await bot.slack.wait_for(lambda: "is frozen for removals until" in bot.slack.render(maya.view), LONG)
        current = await freeze_of(bot, mapping.id)
        assert current is not None
        assert current.holds is mappings.FreezeHolds.REMOVALS
        async with bot.engine.database.read() as db:
            stored = await mappings.by_id(db, mapping.id)
        assert stored is not None
        assert stored.freeze_before_s == 1800.0


async def test_who_may_freeze_all(tmp_path: Path) -> None:
    """A person who may not start syncs of every connection can't freeze all mappings."""
    async with workspace(tmp_path) as bot:
        mapping = await bot.mapping(await bot.connection())
        await bot.connection("Other", operators=(AMIR,), approvers=(AMIR,))

        await bot.slack.marketer.command("/iterable-sync freeze all until 2h")

        await bot.slack.wait_for_message("marketing", "Only people who can start syncs", reader=bot.slack.marketer)
        assert await freeze_of(bot, mapping.id) is None


async def test_card_shows_campaigns(tmp_path: Path) -> None:
    """The approval card shows the campaigns of the list, and says if one uses it as a suppression list."""
    async with workspace(tmp_path) as bot:
        now = bot.iterable.state.now_ms()
        bot.iterable.state.add_campaign("Spring <launch>", [1001], start_at=now + 3_600_000)
        bot.iterable.state.add_campaign("Winter", [1002], start_at=now - 1000, suppression_list_ids=[1001])
        message = await card(bot, tmp_path, people(range(3)))
        shown = bot.slack.render(message)
        assert "*Spring &lt;launch&gt;* goes to this list" in str(message.blocks)
        assert "Winter* is being sent now and leaves out the people on this list." in shown
