"""The rate and the time left of a run, as its message shows them."""

import pytest

from core.reporting.progress import ProgressTracker


def test_waiting_does_not_count() -> None:
    """A run that waited for Iterable has no rate until it works again, and then that of its work since."""
    times = iter([0.0, 0.0, 1.0, 30.0, 60.0, 80.0, 81.0])
    tracker = ProgressTracker(period_s=15.0, clock=lambda: next(times))
    assert tracker.add(0, 4700).rate is None
    assert tracker.add(500, 4700).rate == pytest.approx(500)
    tracker.add(500, 4700)
    tracker.add(500, 4700)
    assert tracker.add(1000, 4700).rate is None
    worked = tracker.add(1500, 4700)
    assert worked.rate == pytest.approx(500)
    assert worked.seconds_left == pytest.approx(6.4)
