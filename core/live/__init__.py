"""Live mappings: delivery of Firehose changes to Iterable, and the decisions of people about it.

    inbox -> micro-batch (a run) -> daily run

A micro-batch delivers the inbox changes of one mapping. It is a run like any other: it holds the list lock, stores its
changes before it sends them, respects the rate limit, and another worker resumes it if its process dies. When it has
succeeded, its numbers are added to the daily run of the mapping, which is the run that people see.
"""

from core.live.decisions import (
    approve,
    approve_removals,
    drop_waiting,
    keep_members,
    remove_members,
)
from core.live.worker import work

__all__ = ["approve", "approve_removals", "drop_waiting", "keep_members", "remove_members", "work"]
