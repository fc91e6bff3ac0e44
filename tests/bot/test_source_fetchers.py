"""The bot registers fetchers for the audiences that only it can fetch, if the settings allow it."""

from pathlib import Path

from bot import source_fetchers
from core.engine import open_engine
from core.settings import Settings


async def test_by_settings(tmp_path: Path) -> None:
    """Without Slack's settings rejected members and uploads can be fetched; with a bot token also files in Slack."""
    schemes = []
    for token in (None, "xoxb-x"):
        settings = Settings.model_validate({"SLACK_BOT_TOKEN": token, "data_dir": tmp_path})
        async with open_engine(settings, "test") as engine:
            await source_fetchers.register(engine)
            schemes.append(set(engine.fetchers))

    assert schemes == [{"rejected", "upload"}, {"rejected", "slack-file", "upload"}]
