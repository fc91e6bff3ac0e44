"""Sends spans, and their durations as metrics, to an OpenTelemetry collector (OTLP over HTTP).

Needs the extra `iterable-sync[otel]`, and is on if OTEL_EXPORTER_OTLP_ENDPOINT is set. The SDK reads its other
variables itself (OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, ...).
See https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from core import telemetry
from core.errors import SettingsError
from core.telemetry import Attributes

if TYPE_CHECKING:  # an extra, and slow to import
    from opentelemetry.metrics import Histogram, Meter
    from opentelemetry.trace import Tracer

NAME = "iterable-sync"
#: How long an export may take, in seconds. The end of the process waits for the last one.
EXPORT_S = 5
# The attributes that the metrics have, too. Ids would make a series for each run.
_OF_METRICS = frozenset({"error.type", "http.request.method", "http.response.status_code", "phase", "status"})


def check_packages() -> None:
    """Raise SettingsError if a package of the extra is missing."""
    packages = ("opentelemetry.exporter.otlp.proto.http", "opentelemetry.sdk")
    try:
        missing = [name for name in packages if find_spec(name) is None]
    except ModuleNotFoundError:  # of the package that contains it
        missing = list(packages)
    if missing:
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, and the packages for it are missing. Install them: "
            "pip install 'iterable-sync[otel]'."
        )


@contextmanager
def exporting(endpoint: str | None) -> Iterator[None]:
    """Send the spans of this process to a collector for the length of the block, and the rest at its end.

    Does nothing without an endpoint. Raises SettingsError if the packages are missing. A collector that can't be
    reached never disturbs a run: its spans are lost.
    """
    if endpoint is None:
        yield
        return
    check_packages()
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    base = endpoint.rstrip("/")
    resource = Resource.create({"service.name": NAME, "service.version": version(NAME)})
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    spans = OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=EXPORT_S)
    tracers.add_span_processor(BatchSpanProcessor(spans))
    metrics = OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=EXPORT_S)
    reader = PeriodicExportingMetricReader(metrics, export_timeout_millis=1_000 * EXPORT_S)
    meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    try:
        with telemetry.traced_by(_OtelTracer(tracers.get_tracer(NAME), meters.get_meter(NAME))):
            yield
    finally:
        tracers.shutdown()
        meters.shutdown(timeout_millis=1_000 * EXPORT_S)


class _OtelTracer:
    """Records spans, and the duration of each kind as a histogram, with OpenTelemetry's SDK."""

    def __init__(self, tracer: "Tracer", meter: "Meter") -> None:
        self._tracer = tracer
        self._meter = meter
        self._durations: dict[str, Histogram] = {}

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, str | int], *, is_parent: bool) -> Iterator[Attributes]:
        """Record a block. An error is recorded by its type: its text could quote an address."""
        from opentelemetry import context
        from opentelemetry.trace import Status, StatusCode, set_span_in_context

        began = time.perf_counter()
        span = self._tracer.start_span(f"iterable_sync.{name}", attributes=attributes)
        token = context.attach(set_span_in_context(span)) if is_parent else None
        ended: Attributes = {}
        try:
            yield ended
        except BaseException as error:
            ended["error.type"] = type(error).__name__
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            if token is not None:
                context.detach(token)
            span.set_attributes(ended)
            span.end()
            known = {**attributes, **ended}
            self._duration(name).record(
                time.perf_counter() - began, {key: value for key, value in known.items() if key in _OF_METRICS}
            )

    def _duration(self, name: str) -> "Histogram":
        if name not in self._durations:
            self._durations[name] = self._meter.create_histogram(
                f"iterable_sync.{name}.duration", unit="s", description=f"Duration of each {name}."
            )
        return self._durations[name]
