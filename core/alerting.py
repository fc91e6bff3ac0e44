"""Alerting: what a person must be told once, when something begins to fail, and once, when it works again.

What is said where is not decided here: an alert is a row (core/store/alerts.py), which Slack shows.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from core.iterable import InvalidApiKeyError
from core.models.run import Run, RunStatus
from core.store import alerts

#: The code of the alert that live changes wait for too long. It came of no run, and so no run's end closes it: it is
#: closed when they do not wait any more (core/live/maintenance.py).
BACKLOG = "backlog"


async def open_or_repeat(
    db: AsyncConnection, *, connection_id: int, mapping_id: int | None, run_id: str | None, code: str, message: str
) -> None:
    """Open an alert for a mapping (or for the connection: `mapping_id` None), unless there is one that says this."""
    known = await alerts.open_of(db, connection_id, mapping_id)
    if known is not None and known.code == code:
        await alerts.change(db, known.id, occurrences=known.occurrences + 1, run_id=run_id, message=message)
        return
    if known is not None:
        await alerts.close(db, known.id, "replaced")
    await alerts.open_(
        db, connection_id=connection_id, mapping_id=mapping_id, run_id=run_id, code=code, message=message
    )


async def resolve(db: AsyncConnection, connection_id: int, mapping_id: int | None) -> None:
    """Close the open alert of a mapping, or of the connection as a whole."""
    known = await alerts.open_of(db, connection_id, mapping_id)
    if known is not None:
        await alerts.close(db, known.id, "recovered")


async def run_succeeded(db: AsyncConnection, this: Run) -> None:
    """Close what failed before of the run's mapping, and of its connection: both work again."""
    known = await alerts.open_of(db, this.connection_id, this.mapping_id)
    if known is not None and known.code != BACKLOG:
        await alerts.close(db, known.id, "recovered")
    await resolve(db, this.connection_id, None)


async def on_run_ended(db: AsyncConnection, this: Run, status: RunStatus, error: str | None, code: str | None) -> None:
    """Open or close what the ending of a run calls for. Runs of the command line tell whoever sits there themselves."""
    if this.is_live:  # of those there are many: core.live tells one failure from another, and a backlog from both
        return
    if status is RunStatus.SUCCEEDED:
        await run_succeeded(db, this)
    elif status is RunStatus.FAILED and this.started_by is not None:
        whole = code == InvalidApiKeyError.code  # it concerns every mapping alike, and once is enough
        await open_or_repeat(
            db,
            connection_id=this.connection_id,
            mapping_id=None if whole else this.mapping_id,
            run_id=this.id,
            code=code or "error",
            message=error or "The run failed.",
        )
