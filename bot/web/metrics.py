"""GET /metrics: metrics for Prometheus. No label identifies a person.

Metrics of stored data are read from the database at each request, so they are right in every process and after a
restart; those of runs are kept for a minute. The others (answers to requests, calls to Slack) are counted in this
process: they are there while the database is away, too.
"""

import asyncio
import time

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from bot.metrics import DATABASE_UP, REGISTRY
from bot.web.health import DATABASE_AWAY, PATIENCE_S
from core.engine import Engine
from core.store import metrics, run_totals
from core.store.run_totals import RunTotals

# For how long the totals of runs are kept, in seconds: reading them reads all runs.
TOTALS_FOR_S = 60.0


class _Stored(Collector):
    """The metrics of stored data."""

    def __init__(self, stored: metrics.Metrics) -> None:
        self._metrics = stored

    def collect(self) -> list[Metric]:
        """Return the metrics in Prometheus' form."""
        stored = self._metrics
        runs = GaugeMetricFamily("iterable_sync_runs", "Runs by status.", labels=["status"])
        for status, number in sorted(stored.runs.items()):
            runs.add_metric([status], number)
        members = CounterMetricFamily("iterable_sync_members", "Members of runs by outcome.", labels=["outcome"])
        for outcome, number in stored.members.items():
            members.add_metric([outcome], number)
        requests = CounterMetricFamily("iterable_sync_requests", "Requests to Iterable by answer.", labels=["answer"])
        for answer, number in stored.requests.items():
            requests.add_metric([answer], number)
        pace = GaugeMetricFamily("iterable_sync_pace_rate", "Requests a second that are permitted now, in all.")
        pace.add_metric([], stored.rate)
        slowdown = GaugeMetricFamily("iterable_sync_pace_slowdown", "How much slower the slowest project is than set.")
        slowdown.add_metric([], stored.slowdown)
        backlog = GaugeMetricFamily("iterable_sync_backlog", "Live changes that wait.", labels=["for"])
        backlog.add_metric(["upload"], stored.backlog)
        backlog.add_metric(["approval"], stored.waiting)
        age = GaugeMetricFamily("iterable_sync_backlog_age_seconds", "Age of the oldest change to be uploaded.")
        age.add_metric([], stored.oldest_age_s)
        return [runs, members, requests, pace, slowdown, backlog, age]


def add_routes(app: web.Application, engine: Engine) -> None:
    """Add the endpoint."""

    of_runs: RunTotals | None = None
    read_at = -TOTALS_FOR_S

    async def get_metrics(_request: web.Request) -> web.Response:
        nonlocal of_runs, read_at
        stored = CollectorRegistry()
        try:
            async with asyncio.timeout(PATIENCE_S), engine.database.read() as db:
                if of_runs is None or time.monotonic() - read_at >= TOTALS_FOR_S:
                    of_runs, read_at = await run_totals.read(db), time.monotonic()
                stored.register(_Stored(await metrics.read(db, of_runs)))
        except DATABASE_AWAY:
            DATABASE_UP.set(0)
        else:
            DATABASE_UP.set(1)
        body = generate_latest(stored) + generate_latest(REGISTRY)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/metrics", get_metrics)
