"""`iterable-sync` with short retention: a day is a minute, and data that is kept for days is deleted after two
minutes.

    python -m tests.campaigns.hurried serve

For the soak, so that new and deleted data come into balance within minutes. Everything else is unchanged.
"""

import os

from bot.cli import main
from core.live import maintenance
from core.runs import worker
from core.settings import DAY_S
from core.store import live_mappings

# Instead of 30 days and 7 days; and cleanup every 10 seconds instead of every minute.
KEEP_S = 120.0
REMEMBER_S = 120.0
TIDY_EVERY_S = 10.0
# The counts of live changes are summed up per day, and kept from its end on.
A_DAY_S = 60.0
# The moment from which minutes count as days, in Unix time, so that dates stay within the calendar.
DAYS_BEGIN = 1.76e9


def hurry() -> None:
    """Set short retention times."""
    for kind in ("CHANGES", "REJECTIONS", "FORMER_EMAILS", "EVENTS"):
        os.environ[f"ITERABLE_SYNC_{kind}_RETENTION_DAYS"] = str(KEEP_S / DAY_S)
    maintenance.REMEMBER_S = REMEMBER_S
    worker.CLEANUP_INTERVAL_S = TIDY_EVERY_S
    day_of = live_mappings.day_of
    live_mappings.day_of = lambda at, *zone: day_of((at - DAYS_BEGIN) * 24 * 3600 / A_DAY_S, *zone)


if __name__ == "__main__":
    hurry()
    main()
