"""The metrics registry, and the metrics that this process counts itself."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

# Each counter and histogram would have one more series, with the time of its creation, that no rule reads.
disable_created_metrics()  # type: ignore[no-untyped-call]

#: The metrics of this process; `bot.web.metrics` adds those that the database has.
REGISTRY = CollectorRegistry()


_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0)


#: As of the last request for the metrics.
DATABASE_UP = Gauge("iterable_sync_database_up", "Whether the database answers (1) or not (0).", registry=REGISTRY)


FIREHOSE_MESSAGES = Counter(
    "iterable_sync_firehose_messages", "Firehose messages by answer.", ["type", "status"], registry=REGISTRY
)


FIREHOSE_UNUSABLE = Counter(
    "iterable_sync_firehose_unusable_changes",
    "Changes of Firehose messages that could not be read and were left out.",
    registry=REGISTRY,
)


FIREHOSE_SECONDS = Histogram(
    "iterable_sync_firehose_seconds", "Time to the answer to a Firehose message.", buckets=_SECONDS, registry=REGISTRY
)


#: Calls of the Slack Web API. `method` is Slack's name, `answer` is "ok" or Slack's error code.
SLACK_CALLS = Counter(
    "iterable_sync_slack_calls", "Calls of the Slack Web API by answer.", ["method", "answer"], registry=REGISTRY
)


#: The time from Slack's request to the acknowledgement. `kind`: command, action, view, shortcut, event.
ACKNOWLEDGEMENT_SECONDS = Histogram(
    "iterable_sync_slack_acknowledgement_seconds",
    "Time to the acknowledgement of what Slack sends.",
    ["kind"],
    buckets=_SECONDS,
    registry=REGISTRY,
)


#: Whether the Socket Mode connection is up and greeted. There is no such series in other modes.
SLACK_CONNECTED = Gauge(
    "iterable_sync_slack_connected", "Whether Slack is connected (1) or not (0).", ["mode"], registry=REGISTRY
)


SLACK_ENVELOPE_AGE = Gauge(
    "iterable_sync_slack_envelope_age_seconds",
    "Seconds since Slack last sent an envelope, or since the start.",
    ["mode"],
    registry=REGISTRY,
)


#: Connections that were replaced although they seemed to be up. `reason`: silent, not_greeted.
SLACK_RECONNECTS = Counter(
    "iterable_sync_slack_reconnects",
    "Connections to Slack that were replaced because nothing arrived.",
    ["reason"],
    registry=REGISTRY,
)
