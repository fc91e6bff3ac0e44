"""The setup for tests of configuration files: an engine, a local Iterable, and a file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.configuration import commands
from core.configuration.plan import Change, Plan
from core.engine import Engine
from core.store import audit_log, connections, mappings
from core.store.audit_log import AuditEntry
from core.store.mappings import AudienceMapping
from tests.core.harness import QUICK, syncing

#: The variable with the key of the local Iterable.
KEY = "SHOP_KEY"
SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="
BASIC = """\
version: 1
connections:
  Shop:
    key: {env: SHOP_KEY}
    approvers: [U0ANA]
    mappings:
      buyers:
        audience: Buyers
        list: 1001
        name: All buyers
        exclude: {domains: [example.org], mappings: [visitors]}
        source: {address: /exports/buyers}
        schedules:
          Each morning: {cron: 0 8 * * 1-5}
          Then: {after: visitors}
      visitors:
        audience: Visitors
        new_list: Visitors
        alert_rules: {overdue: 5}
routes:
  ops:
    kind: webhook
    url: {env: OPS_URL}
    secret: {env: OPS_SECRET}
    headers: {X-Team: {env: OPS_URL}}
    connection: Shop
"""


@dataclass
class Configured:
    """An engine, and the file that is applied to it."""

    engine: Engine
    path: Path
    done: list[Change] = field(default_factory=list)

    async def apply(self, text: str = BASIC, *, overwrite: bool = False, prune: bool = False) -> list[str]:
        """Apply a file, and return what was done, as in "add mapping Shop/buyers"."""
        self.path.write_text(text, encoding="utf-8")
        self.done = []
        await commands.apply(self.engine, self.path, overwrite=overwrite, prune=prune, done=self.done)
        return _words(self.done)

    async def plan(self, text: str = BASIC, *, prune: bool = False) -> Plan:
        """Return the plan of a file."""
        self.path.write_text(text, encoding="utf-8")
        return await commands.make_plan(self.engine, self.path, prune=prune)

    async def export(self) -> str:
        """Return what is stored as a file."""
        return (await commands.export(self.engine)).text

    async def mapping(self, label: str) -> AudienceMapping:
        """Return the mapping that people call so."""
        (mapping,) = [each for each in await self.mappings() if each.label == label]
        return mapping

    async def mappings(self) -> list[AudienceMapping]:
        """Return all mappings."""
        async with self.engine.database.read() as db:
            known = await connections.everyone(db)
            return [mapping for each in known for mapping in await mappings.of_connection(db, each.id)]

    async def audit(self) -> list[AuditEntry]:
        """Return the audit log."""
        async with self.engine.database.read() as db:
            return await audit_log.page(db, team_id=None, after_id=0, limit=1_000)


def _words(changes: list[Change]) -> list[str]:
    return [f"{each.action} {each.item.kind} {each.item.name}" for each in changes]


@asynccontextmanager
async def configured(
    directory: Path, database_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Configured]:
    """Open an engine on a new database, with the secrets of the basic file in the environment."""
    async with syncing(directory, database_url, QUICK) as sync:
        assert sync.engine.settings.iterable_api_key is not None
        monkeypatch.setenv(KEY, sync.engine.settings.iterable_api_key.get_secret_value())
        monkeypatch.setenv("OPS_URL", "https://receiver.example/hook")
        monkeypatch.setenv("OPS_SECRET", SECRET)
        yield Configured(sync.engine, directory / "sync.yml")
