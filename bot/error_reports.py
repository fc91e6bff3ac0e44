"""Reports unexpected errors to Sentry: their types and where they happened, without messages and values.

Needs the extra `iterable-sync[sentry]`, and is on if SENTRY_DSN is set. A message could quote an address or a key, and
so could the variables of a stack frame, a log line or a request: none of them is sent.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from core.errors import SettingsError

if TYPE_CHECKING:  # an extra, and slow to import
    from sentry_sdk.types import Event

#: How long the end of the process waits for the last report, in seconds.
FLUSH_S = 2
_UNSENT = "(not sent: it could quote an address)"
#: What is sent of an event.
_EVENT = frozenset({"event_id", "timestamp", "level", "platform", "release", "environment", "sdk", "exception"})
_FRAME = frozenset({"filename", "function", "module", "lineno", "in_app"})

_is_on: list[bool] = []


@contextmanager
def reporting(dsn: str | None) -> Iterator[None]:
    """Report unexpected errors for the length of the block. Does nothing without a DSN.

    Raises SettingsError if the package is missing or the DSN can't be read.
    """
    if dsn is None:
        yield
        return
    try:
        import sentry_sdk
    except ImportError:
        raise SettingsError(
            "SENTRY_DSN is set, and the package for it is missing. Install it: pip install 'iterable-sync[sentry]'."
        ) from None
    try:
        sentry_sdk.init(
            dsn,
            release=f"iterable-sync@{version('iterable-sync')}",
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            max_breadcrumbs=0,
            send_client_reports=False,
            auto_session_tracking=False,
            server_name="",
            before_send=scrubbed,
        )
    except sentry_sdk.utils.BadDsn:
        raise SettingsError(
            "SENTRY_DSN is not the DSN of a Sentry project. Copy it from the project's settings."
        ) from None
    _is_on.append(True)
    try:
        yield
    finally:
        _is_on.pop()
        sentry_sdk.flush(FLUSH_S)
        sentry_sdk.get_client().close(FLUSH_S)
        sentry_sdk.init()


def report(error: BaseException) -> None:
    """Report an unexpected error, if reports are on. Never raises."""
    if _is_on:
        import sentry_sdk

        sentry_sdk.capture_exception(error)


def scrubbed(event: "Event", _hint: dict[str, Any]) -> "Event":
    """Return an event with the types of its errors and the places in the code, and nothing else."""
    kept: dict[str, Any] = {key: value for key, value in event.items() if key in _EVENT}
    for error in kept.get("exception", {}).get("values", ()):
        error["value"] = _UNSENT
        error.pop("mechanism", None)
        for frame in (error.get("stacktrace") or {}).get("frames", ()):
            for key in set(frame) - _FRAME:
                del frame[key]
    return kept  # type: ignore[return-value]  # it has fields of an event only
