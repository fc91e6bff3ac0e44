"""What all tests have in common."""

import gc

from bot.cli import GC_THRESHOLD


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later collection of garbage: it is a million objects, and they stay.

    And collect as seldom as the program does.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def pytest_unconfigure() -> None:
    """Let it go with all else at the end."""
    gc.unfreeze()
