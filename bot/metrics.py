"""The metrics registry, and the metrics that this process counts itself."""

from prometheus_client import CollectorRegistry, Counter, Histogram

#: The metrics of this process; `bot.web.metrics` adds those that the database has.
REGISTRY = CollectorRegistry()


_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0)


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
