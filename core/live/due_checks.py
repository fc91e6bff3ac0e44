"""What is due: the campaigns and sizes of lists and the checks of lists, which need Iterable, and the alert rules.

Of several processes, one reads and checks.
"""

import logging

from core.connections.campaigns import refresh_due_campaigns
from core.engine import Engine
from core.live.list_sizes import read_due_sizes
from core.notifications import rule_watch
from core.runs.verification import verify_due_lists
from core.store.database_errors import DATABASE_FAULTS

logger = logging.getLogger(__name__)


async def run_due_checks(engine: Engine) -> None:
    """Do what is due. Failures are logged; the next time is stored before each."""
    try:
        await refresh_due_campaigns(engine)
        await verify_due_lists(engine)
        await rule_watch.watch_mappings(engine)
        await read_due_sizes(engine)
    except DATABASE_FAULTS:  # the database is unavailable; the next look finds the same work
        logger.warning("could not do what is due", exc_info=True)
    except Exception:  # a bug must not end the worker
        logger.exception("could not do what is due")
