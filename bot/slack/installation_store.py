"""Stores installations in many workspaces (OAuth) in our database, with encrypted tokens.

slack-sdk defines the tables. They are created when this mode is first used. The times in them are the database's, as in
all other tables. slack-sdk goes by the clock of the process, so they are converted when they are read and written.
"""

import time
from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import uuid4

from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.installation_store.sqlalchemy import AsyncSQLAlchemyInstallationStore
from slack_sdk.oauth.state_store.sqlalchemy import AsyncSQLAlchemyOAuthStateStore
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import Column, MetaData, Table, Text, delete, insert, select, text
from sqlalchemy.types import TypeDecorator

from bot.slack.organizations import OrganizationWorkspaces
from bot.slack.token_rotation import TokenRotation
from core.settings import Settings
from core.store import clock, workspaces
from core.store.database import Database
from core.store.migrate import MIGRATION_LOCK
from core.vault import Vault

# How long a person may take on Slack's install page, in seconds.
STATE_EXPIRES_S = 600

Held = TypeVar("Held", Bot, Installation)

#: Whether a workspace may use the app, by its id.
MayInstall = Callable[[str | None], bool]

# What slack-sdk sets, and compares, by the clock of the process, in seconds since 1970.
_EXPIRIES = ("bot_token_expires_at", "user_token_expires_at")

_SECRET = ("bot_token", "bot_refresh_token", "user_token", "user_refresh_token", "incoming_webhook_url")


class _Sealed(TypeDecorator[str]):
    """A column whose text is encrypted in the database."""

    impl = Text
    cache_ok = True

    def __init__(self, vault: Vault) -> None:
        super().__init__()
        self._vault = vault

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        """Encrypt a value."""
        return None if value is None else self._vault.encrypt(value).decode("ascii")

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        """Decrypt a value. Raises SettingsError if it was encrypted with another key."""
        return None if value is None else self._vault.decrypt(value.encode("ascii"))


class EncryptedInstallationStore(AsyncSQLAlchemyInstallationStore):
    """Stores the installations of the app, with their tokens."""

    def __init__(self, database: Database, vault: Vault, may_install: MayInstall, rotator: AsyncTokenRotator) -> None:
        """Take the database, which workspaces may use the app, and what refreshes tokens. No I/O; see `open_stores`."""
        client_id = rotator.client_id
        super().__init__(client_id, database.engine)
        self._database = database
        self.workspaces = OrganizationWorkspaces(client_id, database, self.metadata)
        self.rotation = TokenRotation(rotator, self._stored, self.async_save_bot)
        self._may_install = may_install
        for table in (self.installations, self.bots):
            _seal(table, vault)
        self._writer = AsyncSQLAlchemyInstallationStore(client_id, _writing(database))
        self._writer.installations, self._writer.bots = self.installations, self.bots

    async def async_save(self, installation: Installation) -> None:
        """Store an installation and its bot. Restores the data that the workspace had before it removed the app."""
        ahead = await self._clock_ahead()
        stored = _shifted(installation, ahead)
        stored.installed_at = time.time() + ahead  # the latest one of a workspace counts
        await self._writer.async_save(stored)
        if installation.team_id is not None:
            async with self._database.write() as db:
                await workspaces.restore(db, installation.team_id)

    async def async_save_bot(self, bot: Bot) -> None:
        """Store the bot of an installation."""
        await self._writer.async_save_bot(_shifted(bot, await self._clock_ahead()))

    async def async_find_bot(
        self, *, enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool | None = False
    ) -> Bot | None:
        """Find the bot of a workspace or organization, with a token that works.

        Without the id of its organization, a workspace is looked up in the database. If the app is installed for the
        organization, its bot is returned. Returns None if neither the workspace nor its organization may use the app.
        """
        organization = enterprise_id
        if organization is None and team_id is not None:
            organization = await self._organization_of(team_id)
        if not (self._may_install(team_id) or self._may_install(organization)):
            return None
        bot = None
        if not is_enterprise_install:
            bot = await super().async_find_bot(enterprise_id=organization, team_id=team_id)
        if bot is None and organization is not None:
            bot = await super().async_find_bot(enterprise_id=organization, team_id=None, is_enterprise_install=True)
        if bot is None:
            return None
        if bot.is_enterprise_install and team_id is not None and organization is not None:
            await self.workspaces.remember(team_id, organization)
        return await self.rotation.usable(await self._by_own_clock(bot))

    async def _stored(self, bot: Bot) -> Bot | None:
        """Return the bot of the same installation as it is stored now."""
        stored = await super().async_find_bot(
            enterprise_id=bot.enterprise_id, team_id=bot.team_id, is_enterprise_install=bot.is_enterprise_install
        )
        return None if stored is None else await self._by_own_clock(stored)

    async def _by_own_clock(self, bot: Bot) -> Bot:
        """Return a stored bot with the time at which its token expires by the clock of this process."""
        return bot if bot.bot_token_expires_at is None else _shifted(bot, -await self._clock_ahead())

    async def _clock_ahead(self) -> float:
        """Return how many seconds the database's clock is ahead of that of this process."""
        async with self._database.read() as db:
            return await clock.now(db) - time.time()

    async def _organization_of(self, team_id: str) -> str | None:
        bots = self.bots.c
        query = select(bots.enterprise_id).where(bots.client_id == self.client_id, bots.team_id == team_id)
        async with self.engine.connect() as connection:
            enterprise_id: str | None = (
                await connection.execute(query.order_by(bots.installed_at.desc()).limit(1))
            ).scalar_one_or_none()
        return enterprise_id or await self.workspaces.organization_of(team_id)

    async def async_delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        """Delete the bot of a workspace."""
        await self._writer.async_delete_bot(enterprise_id=enterprise_id, team_id=team_id)

    async def async_delete_installation(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None
    ) -> None:
        """Delete an installation."""
        await self._writer.async_delete_installation(enterprise_id=enterprise_id, team_id=team_id, user_id=user_id)


