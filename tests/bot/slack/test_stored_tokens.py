"""The stored tokens of workspaces, when the secret key is replaced."""

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import insert

from bot.slack.installation_store import encrypted_columns
from core.engine import open_engine
from core.privacy.key_rotation import rotate_key
from core.vault import Vault
from tests.core.privacy.stored_secrets import as_bytes, filled, new_key, settings_with, value_of


async def test_tokens_of_slack(tmp_path: Path) -> None:
    """The tokens of workspaces that installed the app are encrypted again, too."""
    old, new = new_key(), new_key()
    columns = encrypted_columns()
    assert {f"{column.table.name}.{column.name}" for column in columns} >= {
        "slack_bots.bot_token",
        "slack_installations.bot_token",
        "slack_installations.user_token",
    }
    async with open_engine(settings_with(tmp_path, None, new, old), "test") as engine:
        async with engine.database.write() as db:
            for table in {column.table.name: column.table for column in columns}.values():
                await db.run_sync(table.create)
                secrets = {column.key: Vault([old]).encrypt("xoxb-1").decode() for column in columns}
                others = {"installed_at": datetime.now(UTC).replace(tzinfo=None), "is_enterprise_install": False}
                await db.execute(insert(table).values(filled(table, secrets | others)))
        assert await rotate_key(engine, columns) == len(columns)
        for column in columns:
            assert Vault([new]).decrypt(as_bytes(await value_of(engine.database, column))) == "xoxb-1"
