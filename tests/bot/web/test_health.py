"""What watches over a process learns whether it lives, whether it can work, and how it does."""

import re
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import text

from bot import metrics
from bot.web import server
from core.engine import open_engine
from core.errors import SettingsError
from tests.core.databases import furnish
from tests.firehosing import TOKEN, VIPS, Live, firehosing, person, settings_for


async def get(it: Live, path: str) -> tuple[int, str]:
    """Ask for a page; returns the status and what it says."""
    async with aiohttp.ClientSession() as session, session.get(it.base_url + path) as answer:
        return answer.status, await answer.text()


async def test_alive_and_ready(tmp_path: Path, database_url: str) -> None:
    """A process that is up is alive and ready."""
    async with firehosing(tmp_path, database_url) as it:
        assert await get(it, "/healthz") == (200, "ok\n")
        status, said = await get(it, "/readyz")
        assert (status, said) == (200, '{"database": "ok", "migrations": "ok", "worker": "ok"}')


async def test_not_ready(tmp_path: Path) -> None:
    """A process whose database was brought to another form, or that is not heard of, is alive but not ready."""
    async with firehosing(tmp_path, worker=False) as it:
        async with it.engine.database.write() as db:
            await db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
            await db.execute(text("DELETE FROM workers"))
        status, said = await get(it, "/readyz")
        assert status == 503
        assert "restart this process" in said
        assert "has not been heard of" in said
        assert (await get(it, "/healthz"))[0] == 200


async def test_metrics(tmp_path: Path) -> None:
    """The metrics contain runs, members by outcome, requests, rates, backlog and answers, and no identifiers."""
    async with firehosing(tmp_path, firehose_approval="none") as it:
        await it.mparticle.add(VIPS, person(1), person(2, email=None))
        await it.settled()
        metrics.SLACK_CALLS.labels(method="conversations.close", answer="ok").inc()  # the bot never calls it
        metrics.ACKNOWLEDGEMENT_SECONDS.labels(kind="command").observe(0.02)
        status, said = await get(it, "/metrics")
    assert status == 200
    for line in (
        'iterable_sync_runs{status="succeeded"} 1.0',
        'iterable_sync_members_total{outcome="added"} 1.0',
        'iterable_sync_members_total{outcome="rejected"} 1.0',
        'iterable_sync_backlog{for="upload"} 0.0',
        "iterable_sync_pace_rate 5.0",
        'iterable_sync_slack_calls_total{answer="ok",method="conversations.close"} 1.0',
    ):
        assert line in said
    assert "iterable_sync_firehose_seconds_bucket" in said
    assert "iterable_sync_slack_acknowledgement_seconds_bucket" in said
    labels = " ".join(re.findall(r"{(.*)}", said))  # in the numbers any digits may stand
    for identifier in ("example.com", "8754", "4711", "VIPs"):
        assert identifier not in labels


async def test_address_of_their_own(tmp_path: Path) -> None:
    """/metrics and /readyz can have an address of their own; then the other one, which strangers reach, has neither."""
    settings = settings_for(tmp_path, "http://127.0.0.1:1", port=0, metrics_port=0)
    furnish(settings)
    async with open_engine(settings, "test") as engine, server.listening(engine, None) as addresses:
        for url, served in (
            (addresses.main, {"/healthz": 200, "/readyz": 404, "/metrics": 404}),
            (
                addresses.metrics,
                {"/healthz": 404, "/readyz": 200, "/metrics": 200, f"/mparticle/firehose/{TOKEN}": 404},
            ),
        ):
            for path, status in served.items():
                async with aiohttp.ClientSession() as session, session.get(url + path) as answer:
                    assert answer.status == status, (url, path)


async def test_address_that_is_taken(tmp_path: Path) -> None:
    """If their address is taken, the sentence names its settings."""
    settings = settings_for(tmp_path, "http://127.0.0.1:1", port=0, metrics_port=0)
    furnish(settings)
    async with open_engine(settings, "test") as engine, server.listening(engine, None) as addresses:
        taken = settings.model_copy(update={"metrics_port": int(addresses.metrics.rpartition(":")[2])})
        engine.settings = taken
        with pytest.raises(SettingsError, match="ITERABLE_SYNC_METRICS_PORT"):
            async with server.listening(engine, None):
                pass
