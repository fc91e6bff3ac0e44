"""Audiences that only the bot can fetch: registered by whoever executes runs, as far as its settings reach."""

from pathlib import Path

from bot import source_fetchers
from core.engine import open_engine
from core.settings import Settings


async def test_by_settings(tmp_path: Path) -> None:
    """Who has no Slack reads what a run rejected; who has the bot's token reads files in Slack as well."""
    found = []
    for token in (None, "xoxb-x"):
        settings = Settings.model_validate({"SLACK_BOT_TOKEN": token, "data_dir": tmp_path})
        async with open_engine(settings, "test") as engine:
            await source_fetchers.register(engine)
            found.append(set(engine.fetchers))

    assert found == [{"rejected"}, {"rejected", "slack-file"}]
