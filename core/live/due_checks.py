"""What is due and needs Iterable: reading the campaigns of lists, and checking lists. Of several processes, one does
each."""

import logging

from sqlalchemy.exc import DBAPIError

from core.connections.campaigns import refresh_due_campaigns
from core.engine import Engine
from core.runs.verification import verify_due_lists

logger = logging.getLogger(__name__)


async def run_due_checks(engine: Engine) -> None:
    """Do what is due. Failures are logged; the next time is stored before each."""
    try:
        await refresh_due_campaigns(engine)
        await verify_due_lists(engine)
    except (DBAPIError, OSError):  # the database is unavailable; the next look finds the same work
        logger.warning("could not do what is due", exc_info=True)
    except Exception:  # a bug must not end the worker
        logger.exception("could not do what is due")
