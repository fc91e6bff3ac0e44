"""The stored tokens of workspaces: when the secret key is replaced, and if the clocks of processes differ."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import insert

from bot.slack.installation_store import (
    EncryptedInstallationStore,
    ExpiringStateStore,
    encrypted_columns,
    open_stores,
)
from core.engine import open_engine
from core.privacy.key_rotation import rotate_key
from core.settings import Settings
from core.store.database import Database
from core.vault import Vault
from tests.clocks import set_database_clock, set_process_clock
from tests.core.privacy.stored_secrets import as_bytes, filled, new_key, settings_with, value_of

HOUR = 3600.0


@asynccontextmanager
async def stored(
    directory: Path, database_url: str
) -> AsyncIterator[tuple[Database, EncryptedInstallationStore, ExpiringStateStore]]:
    """Open a database with the stores of installations and of their states."""
    settings = Settings(
        data_dir=directory / "data",
        database_url=SecretStr(database_url),
        slack_client_id="1.2",
        slack_client_secret=SecretStr("secret"),
        slack_signing_secret=SecretStr("secret"),
        allowed_workspaces=("*",),
        _env_file=None,  # type: ignore[call-arg]
    )
    async with open_engine(settings, "test") as engine:
        yield engine.database, *await open_stores(settings, engine.database, engine.vault, AsyncWebClient())


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


@pytest.mark.parametrize("by", [3 * HOUR, -3 * HOUR])
async def test_expiry_of_a_token(tmp_path: Path, database_url: str, by: float) -> None:
    """A token that another process has stored expires when it does, and the latest installation counts."""
    async with stored(tmp_path, database_url) as (_, installations, _):
        for number, clock in enumerate((max(by, 0.0), min(by, 0.0))):
            with pytest.MonkeyPatch.context() as patch:
                set_process_clock(patch, clock)
                installation = Installation(
                    app_id="A1",
                    team_id="T1",
                    user_id="U1",
                    bot_id="B1",
                    bot_user_id="UB",
                    bot_token=f"xoxe.{number}",
                    bot_token_expires_at=int(time.time() + 12 * HOUR),  # as slack-sdk sets it
                )
                await installations.async_save(installation)
        for clock in (0.0, by):
            with pytest.MonkeyPatch.context() as patch:
                set_process_clock(patch, clock)
                bot = await installations.async_find_bot(enterprise_id=None, team_id="T1")
                assert bot is not None
                assert bot.bot_token == "xoxe.1"
                assert abs((bot.bot_token_expires_at or 0) - time.time() - 12 * HOUR) < 60


@pytest.mark.parametrize("by", [HOUR, -HOUR])
async def test_installations_that_were_started(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, by: float
) -> None:
    """An installation that another process has started is completed once, and within ten minutes."""
    async with stored(tmp_path, database_url) as (database, _, states):
        first, late = await states.async_issue(), await states.async_issue()
        set_process_clock(monkeypatch, by)
        assert [await states.async_consume(first) for _ in range(2)] == [True, False]
        monkeypatch.undo()
        await set_database_clock(database, monkeypatch, by=601.0)
        assert not await states.async_consume(late)
