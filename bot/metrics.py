"""The registry of metrics, and what this process counts as it works."""

from prometheus_client import CollectorRegistry, Counter, Histogram

#: What this process counts itself.
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


#: Calls of the Slack Web API. `method` is Slack's name of it, `answer` "ok" or Slack's word for the error.
SLACK_CALLS = Counter(
    "iterable_sync_slack_calls", "Calls of the Slack Web API by answer.", ["method", "answer"], registry=REGISTRY
)


#: How long it took until Slack had its acknowledgement. `kind`: command, action, view, shortcut, event.
ACKNOWLEDGEMENT_SECONDS = Histogram(
    "iterable_sync_slack_acknowledgement_seconds",
    "Time to the acknowledgement of what Slack sends.",
    ["kind"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
