"""A source in which no new file has appeared for longer than usual."""

from collections.abc import Sequence
from itertools import pairwise

from sqlalchemy.ext.asyncio import AsyncConnection

from core import alerting
from core.store import alerts, file_sources
from core.store.alert_kinds import AlertKind
from core.store.mappings import AudienceMapping

# What is usual is taken from so many files, the newest ones, and unknown with fewer than MIN_FILES.
USUAL_FILES, MIN_FILES = 15, 4
# A file is late if none has come for so many times the longest wait between these, and for at least that long.
FACTOR, SHORTEST_S = 1.5, 3600.0


def late_after(arrivals: Sequence[float]) -> float | None:
    """Return after how many seconds without a file one is late, given when the last ones came, newest first.

    None if there were too few files to tell.
    """
    if len(arrivals) < MIN_FILES:
        return None
    waits = [newer - older for newer, older in pairwise(arrivals)]
    return max(SHORTEST_S, FACTOR * max(waits))


async def watch_lateness(db: AsyncConnection, mapping: AudienceMapping, now: float) -> None:
    """Open an alert if no file has come for longer than usual, and close it when one comes. `now` is in UTC seconds."""
    known = await alerts.open_of(db, mapping.connection_id, mapping.id, AlertKind.LATE_FILE)
    arrivals = await file_sources.arrivals(db, mapping.id, USUAL_FILES)
    limit = late_after(arrivals)
    if known is not None:
        if arrivals and arrivals[0] > known.opened_at:
            await alerting.resolve(db, mapping.connection_id, mapping.id, AlertKind.LATE_FILE)
    elif limit is not None and now - arrivals[0] > limit:
        await alerting.open_or_repeat(
            db,
            connection_id=mapping.connection_id,
            mapping_id=mapping.id,
            run_id=None,
            code=AlertKind.LATE_FILE.value,
            message=(
                f"No new file of audience {mapping.label} has come for {_length(now - arrivals[0])}. The longest wait "
                f"so far was {_length(limit / FACTOR)}. Check in mParticle, or in the program that writes the files, "
                "whether the export still runs."
            ),
        )


def _length(seconds: float) -> str:
    hours = seconds / 3600
    if hours >= 48:
        return f"{hours / 24:.0f} days"
    return f"{hours:.0f} hours" if hours >= 1.5 else f"{max(1, round(seconds / 60))} minutes"