class ExpiringStateStore(AsyncSQLAlchemyOAuthStateStore):
    """Stores the states of started installations until they expire.

    slack-sdk deletes only the states of completed installations, and anyone can start one.
    """

    async def async_issue(self, *args: Any, **kwargs: Any) -> str:
        """Return a new state, and delete expired ones."""
        state = str(uuid4())
        async with self.engine.begin() as connection:
            now = await clock.now(connection)
            await connection.execute(delete(self.oauth_states).where(self.oauth_states.c.expire_at < _moment(now)))
            expires = _moment(now + self.expiration_seconds)
            await connection.execute(insert(self.oauth_states).values(state=state, expire_at=expires))
        return state

    async def async_consume(self, state: str) -> bool:
        """Delete a state. Returns whether there was one that had not expired."""
        states = self.oauth_states.c
        async with self.engine.begin() as connection:
            is_valid = (states.state == state, states.expire_at > _moment(await clock.now(connection)))
            return bool((await connection.execute(delete(self.oauth_states).where(*is_valid))).rowcount)


async def open_stores(
    settings: Settings, database: Database, vault: Vault, client: AsyncWebClient
) -> tuple[EncryptedInstallationStore, ExpiringStateStore]:
    """Return the stores of installations and of OAuth states. Creates their tables if needed.

    `client` has no token; it refreshes tokens.
    """
    assert settings.slack_client_id is not None
    assert settings.slack_client_secret is not None
    secret = settings.slack_client_secret.get_secret_value()
    rotator = AsyncTokenRotator(client_id=settings.slack_client_id, client_secret=secret, client=client)
    installations = EncryptedInstallationStore(database, vault, settings.may_install, rotator)
    states = ExpiringStateStore(STATE_EXPIRES_S, _writing(database))
    async with database.write() as db:
        if not database.is_sqlite:  # two processes may start at the same time
            await db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        for metadata in (installations.metadata, states.metadata):
            await db.run_sync(_create, metadata)
    return installations, states


def encrypted_columns() -> list[Column[Any]]:
    """Return the columns of Slack's tables that contain encrypted text, as it is stored."""
    store = AsyncSQLAlchemyInstallationStore
    tables = (
        store.build_installations_table(MetaData(), store.default_installations_table_name),
        store.build_bots_table(MetaData(), store.default_bots_table_name),
    )
    return [table.c[name] for table in tables for name in _SECRET if name in table.c]


def _moment(at: float) -> datetime:
    """Return a time (UTC seconds) as slack-sdk stores it."""
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None)


def _shifted(held: Held, seconds: float) -> Held:
    """Return a copy of an installation or a bot whose tokens expire so many seconds later."""
    shifted = copy(held)
    for name in _EXPIRIES:
        if (at := getattr(held, name, None)) is not None:
            setattr(shifted, name, round(at + seconds))
    return shifted


def _create(connection: Any, metadata: MetaData) -> None:
    metadata.create_all(connection)


def _writing(database: Database) -> Any:
    # A transaction on SQLite that writes after reading must begin as a write transaction.
    return database.engine.execution_options(writing=True)


def _seal(table: Table, vault: Vault) -> None:
    for name in _SECRET:
        if name in table.c:
            table.c[name].type = _Sealed(vault)
