"""The tables of the run log. docs/reference/run-log.md describes each column."""

from enum import StrEnum

import pyarrow as pa

#: Incremented if a column is removed, renamed or changes its meaning. New columns don't change it.
VERSION = 1


class ChangeAction(StrEnum):
    """What a run did about a person."""

    ADD = "add"
    UPDATE = "update"
    REMOVE = "remove"


class ChangeOutcome(StrEnum):
    """What became of a change."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    """It was sent, and the run ended without an answer."""


_TIME = pa.timestamp("us", "UTC")
_COUNTS = ("members", "left", "added", "updated", "removed", "unchanged", "duplicates", "rejected")

RUNS = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("connection", pa.string(), nullable=False),
        pa.field("mapping_id", pa.int64(), nullable=False),
        pa.field("list_id", pa.int64()),
        pa.field("audience", pa.string()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("mode", pa.string(), nullable=False),
        pa.field("is_live", pa.bool_(), nullable=False),
        pa.field("undo_of", pa.string()),
        pa.field("started_by", pa.string()),
        pa.field("created_at", _TIME, nullable=False),
        pa.field("started_at", _TIME),
        pa.field("finished_at", _TIME),
        *(pa.field(name, pa.int64(), nullable=False) for name in _COUNTS),
        *(pa.field(name, pa.int64(), nullable=False) for name in ("requests", "retries", "throttled")),
        pa.field("error_code", pa.string()),
        pa.field("error", pa.string()),
        pa.field("has_details", pa.bool_(), nullable=False),
    ]
)

CHANGES = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("member", pa.string()),
        pa.field("email", pa.string()),
        pa.field("user_id", pa.string()),
        pa.field("action", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("changed_at", _TIME),
    ]
)

REJECTIONS = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("member", pa.string()),
        pa.field("email", pa.string()),
        pa.field("customer_id", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("iterable_says", pa.string()),
    ]
)

#: The tables by name, in the order in which a run is written. The run comes last, so that it is there once it is whole.
TABLES = {"changes": CHANGES, "rejections": REJECTIONS, "runs": RUNS}
