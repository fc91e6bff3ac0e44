"""What all tests have in common."""

import gc


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later collection of garbage: it is a million objects, and they stay."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let it go with all else at the end."""
    gc.unfreeze()
