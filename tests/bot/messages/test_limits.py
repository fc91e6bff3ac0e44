"""The budget of edits of a workspace."""

from bot.messages.limits import TokenBucket


def test_holds_the_rate_and_keeps_a_reserve() -> None:
    """Progress updates leave the reserve to urgent edits, and the budget never exceeds its rate."""
    now = [0.0]
    budget = TokenBucket(a_minute=40, at_once=20, reserve=10, clock=lambda: now[0])
    given = 0
    while budget.take("T1", urgent=False):
        given += 1
    urgent = 0
    while budget.take("T1", urgent=True):
        urgent += 1
    assert (given, urgent) == (10, 10)
    assert budget.take("T2", urgent=False)
    for _ in range(600):
        now[0] += 1.0
        given += budget.take("T1", urgent=True)
    assert given - 10 <= 400 + 1
