"""Health, readiness and metrics over HTTP."""

import re
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import text

from bot import metrics
from bot.web import server
from core.engine import open_engine
from core.errors import SettingsError
from tests.core.databases import FILE, furnish
from tests.firehosing import TOKEN, VIPS, Live, firehosing, person, settings_for


async def get(live: Live, path: str) -> tuple[int, str]:
    """Fetch a page. Returns the status and the text."""
    async with aiohttp.ClientSession() as session, session.get(live.base_url + path) as answer:
        return answer.status, await answer.text()


async def request_id(url: str, sent: str) -> str:
    """Send a request with an id, and return the id in the answer."""
    headers = {"X-Request-Id": sent} if sent else {}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.headers["X-Request-Id"]


async def test_alive_and_ready(tmp_path: Path, database_url: str) -> None:
    """A running process is alive and ready."""
    async with firehosing(tmp_path, database_url) as live:
        assert await get(live, "/healthz") == (200, "ok\n")
        status, body = await get(live, "/readyz")
        assert (status, body) == (200, '{"database": "ok", "migrations": "ok", "worker": "ok"}')


async def test_not_ready(tmp_path: Path) -> None:
    """A process whose database has another version, or that sends no heartbeat, is alive but not ready."""
    async with firehosing(tmp_path, worker=False) as live:
        async with live.engine.database.write() as db:
            await db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
            await db.execute(text("DELETE FROM workers"))
        status, body = await get(live, "/readyz")
        assert status == 503
        assert "restart this process" in body
        assert "has not been heard of" in body
        assert (await get(live, "/healthz"))[0] == 200


async def test_metrics(tmp_path: Path) -> None:
    """The metrics contain runs, members by outcome, requests, rate, backlog and answers, and no identifiers."""
    async with firehosing(tmp_path, firehose_approval="none") as live:
        await live.mparticle.add(VIPS, person(1), person(2, email=None))
        await live.settled()
        metrics.SLACK_CALLS.labels(method="conversations.close", answer="ok").inc()  # the bot never calls this method
        metrics.ACKNOWLEDGEMENT_SECONDS.labels(kind="command").observe(0.02)
        status, body = await get(live, "/metrics")
    assert status == 200
    for line in (
        'iterable_sync_runs{status="succeeded"} 1.0',
        'iterable_sync_members_total{outcome="added"} 1.0',
        'iterable_sync_members_total{outcome="rejected"} 1.0',
        'iterable_sync_backlog{for="upload"} 0.0',
        "iterable_sync_pace_rate 5.0",
        'iterable_sync_slack_calls_total{answer="ok",method="conversations.close"} 1.0',
    ):
        assert line in body
    assert "iterable_sync_firehose_seconds_bucket" in body
    assert "iterable_sync_slack_acknowledgement_seconds_bucket" in body
    labels = " ".join(re.findall(r"{(.*)}", body))  # a value may contain the digits of an id
    for identifier in ("example.com", "8754", "4711", "VIPs"):
        assert identifier not in labels


async def test_database_away(tmp_path: Path) -> None:
    """While the database is away, the process is not ready, and its metrics have what it counts itself."""
    async with firehosing(tmp_path, worker=False) as live:
        assert "iterable_sync_database_up 1.0" in (await get(live, "/metrics"))[1]
        file = Path(live.engine.settings.data_dir) / FILE
        await live.engine.database.close()
        file.rename(file.with_suffix(".away"))
        file.mkdir()
        status, body = await get(live, "/metrics")
        assert status == 200
        assert "iterable_sync_database_up 0.0" in body
        assert "iterable_sync_slack_acknowledgement_seconds" in body
        assert "iterable_sync_runs" not in body
        status, body = await get(live, "/readyz")
        assert (status, '"database": "does not answer"' in body) == (503, True)
        file.rmdir()
        file.with_suffix(".away").rename(file)
        assert (await get(live, "/readyz"))[0] == 200


async def test_metrics_at_another_address(tmp_path: Path) -> None:
    """If /metrics and /readyz have their own address, the public one does not serve them. Each answer of the public one
    has the id that a proxy gave the request, or a new one."""
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
        assert await request_id(f"{addresses.main}/healthz", "proxy-1") == "proxy-1"
        new = {
            await request_id(addresses.main + path, sent) for path in ("/healthz", "/nothing") for sent in ("", "a b")
        }
        assert [len(each) for each in new] == [32] * 4


async def test_metrics_address_that_is_taken(tmp_path: Path) -> None:
    """If the address of the metrics is in use, the error names its setting."""
    settings = settings_for(tmp_path, "http://127.0.0.1:1", port=0, metrics_port=0)
    furnish(settings)
    async with open_engine(settings, "test") as engine, server.listening(engine, None) as addresses:
        taken = settings.model_copy(update={"metrics_port": int(addresses.metrics.rpartition(":")[2])})
        engine.settings = taken
        with pytest.raises(SettingsError, match="ITERABLE_SYNC_METRICS_PORT"):
            async with server.listening(engine, None):
                pass
