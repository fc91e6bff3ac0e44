"""The database server's clock is known as exactly as the quickest answers say."""

import pytest

from core.delivery.database_clock import ANSWERS, SET_S, DatabaseClock


def compared(*delays: float, behind: float = 100.0, clock: DatabaseClock | None = None) -> DatabaseClock:
    """A clock after answers with these delays; the server's clock is behind by so many seconds."""
    clock = clock or DatabaseClock()
    for number, delay in enumerate(delays):
        clock.compare(1000.0 + number - behind, 1000.0 + number + delay)
    return clock


def test_slow_answers_change_nothing() -> None:
    """A slow answer does not make the clock seem slower, before or after a quick one."""
    assert compared(0.03, 0.001, 0.5, 0.03).zero == pytest.approx(100.001)


def test_slow_drift_is_followed() -> None:
    """A clock that goes slower is followed when its last answers say so."""
    clock = compared(0.001)
    compared(*[0.002] * (ANSWERS - 1), behind=100.1, clock=clock)
    assert clock.zero == pytest.approx(100.001)
    compared(0.002, behind=100.1, clock=clock)
    assert clock.zero == pytest.approx(100.102)


@pytest.mark.parametrize("behind", [100.0 + 2 * SET_S, 90.0])
def test_a_clock_that_was_set_is_followed_at_once(behind: float) -> None:
    """A clock that was set back or forward is followed with the next answer."""
    assert compared(0.001, behind=behind, clock=compared(0.001, 0.001)).zero == pytest.approx(behind + 0.001)
