"""The permits of a rate limit: never too many requests within a window, and no time lost that could be used."""

from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.store.permits import MADE_UP, Permits, Use
from tests.core.delivery.slots import least_span

NOON = 1_700_000_000.0
# Times are stored to a tenth of a millisecond.
EXACT_S = 3e-4
RATES = st.sampled_from([0.1, 1.0, 2.5, 5.0, 20.0])
INTERVALS = st.floats(0.0, 3.0)


@dataclass(frozen=True)
class Step:
    """So many intervals later, `count` requests are asked for, and the last of them leaves `late` intervals late."""

    later: float
    count: int
    late: float


STEPS = st.lists(st.builds(Step, later=INTERVALS, count=st.integers(1, 4), late=INTERVALS | st.just(0.0)), max_size=60)


def _departures(rate: float, steps: list[Step]) -> list[float]:
    """When the requests leave. Each step knows the permits as the last one has stored them."""
    stored, now, left = None, NOON, []
    for step in steps:
        permits = Permits(rate, stored)
        now += step.later / rate
        uses = permits.take(step.count, now)
        late = Use(uses[-1].permit, uses[-1].at + step.late / rate)
        permits.correct([late])
        stored = permits.to_json()
        left += [use.at for use in uses[:-1]] + [late.at]
        now = max(now, uses[-1].at)
    return left


@given(RATES, STEPS)
def test_a_window_never_has_too_many_requests(rate: float, steps: list[Step]) -> None:
    """However requests are asked for, and however late they leave, N + 1 of them take a window at least."""
    left = _departures(rate, steps)
    permits = Permits(rate)
    count = round(permits.window * rate)
    if len(left) > count:
        assert least_span(left, count) > permits.window - EXACT_S


@given(st.sampled_from([5.0, 20.0]), st.lists(st.floats(0.0, MADE_UP), min_size=1, max_size=20))
@example(20.0, [0.4] * 20)
def test_short_pauses_cost_nothing(rate: float, pauses: list[float]) -> None:
    """If no request is ready for a moment in each second, as many leave as without these pauses."""
    permits, now, taken = Permits(rate), NOON, 0
    for pause in pauses:
        end = now + 1.0
        now += pause * 0.9
        while now < end:
            now = permits.take(1, now)[0].at
            taken += 1
    assert taken >= rate * len(pauses) * 0.9 - rate


def test_requests_leave_evenly() -> None:
    """Without pauses and lateness, requests leave at even intervals from the first on."""
    permits = Permits(4.0)
    assert _times(permits.take(9, NOON)) == pytest.approx([place / 4 for place in range(9)], abs=EXACT_S)


def test_lateness_holds_back_one_permit() -> None:
    """A request that left late is followed by others as if it had not, except for the one a window later."""
    permits = Permits(4.0)
    first, *_ = permits.take(4, NOON)
    permits.correct([Use(first.permit, first.at + 0.1)])
    assert _times(permits.take(4, NOON)) == pytest.approx([1.1, 1.25, 1.5, 1.75], abs=EXACT_S)


def test_lost_time_is_made_up_for() -> None:
    """After a pause of less than half a window, requests follow each other twice as closely until none is missing."""
    permits = Permits(4.0)
    permits.take(4, NOON)
    assert _times(permits.take(5, NOON + 1.3)) == pytest.approx([1.3, 1.425, 1.55, 1.75, 2.3], abs=EXACT_S)


def test_time_of_a_longer_pause_is_lost() -> None:
    """After a pause of more than a window, requests begin evenly, as they do at first."""
    permits = Permits(4.0)
    permits.take(4, NOON)
    assert _times(permits.take(3, NOON + 10.0)) == pytest.approx([10.0, 10.25, 10.5], abs=EXACT_S)


def test_time_before_is_not_made_up_for() -> None:
    """Time that was lost before a moment, the end of a pause after a 429, stays lost."""
    permits = Permits(4.0)
    permits.take(4, NOON)
    uses = permits.take(3, NOON + 1.4, since=NOON + 1.4)
    assert _times(uses) == pytest.approx([1.4, 1.65, 1.9], abs=EXACT_S)


@pytest.mark.parametrize(("before", "after"), [(4.0, 8.0), (8.0, 4.0), (2.5, 20.0), (20.0, 2.5), (1.0, 0.5)])
def test_rate_can_change(before: float, after: float) -> None:
    """A lower or a higher rate counts the requests of before: never do more than the higher rate permits leave."""
    former = Permits(before)
    uses = former.take(20, NOON)
    changed = Permits(after, former.to_json())
    uses += changed.take(30, uses[-1].at)
    most = round(max(former.window * before, changed.window * after))
    assert least_span(_times(uses), most) > min(former.window, changed.window) - EXACT_S


def _times(uses: list[Use]) -> list[float]:
    return [use.at - NOON for use in uses]
