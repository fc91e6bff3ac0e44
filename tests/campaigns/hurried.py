"""`iterable-sync` with its clock of keeping put forward: what is kept for days is kept for a minute or two.

    python -m tests.campaigns.hurried serve

For the soak, so that what is kept and what is cleared away come into balance within minutes. Everything else is as it is.
"""

from bot.cli import main
from core import keeping, workflows
from core.live import tending

# Instead of 30 days, 7 days and 5 minutes; and cleared away every 10 seconds instead of every minute.
KEEP_S = 120.0
REMEMBER_S = 120.0
KEEP_ATTEMPTS_S = 60.0
TIDY_EVERY_S = 10.0


def hurry() -> None:
    """Keep things for a short time."""
    keeping.KEEP_S = KEEP_S
    tending.REMEMBER_S = REMEMBER_S
    workflows.KEEP_ATTEMPTS_S = KEEP_ATTEMPTS_S
    workflows.TIDY_EVERY_S = TIDY_EVERY_S


if __name__ == "__main__":
    hurry()
    main()
