"""Live mappings: what mParticle's Firehose sends is carried to Iterable, and people decide what only they can.

    inbox -> run (the same machinery as a file's) -> sum of the day

A run carries what the inbox has for a mapping, and is a run like any other: it holds its list, its changes are stored
before they are sent, it keeps the pace, and it is taken up again when its process dies. When it has succeeded it is
added to the run that holds the sum of its day, which is what people see; so there is one a day and mapping.
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
