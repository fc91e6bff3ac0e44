"""Traces and metrics for OpenTelemetry, and error reports for Sentry: what they have, and what they never have."""

import gzip
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bot import error_reports
from bot.cli import errors
from core import telemetry
from core.errors import SettingsError
from tests.bot.cli.commands import Commands, LocalIterable


@contextmanager
def receiver() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Run an HTTP server that accepts every POST. Yields its address, and the paths and bodies that it gets."""
    received: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_packed = self.headers.get("Content-Encoding") == "gzip"
            received.append((self.path, gzip.decompress(body) if is_packed else body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()


def test_traces_of_a_sync(run: Commands, iterable: LocalIterable) -> None:
    """A collector gets the spans of a run, nested, and the durations; they have no address, key or list."""
    target = iterable.new_list()
    with receiver() as (url, received):
        audience = run.audience(range(3))
        done = run.here("sync", audience, "--list", target, "--json", env={"OTEL_EXPORTER_OTLP_ENDPOINT": url})
    assert done.code == 0
    bodies = {
        path: b"".join(body for where, body in received if where == path) for path in ("/v1/traces", "/v1/metrics")
    }
    request = ExportTraceServiceRequest.FromString(bodies["/v1/traces"])
    spans = [span for part in request.resource_spans for scope in part.scope_spans for span in scope.spans]
    by_id = {span.span_id: span for span in spans}
    chains = set()
    for span in spans:
        chain, current = [], span
        while current is not None:
            chain.append(current.name.removeprefix("iterable_sync."))
            current = by_id.get(current.parent_span_id)
        chains.add(tuple(reversed(chain)))
    assert {("run",), ("run", "plan"), ("run", "batch"), ("run", "batch", "request")} <= chains
    (batch,) = [span for span in spans if span.name == "iterable_sync.batch"]
    values = {each.key: each.value.string_value or each.value.int_value for each in batch.attributes}
    assert (values["phase"], values["members"], values["run_id"]) == ("add", 3, done.object["run_id"])
    metrics = ExportMetricsServiceRequest.FromString(bodies["/v1/metrics"])
    names = {each.name for part in metrics.resource_metrics for scope in part.scope_metrics for each in scope.metrics}
    assert {f"iterable_sync.{name}.duration" for name in ("run", "plan", "batch", "request")} <= names
    everything = b"".join(bodies.values())
    assert b"example.com" not in everything
    assert iterable.key.encode() not in everything
    assert not re.search(rb"/lists/\d", everything)


def test_collector_that_is_away(run: Commands, iterable: LocalIterable) -> None:
    """A sync succeeds if its spans can't be sent."""
    target = iterable.new_list()
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    assert run.here("sync", run.audience(range(3)), "--list", target, env=env).code == 0


def test_span_without_a_tracer() -> None:
    """Without a collector, a span records nothing, and the same object serves all of them."""
    first, second = telemetry.span("run", run_id="1"), telemetry.span("batch")
    assert first is second
    with first as ended:
        ended["status"] = "failed"
        assert ended == {}


def _fail(address: str) -> None:
    key = "0123456789abcdef0123456789abcdef"
    raise RuntimeError(f"{address} was refused with {key}")


def test_error_report(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An unexpected error is reported with its type and place; no address, key, variable, host or message is sent."""
    folder = tmp_path_factory.mktemp("data")
    with receiver() as (url, received), error_reports.reporting(url.replace("//", "//public@") + "/1"):
        try:
            _fail("person@example.com")
        except RuntimeError as error:
            errors.record(error, folder)
    ((path, envelope),) = received
    assert path == "/api/1/envelope/"
    event = json.loads(envelope.splitlines()[2])
    (value,) = event["exception"]["values"]
    assert (value["type"], value["stacktrace"]["frames"][-1]["function"]) == ("RuntimeError", "_fail")
    assert b"person@example.com" not in envelope
    assert b"0123456789abcdef0123456789abcdef was" not in envelope
    assert not {"server_name", "user", "request", "breadcrumbs", "extra", "modules", "contexts"} & set(event)
    assert "vars" not in value["stacktrace"]["frames"][-1]
    assert not error_reports._is_on


def test_no_report_without_a_dsn() -> None:
    """Without a DSN nothing is reported, and a DSN that can't be read is an error."""
    error_reports.report(RuntimeError())
    with error_reports.reporting(None):
        error_reports.report(RuntimeError())
    with pytest.raises(SettingsError, match="not the DSN of a Sentry project"), error_reports.reporting("nonsense"):
        pass
