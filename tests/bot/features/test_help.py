"""The slash command and its subcommands: what help says, and what becomes of a word that is none."""

from pathlib import Path

from tests.bot.slack.harness import workspace

SUBCOMMANDS = ("connect", "map", "run", "status", "history", "cancel", "why", "undo", "pause", "resume", "help")


async def test_help_lists_every_subcommand(tmp_path: Path) -> None:
    """`help` names every subcommand privately, whatever its case and the blanks around it."""
    async with workspace(tmp_path) as here:
        await here.slack.marketer.command("/iterable-sync   HELP  ")
        shown = await here.slack.wait_for_message("marketing", "What Iterable Sync can do", reader=here.slack.marketer)

        assert shown.only_for == here.slack.marketer.id
        text = here.slack.render(shown)
        assert [name for name in SUBCOMMANDS if f"`/iterable-sync {name}" not in text] == []


async def test_unknown_subcommand(tmp_path: Path) -> None:
    """A word that is no subcommand is answered with the one that was probably meant, harmless in what it shows."""
    async with workspace(tmp_path) as here:
        await here.slack.marketer.command("/iterable-sync histroy <!channel>")
        shown = await here.slack.wait_for_message("marketing", "There is no", reader=here.slack.marketer)
        assert "Did you mean `/iterable-sync history`?" in here.slack.render(shown)

        await here.slack.marketer.command("/iterable-sync <!here>")
        shown = await here.slack.wait_for_message("marketing", "<!here>", reader=here.slack.marketer)
        assert "&lt;!here&gt;" in shown.text
        assert "Did you mean" not in shown.text


async def test_error_of_a_subcommand(tmp_path: Path) -> None:
    """What a subcommand can't do is said privately, in a sentence."""
    async with workspace(tmp_path) as here:
        await here.connection()
        await here.slack.marketer.command('/iterable-sync history "Nobody"')
        shown = await here.slack.wait_for_message("marketing", "No mapping is called", reader=here.slack.marketer)
        assert 'No mapping is called "Nobody".' in here.slack.render(shown)
