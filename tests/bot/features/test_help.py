"""The slash command and its subcommands: the help, and the answer to unknown words."""

from pathlib import Path

from tests.bot.slack.harness import workspace

SUBCOMMANDS = (
    *("connect", "map", "run", "status", "history", "cancel", "why", "undo"),
    *("pause", "resume", "fields", "help"),
)


async def test_help_lists_every_subcommand(tmp_path: Path) -> None:
    """`help` lists every subcommand privately, whatever its case and the blanks around it."""
    async with workspace(tmp_path) as bot:
        await bot.slack.marketer.command("/iterable-sync   HELP  ")
        shown = await bot.slack.wait_for_message("marketing", "Iterable Sync commands", reader=bot.slack.marketer)

        assert shown.only_for == bot.slack.marketer.id
        text = bot.slack.render(shown)
        assert [name for name in SUBCOMMANDS if f"`/iterable-sync {name}" not in text] == []


async def test_unknown_subcommand(tmp_path: Path) -> None:
    """The answer to an unknown subcommand suggests the closest one, and escapes the typed text."""
    async with workspace(tmp_path) as bot:
        await bot.slack.marketer.command("/iterable-sync histroy <!channel>")
        shown = await bot.slack.wait_for_message("marketing", "There is no", reader=bot.slack.marketer)
        assert "Did you mean `/iterable-sync history`?" in bot.slack.render(shown)

        await bot.slack.marketer.command("/iterable-sync <!here>")
        shown = await bot.slack.wait_for_message("marketing", "<!here>", reader=bot.slack.marketer)
        assert "&lt;!here&gt;" in shown.text
        assert "Did you mean" not in shown.text


async def test_error_of_a_subcommand(tmp_path: Path) -> None:
    """A subcommand that fails gives a private answer in one sentence."""
    async with workspace(tmp_path) as bot:
        await bot.connection()
        await bot.slack.marketer.command('/iterable-sync history "Unknown"')
        shown = await bot.slack.wait_for_message("marketing", "No mapping is called", reader=bot.slack.marketer)
        assert 'No mapping is called "Unknown".' in bot.slack.render(shown)
