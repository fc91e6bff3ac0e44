"""The progress of a run, on standard error: a bar on a terminal, now and then a line elsewhere."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from bot.ui.terminal import Terminal, clean
from core.engine import Engine
from core.models.run import Run, RunStatus
from core.store import batches, runs

# How often the database is asked how far a run is, in seconds.
LOOK_EVERY_S = 0.2
# Where there is no terminal: seconds between two lines of the same kind.
LINE_EVERY_S = 5.0
# The rate is that of the last so many seconds.
RATE_OVER_S = 10.0
# Silence after which it is said that no answer comes, in seconds; longer at a pace that is slow by itself.
SILENCE_S = 15.0


@dataclass(frozen=True, slots=True)
class Moment:
    """How far a run is."""

    what: str
    done: int = 0
    all: int = 0
    rate: float | None = None
    """Members a second."""

    @property
    def seconds_left(self) -> float | None:
        """An estimate."""
        return (self.all - self.done) / self.rate if self.rate else None


class ProgressDisplay(AbstractContextManager["ProgressDisplay"], Protocol):
    """What shows the moments of a run."""

    def show(self, moment: Moment) -> None:
        """Show how far it is."""


async def watch(engine: Engine, terminal: Terminal, run_id: str, work: Awaitable[RunStatus]) -> RunStatus:
    """Await the work on a run, and show its progress meanwhile."""
    task = asyncio.ensure_future(work)
    course = _Course()
    try:
        with _face(terminal) as face:
            while True:
                done, _ = await asyncio.wait({task}, timeout=LOOK_EVERY_S)
                if moment := await _moment(engine, run_id, course):
                    face.show(moment)
                if done:
                    break
    finally:
        task.cancel()
    return await task


async def glance(engine: Engine, run_id: str) -> str:
    """Say where a run is that another process is at work on."""
    moment = await _moment(engine, run_id, _Course())
    return _words(moment) if moment else "About to begin"


class _Course:
    """How many members were done when: tells the rate."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()
        self._moved_at = time.monotonic()

    def add(self, done: int) -> None:
        """Note how many are done now."""
        now = time.monotonic()
        if self._points and done != self._points[-1][1]:
            self._moved_at = now
        self._points.append((now, done))
        while len(self._points) > 2 and self._points[1][0] < now - RATE_OVER_S:
            self._points.popleft()

    @property
    def rate(self) -> float | None:
        """Members a second, once any were done."""
        (begin, before), (end, after) = self._points[0], self._points[-1]
        return (after - before) / (end - begin) if after > before else None

    @property
    def silent_for(self) -> float:
        """Seconds in which nothing was done."""
        return time.monotonic() - self._moved_at


async def _moment(engine: Engine, run_id: str, course: _Course) -> Moment | None:
    async with engine.database.read() as db:
        run = await runs.by_id(db, run_id)
        if run is None or run.phase == "" or run.status is RunStatus.FAILED:
            return None
        if run.phase.startswith("waiting"):
            return Moment(run.phase.capitalize())
        if run.plan is None or run.phase == "planning":
            return Moment("Stopping" if engine.stopping.is_set() else "Reading and comparing")
        done, total = await batches.progress(db, run_id)
    course.add(done)
    rate = None if engine.stopping.is_set() else course.rate  # what is left is not waited for
    return Moment(_activity(engine, run, course), done, total, rate)


def _activity(engine: Engine, run: Run, course: _Course) -> str:
    if engine.stopping.is_set():
        return "Stopping"
    if run.status is RunStatus.RUNNING and course.silent_for > max(SILENCE_S, 3 / run.rate if run.rate else 0.0):
        return f"No answer for {course.silent_for:.0f} s"
    return "Uploading"


def _face(terminal: Terminal) -> ProgressDisplay:
    return _Bar(terminal) if terminal.err.is_terminal else _Lines(terminal)


class _Bar:
    """A bar that moves."""

    def __init__(self, terminal: Terminal) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[pace]}", style="dim"),
            console=terminal.err,
            transient=True,
        )
        self._task: TaskID = self._progress.add_task("Starting", total=None, count="", pace="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, moment: Moment) -> None:
        """Move the bar."""
        self._progress.update(
            self._task,
            description=clean(moment.what),
            total=moment.all or None,
            completed=moment.done,
            count=_count(moment),
            pace=_pace(moment),
        )


class _Lines:
    """A line when something else begins, and every few seconds."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._said: Moment | None = None
        self._said_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        return

    def show(self, moment: Moment) -> None:
        """Say it, if it is time."""
        now = time.monotonic()
        begins = self._said is None or self._said.what.split()[0] != moment.what.split()[0]
        if moment == self._said or not (begins or now > self._said_at + LINE_EVERY_S):
            return
        self._said, self._said_at = moment, now
        self._terminal.say(_words(moment))


def _words(moment: Moment) -> str:
    return ", ".join(part for part in (moment.what, _count(moment), _pace(moment)) if part)


def _count(moment: Moment) -> str:
    return f"{moment.done:,} of {moment.all:,}" if moment.all else ""


def _pace(moment: Moment) -> str:
    left = moment.seconds_left
    if moment.rate is None or left is None:
        return ""
    return f"{moment.rate:,.0f}/s" + (f", {duration(left)} left" if left >= 1 else "")


def duration(seconds: float) -> str:
    """Return a length of time as a person writes it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {rest:02} s"
