"""GET /metrics: numbers for Prometheus. Labels hold words of ours, never an identifier of anybody's.

What is in the database is read when it is asked for, so it is right whichever process answers, and after a restart.
What only this process knows (answers to requests, Slack) is counted here as it happens.
"""

import time

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from bot.metrics import REGISTRY
from core.engine import Engine
from core.store import metrics as metric_store


class _Stored(Collector):
    """What the database says, as it was read."""

    def __init__(self, found: metric_store.Metrics) -> None:
        self._found = found

    def collect(self) -> list[Metric]:
        """Return it as Prometheus wants it."""
        found = self._found
        runs = GaugeMetricFamily("iterable_sync_runs", "Runs by status.", labels=["status"])
        for status, number in sorted(found.runs.items()):
            runs.add_metric([status], number)
        members = CounterMetricFamily("iterable_sync_members", "Members of runs by outcome.", labels=["outcome"])
        for outcome, number in found.members.items():
            members.add_metric([outcome], number)
        requests = CounterMetricFamily("iterable_sync_requests", "Requests to Iterable by answer.", labels=["answer"])
        for answer, number in found.requests.items():
            requests.add_metric([answer], number)
        pace = GaugeMetricFamily("iterable_sync_pace_rate", "Requests a second that are permitted now, in all.")
        pace.add_metric([], found.rate)
        slowdown = GaugeMetricFamily("iterable_sync_pace_slowdown", "How much slower the slowest project is than set.")
        slowdown.add_metric([], found.slowdown)
        backlog = GaugeMetricFamily("iterable_sync_backlog", "Live changes that wait.", labels=["for"])
        backlog.add_metric(["upload"], found.backlog)
        backlog.add_metric(["approval"], found.waiting)
        age = GaugeMetricFamily("iterable_sync_backlog_age_seconds", "Age of the oldest change to be uploaded.")
        age.add_metric([], 0.0 if found.oldest is None else max(0.0, time.time() - found.oldest))
        return [runs, members, requests, pace, slowdown, backlog, age]


def add_routes(app: web.Application, engine: Engine) -> None:
    """Answer Prometheus."""

    async def metrics(_request: web.Request) -> web.Response:
        async with engine.database.read() as db:
            found = await metric_store.read(db)
        stored = CollectorRegistry()
        stored.register(_Stored(found))
        body = generate_latest(stored) + generate_latest(REGISTRY)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/metrics", metrics)
