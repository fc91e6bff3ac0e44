"""A connection's access to mParticle's audiences: tested before it is saved, encrypted, replaced, deleted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from core.connections.environment import environment_connection
from core.connections.mparticle import (
    AmbiguousAudienceError,
    audience_size,
    choose_audience,
    connect_mparticle,
    disconnect_mparticle,
    fetch_audiences,
)
from core.engine import Engine, open_engine
from core.errors import ConflictError, ValidationError
from core.iterable import DataCenter
from core.mparticle.errors import AccountAccessError, MParticleCredentialsError
from core.mparticle.models import Pod
from core.settings import Settings
from core.store import audit_log, mparticle_accounts
from core.store.audit_log import COMMAND_LINE, AuditEntry
from core.store.connections import Connection
from sandbox.mparticle.lifecycle import running
from sandbox.mparticle.platform import DEFAULT_ACCOUNT, ListedAudience, Platform
from tests.core.databases import furnish


@dataclass
class Setup:
    """An engine with a connection, and the local platform API."""

    engine: Engine
    connection: Connection
    platform: Platform

    async def connect(self, **changed: Any) -> None:
        """Connect with the right credentials, or with changed ones."""
        values: dict[str, Any] = {
            "client_id": self.platform.client_id,
            "client_secret": f" {self.platform.client_secret}\n",
            "account_id": str(DEFAULT_ACCOUNT),
            "pod": Pod.EU1,
            "by": COMMAND_LINE,
            "team_id": None,
        }
        await connect_mparticle(self.engine, self.connection, **{**values, **changed})

    async def audited(self) -> list[AuditEntry]:
        """Return the audit entries of the connection."""
        async with self.engine.database.read() as db:
            return await audit_log.of(db, [f"connection:{self.connection.id}"])


@asynccontextmanager
async def setup(directory: Path) -> AsyncIterator[Setup]:
    """Open an engine on a new database, with a connection and the local platform API."""
    platform = Platform(
        accounts={DEFAULT_ACCOUNT: [ListedAudience(8754, "Spring", 120), ListedAudience(1, "New", None)]}
    )
    async with running(platform) as started:
        settings = Settings(
            ITERABLE_API_KEY=SecretStr("key"),
            mparticle_url=started.url,
            data_dir=directory / "data",
            _env_file=None,  # type: ignore[call-arg]
        )
        furnish(settings)
        async with open_engine(settings, "test") as engine:
            connection = await environment_connection(engine, user_id=None, data_center=DataCenter.US, rate=0)
            yield Setup(engine, connection, platform)


async def test_life_of_an_access(tmp_path: Path) -> None:
    """Access is saved encrypted, read by name and size, replaced, and deleted, with an audit entry each."""
    async with setup(tmp_path) as each:
        assert await fetch_audiences(each.engine, each.connection.id) is None
        assert await audience_size(each.engine, each.connection.id, "8754") is None
        await each.connect()
        async with each.engine.database.read() as db:
            account = await mparticle_accounts.of_connection(db, each.connection.id)
        assert account is not None
        assert each.platform.client_secret.encode() not in account.client_secret
        assert each.engine.vault.decrypt(account.client_secret) == each.platform.client_secret
        sizes = [await audience_size(each.engine, each.connection.id, number) for number in ("8754", "1", "77")]
        assert sizes == [120, None, None]
        assert await audience_size(each.engine, each.connection.id, "8754", "Spring - Blue") is None
        assert each.platform.requests["/v1/audiences"] == 1  # the test at connect
        each.platform.delete(8754)
        known = await fetch_audiences(each.engine, each.connection.id, max_age_s=0)
        assert known is not None
        assert known.by_id("8754") is None

        each.platform.client_secret = "rotated-in-mparticle"
        each.platform.expire_tokens()
        await each.connect(pod=Pod.US2)
        await disconnect_mparticle(each.engine, each.connection, by=COMMAND_LINE, team_id=None)
        with pytest.raises(ConflictError):
            await disconnect_mparticle(each.engine, each.connection, by=COMMAND_LINE, team_id=None)
        assert await audience_size(each.engine, each.connection.id, "1") is None
        shown = {"account": "4711", "client_id": "...ient"}
        assert [(entry.action.value, entry.before, entry.after) for entry in await each.audited()] == [
            ("connection.mparticle_connected", None, {"pod": "eu1", **shown}),
            ("connection.mparticle_connected", {"pod": "eu1", **shown}, {"pod": "us2", **shown}),
            ("connection.mparticle_disconnected", {"pod": "us2", **shown}, None),
        ]


async def test_what_does_not_work_is_not_saved(tmp_path: Path) -> None:
    """Wrong credentials, accounts and values leave nothing behind, and no audit entry."""
    async with setup(tmp_path) as each:
        with pytest.raises(MParticleCredentialsError):
            await each.connect(client_secret="wrong")
        with pytest.raises(AccountAccessError):
            await each.connect(account_id="99")
        for wrong in ({"account_id": "x"}, {"account_id": "0"}, {"client_id": ""}, {"client_secret": "a b"}):
            with pytest.raises(ValidationError):
                await each.connect(**wrong)
        assert await fetch_audiences(each.engine, each.connection.id) is None
        assert await each.audited() == []


async def test_refusal_is_noted_and_forgotten(tmp_path: Path) -> None:
    """A secret that mParticle refuses later is marked, until it works again."""

    async def refused_at() -> float | None:
        async with each.engine.database.read() as db:
            account = await mparticle_accounts.of_connection(db, each.connection.id)
        assert account is not None
        return account.refused_at

    async with setup(tmp_path) as each:
        await each.connect()
        right, each.platform.client_secret = each.platform.client_secret, "another"
        each.platform.expire_tokens()
        with pytest.raises(MParticleCredentialsError):
            await fetch_audiences(each.engine, each.connection.id, max_age_s=0)
        assert await refused_at() is not None
        each.platform.client_secret = right
        await fetch_audiences(each.engine, each.connection.id, max_age_s=0)
        assert await refused_at() is None


async def test_choice_by_name(tmp_path: Path) -> None:
    """An audience is found by id or name, and a name that several have is an error with their ids."""
    async with setup(tmp_path) as each:
        each.platform.accounts[DEFAULT_ACCOUNT].append(ListedAudience(9, "spring"))
        await each.connect()
        known = await fetch_audiences(each.engine, each.connection.id)
        assert known is not None
        chosen = [choose_audience(known, text) for text in ("NEW", "9", "Summer")]
        assert [each and each.id for each in chosen] == ["1", "9", None]
        with pytest.raises(AmbiguousAudienceError, match=r"Choose by id: 9, 8754\."):
            choose_audience(known, "Spring")
