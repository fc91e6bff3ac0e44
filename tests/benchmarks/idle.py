"""The statements that a process executes while nothing happens."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import insert, update

from bot.messages.limits import MessagingLimits
from bot.serve import serving
from core.engine import Engine, open_engine
from core.settings import Settings
from core.store import clock, slack_messages
from core.store.database import Database
from core.store.slack_messages import MessageStatus
from core.store.tables import file_sources, mappings, schedules
from tests.bot.slack.harness import LIST, Workspace, workspace
from tests.core.databases import noted_statements
from tests.core.store.seeds import add_connection, add_mapping

# How long a process settles before its statements are counted, in seconds.
SETTLES_S = 8.0


@dataclass(frozen=True, slots=True)
class Idleness:
    """What an idle process has: live audiences, scheduled mappings, and messages that Slack shows (None: no Slack)."""

    live: int = 0
    scheduled: int = 0
    shown: int | None = None


CASES = {
    "no live audience": Idleness(),
    "20 live audiences": Idleness(live=20),
    "200 live audiences": Idleness(live=200),
    "20 scheduled mappings": Idleness(scheduled=20),
    "Slack, nothing shown": Idleness(shown=0),
    "Slack, 20 messages, 200 live, 20 scheduled": Idleness(live=200, scheduled=20, shown=20),
}


async def count_statements(directory: Path, database_url: str | None, idle: Idleness, seconds: float) -> Counter[str]:
    """Return how often each statement is executed in so many seconds, without BEGIN, COMMIT and pings."""
    async with _process(directory, database_url, idle) as engine:
        await asyncio.sleep(SETTLES_S)
        with noted_statements(engine.database, with_heartbeats=True) as statements:
            await asyncio.sleep(seconds)
        return Counter(statements)


@asynccontextmanager
async def _process(directory: Path, database_url: str | None, idle: Idleness) -> AsyncIterator[Engine]:
    if idle.shown is not None:
        async with workspace(directory, database_url, MessagingLimits()) as bot:
            await _fill(bot.engine.database, idle)
            await _show(bot, idle.shown)
            yield bot.engine
        return
    settings = Settings(
        data_dir=directory,
        database_url=SecretStr(database_url) if database_url else None,
        port=0,
        _env_file=None,  # type: ignore[call-arg]
    )
    async with open_engine(settings, "idle") as engine:
        await _fill(engine.database, idle)
        async with serving(engine):
            yield engine
            engine.stopping.set()


async def _fill(database: Database, idle: Idleness) -> None:
    connection = await add_connection(database)
    for number in range(idle.live + idle.scheduled):
        mapping = await add_mapping(database, connection, list_id=5000 + number, audience=f"A{number}")
        async with database.write() as db:
            if number < idle.live:
                await db.execute(update(mappings).where(mappings.c.id == mapping.id).values(is_live=True))
                continue
            now = await clock.now(db)
            source = {"mapping_id": mapping.id, "address": f"/exports/{number}", "set_by": "U1"}
            await db.execute(insert(file_sources).values(**source))
            await db.execute(
                insert(schedules).values(
                    connection_id=connection,
                    mapping_id=mapping.id,
                    name=f"S{number}",
                    trigger="cron",
                    cron="0 6 * * *",
                    time_zone="UTC",
                    next_due_at=now + 80_000,
                    created_by="U1",
                    created_at=now,
                )
            )


async def _show(bot: Workspace, messages: int) -> None:
    """Propose mappings, and wait until Slack shows them."""
    if not messages:
        return
    connection = await bot.connection()
    proposed = [
        await bot.mapping(connection, f"P{number}", list_id=LIST + number, active=False) for number in range(messages)
    ]
    ends_at = time.monotonic() + 120
    while time.monotonic() < ends_at:
        async with bot.engine.database.read() as db:
            stored = await slack_messages.of(db, [f"mapping:{mapping.id}" for mapping in proposed])
        if sum(each.status is MessageStatus.POSTED for each in stored.values()) == messages:
            return
        await asyncio.sleep(0.5)
    raise TimeoutError(f"only {len(stored)} of {messages} messages are shown")
