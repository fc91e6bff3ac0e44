"""Test harness of live audiences: the bot between a local mParticle, a local Slack and a local Iterable."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bot.messages.limits import MessagingLimits
from bot.serve import serving
from core.engine import open_engine
from core.store import audit_log, clock
from core.store import live_mappings as store
from core.store.audit_log import AuditEntry
from core.store.mappings import AudienceMapping
from sandbox.iterable import running as iterable_running
from sandbox.mparticle import Audience, MParticle
from tests.bot.slack import harness
from tests.bot.slack.harness import BRISK, Workspace
from tests.core.databases import furnish
from tests.core.harness import QUICK
from tests.firehosing import TOKEN


@dataclass
class Fed(Workspace):
    """A workspace with the running bot, and an mParticle that sends messages to it."""

    mparticle: MParticle

    async def mapping_of(self, audience: Audience) -> AudienceMapping:
        """Return the live mapping of an audience."""
        async with self.engine.database.read() as db:
            (mapping,) = [each for each in await store.everyone(db) if each.audience_id == str(audience.id)]
        return mapping

    async def status_of(self, audience: Audience) -> store.LiveStatus:
        """Return the status of an audience's mapping."""
        mapping = await self.mapping_of(audience)
        async with self.engine.database.read() as db:
            return await store.status(db, mapping.id, await clock.now(db))

    async def entries_of(self, audience: Audience) -> list[AuditEntry]:
        """Return the audit entries of an audience's mapping."""
        mapping = await self.mapping_of(audience)
        async with self.engine.database.read() as db:
            return await audit_log.of(db, [f"mapping:{mapping.id}"])


@asynccontextmanager
async def fed(directory: Path, pace: MessagingLimits = BRISK, **changed: Any) -> AsyncIterator[Fed]:
    """Run a local mParticle, Slack and Iterable with the bot between them. `changed`: settings of the bot."""
    async with AsyncExitStack() as stack:
        iterable = await stack.enter_async_context(iterable_running())
        slack = await stack.enter_async_context(harness.local_slack())
        defaults = harness.settings_for(slack, iterable, directory)
        values = {
            "firehose_token": SecretStr(TOKEN),
            "firehose_gather_s": 0.02,
            "firehose_merge_window_s": 0.0,
            **changed,
        }
        settings = defaults.model_copy(update=values)
        furnish(settings)
        engine = await stack.enter_async_context(open_engine(settings, "test", retry_policy=QUICK))
        services = await stack.enter_async_context(serving(engine, pace=pace))
        if settings.slack_app_token is not None:
            await slack.wait_connected()
        address = f"{services.address}/mparticle/firehose/{TOKEN}"
        account = {"apiKey": iterable.key, "userIdField": "customerId"}
        mparticle = await stack.enter_async_context(MParticle(address, settings=account, attempts=1))
        yield Fed(slack, iterable, engine, services, mparticle)
