"""What the soak counts, what it holds against that, and how it is written down."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# From this minute on everything is in balance: what is kept for days is kept for two minutes. SQLite's file is as large as
# the most that was ever in it, so where there is time it is given some.
STEADY_AFTER, STEADY_AFTER_LONG, LONG = 4, 10, 30
# By how much the last samples may be above the first steady ones. Each is of so many minutes, and the largest of them.
MOST_GROWTH = 1.25
A_PERIOD = 3


@dataclass(frozen=True)
class Sample:
    """What a process uses: MB of memory, open files, and what is kept, in MB; `history_mb` is a part of the database."""

    memory_mb: float
    files: int
    kept_mb: Mapping[str, float]
    history_mb: float

    @property
    def bounded(self) -> dict[str, float]:
        """What may not grow."""
        without_history = sum(self.kept_mb.values()) - self.history_mb
        return {
            "memory (MB)": self.memory_mb,
            "open files": self.files,
            "stored data without the history (MB)": without_history,
        }

    @property
    def all(self) -> dict[str, float]:
        """Everything, for a table."""
        return {**self.bounded, **self.kept_mb, "history, as part of the database": self.history_mb}


@dataclass
class Figures:
    """What happened."""

    kills: int = 0
    runs: int = 0
    records: dict[str, tuple[int, int]] = field(default_factory=dict)
    retried: int = 0
    messages: int = 0
    samples: list[Sample] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def judge_growth(self) -> None:
        """Compare what is used at the end with what was used when all had come into balance."""
        early, _, late = _periods(self.samples)
        for name in self.samples[0].bounded:
            if (after := _most(late, name)) > (before := _most(early, name)) * MOST_GROWTH:
                self.wrong.append(f"{name}: grew from {before:.1f} to {after:.1f}")

    def table(self) -> str:
        """What was used, as rows of Markdown."""
        periods = _periods(self.samples)
        return "\n".join(
            f"| {name} | " + " | ".join(f"{_most(some, name):.1f}" for some in periods) + " |"
            for name in self.samples[0].all
        )

    def section(self, how: str, minutes: float) -> str:
        """The figures for docs/reports/soak.md."""
        wrong = "\n".join(f"- {each}" for each in self.wrong) or (
            "Nothing: every list contained exactly the right people, there was no unexpected error, and memory, open files and\n"
            f"data without the history stayed below {MOST_GROWTH:g} times their first size."
        )
        history = " and ".join(
            f"{rows:,} rows in `{name}`, {size / rows:,.0f} bytes each"
            for name, (rows, size) in self.records.items()
            if rows
        )
        return f"""\
{how}

| | |
|---|---|
| minutes | {minutes:g} |
| kills | {self.kills} |
| runs of files, retried after failing | {self.runs:,}, {self.retried:,} |
| live messages | {self.messages:,} |

The maximum of {A_PERIOD} samples, taken once a minute, just before a kill:

| | from minute {_steady_after(len(self.samples))} | in the middle | at the end |
|---|---|---|---|
{self.table()}

The history at the end: {history}.

Faults at the end:

{wrong}
"""


def _periods(samples: list[Sample]) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """The samples of the beginning (once all is in balance), of the middle and of the end."""
    steady = samples[_steady_after(len(samples)) - 1 :] or samples
    middle = max(0, (len(steady) - A_PERIOD) // 2)
    return steady[:A_PERIOD], steady[middle : middle + A_PERIOD], steady[-A_PERIOD:]


def _steady_after(minutes: float) -> int:
    """From which minute on all is in balance, in a soak of so many."""
    return STEADY_AFTER_LONG if minutes >= LONG else STEADY_AFTER


def _most(samples: list[Sample], name: str) -> float:
    return max(each.all[name] for each in samples)
