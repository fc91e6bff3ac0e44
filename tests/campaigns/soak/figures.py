"""The measurements of the soak, their limits, and the report."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import mean

# The minute from which everything is in balance: data that is kept for days is kept for two minutes. SQLite's file
# stays at its largest size, so a long soak starts later.
STEADY_AFTER, STEADY_AFTER_LONG, LONG = 4, 10, 30
# The limit of growth from the first steady samples to the last. Each period has this many minutes, and counts with its
# maximum.
MOST_GROWTH = 1.25
A_PERIOD = 3


@dataclass(frozen=True)
class Sample:
    """The resources of a process: MB of memory, open files and stored data.

    `history_mb` is a part of the database.
    """

    memory_mb: float
    files: int
    kept_mb: Mapping[str, float]
    history_mb: float

    @property
    def bounded(self) -> dict[str, float]:
        """The values that must not grow."""
        without_history = sum(self.kept_mb.values()) - self.history_mb
        return {
            "memory (MB)": self.memory_mb,
            "open files": self.files,
            "stored data without the history (MB)": without_history,
        }

    @property
    def all(self) -> dict[str, float]:
        """All values, for a table."""
        return {**self.bounded, **self.kept_mb, "history, as part of the database": self.history_mb}


@dataclass
class Figures:
    """The counts and samples of a soak."""

    kills: int = 0
    pauses: int = 0
    outages: list[tuple[float, float]] = field(default_factory=list)
    ready_after_s: list[float] = field(default_factory=list)
    restarts: int = 0
    cpu_s: float = 0.0
    loads: list[float] = field(default_factory=list)
    runs: int = 0
    records: dict[str, tuple[int, int]] = field(default_factory=dict)
    retried: int = 0
    messages: int = 0
    samples: list[Sample] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def judge_growth(self) -> None:
        """Compare the values at the end with those once everything was in balance."""
        early, _, late = _periods(self.samples)
        for name in self.samples[0].bounded:
            if (final := _most(late, name)) > (initial := _most(early, name)) * MOST_GROWTH:
                self.wrong.append(f"{name}: grew from {initial:.1f} to {final:.1f}")

    def table(self) -> str:
        """The values, as rows of Markdown."""
        periods = _periods(self.samples)
        return "\n".join(
            f"| {name} | " + " | ".join(f"{_most(period, name):.1f}" for period in periods) + " |"
            for name in self.samples[0].all
        )

    def _disturbed(self) -> str:
        if not self.outages:
            return ""
        return (
            f"| pauses (SIGSTOP) | {self.pauses} |\n"
            f"| outages of the database; the longest time until all processes were ready again | {len(self.outages)}; "
            f"{max(self.ready_after_s):.1f} s |\n"
        )

    def section(self, introduction: str, minutes: float) -> str:
        """The section of docs/reports/soak.md."""
        problems = "\n".join(f"- {each}" for each in self.wrong) or (
            "Nothing: every list contained exactly the right people, there was no unexpected error, and memory, open files and\n"
            f"data without the history stayed below {MOST_GROWTH:g} times their first size."
        )
        history = " and ".join(
            f"{rows:,} rows in `{name}`, {size / rows:,.0f} bytes each"
            for name, (rows, size) in self.records.items()
            if rows
        )
        return f"""\
{introduction}

| | |
|---|---|
| minutes | {minutes:g} |
| kills | {self.kills} |
{self._disturbed()}| processes that ended by themselves, as they should, and were restarted | {self.restarts} |
| cores used by the processes, the local Iterable and the sender, without PostgreSQL | {self.cpu_s / 60 / minutes:.2f} |
| load of the machine ({os.cpu_count()} cores): mean, most | {mean(self.loads):.1f}, {max(self.loads):.1f} |
| runs of files, retried after failing | {self.runs:,}, {self.retried:,} |
| live messages | {self.messages:,} |

The maximum of {A_PERIOD} samples, taken once a minute:

| | from minute {_steady_after(len(self.samples))} | in the middle | at the end |
|---|---|---|---|
{self.table()}

The history at the end: {history}.

Faults at the end:

{problems}
"""


def _periods(samples: list[Sample]) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """The samples of the start (once everything is in balance), the middle and the end."""
    steady = samples[_steady_after(len(samples)) - 1 :] or samples
    middle = max(0, (len(steady) - A_PERIOD) // 2)
    return steady[:A_PERIOD], steady[middle : middle + A_PERIOD], steady[-A_PERIOD:]


def _steady_after(minutes: float) -> int:
    """The minute from which everything is in balance, in a soak of this length."""
    return STEADY_AFTER_LONG if minutes >= LONG else STEADY_AFTER


def _most(samples: list[Sample], name: str) -> float:
    return max(each.all[name] for each in samples)
