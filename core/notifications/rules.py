"""What alert rules say about a run, and about a mapping that has not been synced: pure functions.

By default each rule compares with what is usual for the mapping, and says nothing before it has been synced often
enough. A threshold that a person has set holds from the first sync on.
"""

import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise

from core.models.percent import percent
from core.store.alert_rules import RuleSetting
from core.store.run_history import PastRun

#: With how many of the last runs a run is compared, and how many there have to be.
LAST_RUNS, FEWEST_RUNS = 10, 5
# By default, a rejected share is unusual above so many times the usual one, above so much, and with so many people.
REJECTED_FACTOR, REJECTED_SHARE, REJECTED_PEOPLE = 2.0, 0.05, 20
# A reason is new if it has not occurred in the last runs, and so many people have it.
NEW_REASON_PEOPLE = 5
# A number deviates if it is so many standard deviations from the mean, so much of the mean, and so many people.
DEVIATIONS, DEVIATION_SHARE, DEVIATION_PEOPLE = 3.0, 0.5, 100
# With a threshold of a person, so few people never deviate.
FEW_PEOPLE = 10
# A run takes long if it takes so many times as long as the longest of the last ones, and at least so long, in seconds.
TIME_FACTOR, TIME_LEAST_S = 3.0, 600.0
# A mapping is overdue after so many times the longest wait between its last syncs, and at least so long, in seconds.
OVERDUE_FACTOR, OVERDUE_LEAST_S = 1.5, 3600.0

_HOUR_S = 3600.0


def rejected_share(run: PastRun, history: Sequence[PastRun], setting: RuleSetting) -> str | None:
    """Return a sentence if too many members of a run were rejected, else None."""
    share = run.rejected_share
    text = f"{run.rejected:,} of {run.size:,} people were rejected ({percent(share)})"
    if setting.threshold is not None:
        limit = setting.threshold / 100
        return f"{text}. The limit is {percent(limit)}." if share > limit else None
    if len(history) < FEWEST_RUNS or run.rejected < REJECTED_PEOPLE:
        return None
    usual = statistics.median(past.rejected_share for past in history)
    is_unusual = share > max(REJECTED_FACTOR * usual, REJECTED_SHARE)
    return f"{text}. In the last {len(history)} syncs it was {percent(usual)}." if is_unusual else None


def new_reason(counts: Mapping[str, int], known: set[str], runs: int, setting: RuleSetting) -> str | None:
    """Return a sentence if people were rejected for reasons that are not among those `known` of so many runs."""
    least = NEW_REASON_PEOPLE if setting.threshold is None else setting.threshold
    if runs < (FEWEST_RUNS if setting.threshold is None else 1):
        return None
    fresh = {reason: count for reason, count in counts.items() if reason not in known and count >= least}
    if not fresh:
        return None
    parts = ", ".join(f"{reason} ({count:,})" for reason, count in fresh.items())
    return f"Members were rejected for a reason that is new in this mapping: {parts}."


def deviation(run: PastRun, history: Sequence[PastRun], setting: RuleSetting) -> str | None:
    """Return a sentence for each number of a run that deviates from those of the last runs, or None."""
    if len(history) < FEWEST_RUNS:
        return None
    numbers = {
        "people are in the audience": (run.size, [past.size for past in history]),
        "people were added": (run.added, [past.added for past in history]),
        "people were removed": (run.removed, [past.removed for past in history]),
    }
    sentences = [
        f"{value:,} {what}; in the last {len(past)} syncs {_range(past)}."
        for what, (value, past) in numbers.items()
        if _deviates(value, past, setting.threshold)
    ]
    return " ".join(sentences) or None


def run_time(duration_s: float, history: Sequence[PastRun], setting: RuleSetting) -> str | None:
    """Return a sentence if a run has taken too long, else None."""
    limit = time_limit(history, setting)
    if limit is None or duration_s <= limit:
        return None
    return f"The sync has taken {length(duration_s)}. {_time_reason(history, setting)}"


def time_limit(history: Sequence[PastRun], setting: RuleSetting) -> float | None:
    """Return after how many seconds a run takes too long. None: that is not known yet."""
    if setting.threshold is not None:
        return setting.threshold * 60
    if len(history) < FEWEST_RUNS:
        return None
    return max(TIME_LEAST_S, TIME_FACTOR * max(past.duration_s for past in history))


def overdue_after(finished: Sequence[float], setting: RuleSetting, *, is_automatic: bool) -> float | None:
    """Return after how many seconds without a success a mapping is overdue, or None if it never is.

    `finished` are the ends of its last successful runs, newest first. By default only mappings that are synced without
    a person (`is_automatic`) are ever overdue.
    """
    if setting.threshold is not None:
        return setting.threshold * _HOUR_S
    if not is_automatic or len(finished) < FEWEST_RUNS:
        return None
    return max(OVERDUE_LEAST_S, OVERDUE_FACTOR * max(newer - older for newer, older in pairwise(finished)))


def length(seconds: float) -> str:
    """Return a length of time in words, such as "3 hours"."""
    hours = seconds / _HOUR_S
    if hours >= 48:
        return f"{hours / 24:.0f} days"
    return f"{hours:.0f} hours" if hours >= 1.5 else f"{max(1, round(seconds / 60))} minutes"


def _deviates(value: int, history: Sequence[int], threshold: float | None) -> bool:
    mean = statistics.fmean(history)
    distance = abs(value - mean)
    if threshold is not None:
        return distance >= FEW_PEOPLE and distance > threshold / 100 * mean
    is_far = distance > DEVIATIONS * statistics.pstdev(history) and distance > DEVIATION_SHARE * mean
    return is_far and distance >= DEVIATION_PEOPLE


def _range(history: Sequence[int]) -> str:
    low, high = min(history), max(history)
    return f"it was {low:,}" if low == high else f"it was between {low:,} and {high:,}"


def _time_reason(history: Sequence[PastRun], setting: RuleSetting) -> str:
    if setting.threshold is not None:
        return f"The limit is {length(setting.threshold * 60)}."
    longest = max(past.duration_s for past in history)
    return f"The longest of the last {len(history)} took {length(longest)}."
