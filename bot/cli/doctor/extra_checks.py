"""The checks of `doctor` of the optional packages: traces and error reports."""

from collections.abc import AsyncIterator

from bot import error_reports, telemetry
from bot.cli.doctor import CheckResult
from core import network
from core.errors import SettingsError
from core.iterable.probe import ProbeResult, probe
from core.settings import Settings


async def extra_findings(settings: Settings) -> AsyncIterator[CheckResult]:
    """Yield for each optional package that the settings ask for whether it can be used."""
    if settings.otlp_endpoint is not None:
        yield await _traces(settings.otlp_endpoint)
    if settings.sentry_dsn is not None:
        try:
            with error_reports.reporting(settings.sentry_dsn.get_secret_value()):
                yield CheckResult("error reports", True, "are sent to Sentry")
        except SettingsError as error:
            yield CheckResult("error reports", False, error.message)


async def _traces(endpoint: str) -> CheckResult:
    try:
        telemetry.check_packages()
    except SettingsError as error:
        return CheckResult("traces", False, error.message)
    reached, shown = await probe(endpoint), network.shown(endpoint)
    if isinstance(reached, ProbeResult):
        return CheckResult("traces", True, f"the collector at {shown} answers")
    text = f"the collector at {shown} can't be reached: {reached}. Correct OTEL_EXPORTER_OTLP_ENDPOINT, or start it."
    return CheckResult("traces", False, text)
