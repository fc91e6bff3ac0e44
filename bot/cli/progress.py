"""Shows the progress of a run on standard error: a bar on a terminal, otherwise a line every few seconds."""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich import progress as bars

from bot.ui.formatting import compact_duration, downloaded
from bot.ui.terminal import Terminal, clean
from core.engine import Engine
from core.models.run import RunPhase, RunStatus
from core.reporting.progress import Progress, ProgressTracker
from core.settings import FETCHED
from core.sources.download_progress import download_progress
from core.store import batches, runs

# How often the progress is read from the database, in seconds.
POLL_INTERVAL_S = 0.2
# Without a terminal: the seconds between two lines about the same activity.
LINE_INTERVAL_S = 5.0
# The rate is an average over this period, in seconds.
RATE_PERIOD_S = 10.0
# After this many seconds without an answer the display says so. At a low rate limit it is three requests' time.
SILENCE_S = 15.0


_NO_PROGRESS = Progress(0, 0)


@dataclass(frozen=True, slots=True)
class Activity:
    """What a run is doing, and the progress of its upload."""

    text: str
    progress: Progress = _NO_PROGRESS


class ProgressDisplay(AbstractContextManager["ProgressDisplay"], Protocol):
    """Shows what a run is doing."""

    def show(self, activity: Activity) -> None:
        """Show the present activity."""


async def watch(engine: Engine, terminal: Terminal, run_id: str, work: Awaitable[RunStatus]) -> RunStatus:
    """Await the work on a run, and show its progress meanwhile. Returns the status that the work returns."""
    task = asyncio.ensure_future(work)
    tracker = ProgressTracker(RATE_PERIOD_S)
    try:
        with _display(terminal) as display:
            while True:
                done, _ = await asyncio.wait({task}, timeout=POLL_INTERVAL_S)
                if activity := await _read_activity(engine, run_id, tracker):
                    display.show(activity)
                if done:
                    break
    finally:
        task.cancel()
    return await task


async def describe(engine: Engine, run_id: str) -> str:
    """Return what a run is doing that another process works on, in a line."""
    activity = await _read_activity(engine, run_id, ProgressTracker(RATE_PERIOD_S))
    return _line(activity) if activity else "About to start"


async def _read_activity(engine: Engine, run_id: str, tracker: ProgressTracker) -> Activity | None:
    async with engine.database.read() as db:
        run = await runs.by_id(db, run_id)
        if run is None or run.phase is RunPhase.NONE or run.status is RunStatus.FAILED:
            return None
        if run.phase is RunPhase.WAITING:
            return Activity(f"Waiting for run {run.waiting_for_run_id}")
        if run.plan is None or run.phase is RunPhase.PLANNING:
            return Activity("Stopping" if engine.stopping.is_set() else await _planning(engine, run_id))
        done, total = await batches.progress(db, run_id)
    progress = tracker.add(done, total)
    if engine.stopping.is_set():  # no estimate: the rest is left for a later run
        return Activity("Stopping", Progress(done, total))
    if run.status is RunStatus.RUNNING and tracker.silent_s > max(SILENCE_S, 3 / run.rate if run.rate else 0.0):
        return Activity(f"No answer for {tracker.silent_s:.0f} s", progress)
    return Activity("Uploading", progress)


async def _planning(engine: Engine, run_id: str) -> str:
    download = await asyncio.to_thread(download_progress, engine.settings.data_dir / FETCHED / run_id)
    return f"Fetching the audience, {downloaded(download)}" if download else "Reading and comparing"


def _display(terminal: Terminal) -> ProgressDisplay:
    return _ProgressBar(terminal) if terminal.err.is_terminal else _ProgressLines(terminal)


class _ProgressBar:
    """A progress bar on a terminal."""

    def __init__(self, terminal: Terminal) -> None:
        self._progress = bars.Progress(
            bars.SpinnerColumn(),
            bars.TextColumn("{task.description}"),
            bars.BarColumn(bar_width=24),
            bars.TextColumn("{task.fields[count]}"),
            bars.TextColumn("{task.fields[pace]}", style="dim"),
            console=terminal.err,
            transient=True,
        )
        self._task: bars.TaskID = self._progress.add_task("Starting", total=None, count="", pace="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, activity: Activity) -> None:
        """Move the bar."""
        self._progress.update(
            self._task,
            description=clean(activity.text),
            total=activity.progress.total or None,
            completed=activity.progress.done,
            count=_count(activity.progress),
            pace=_pace(activity.progress),
        )


class _ProgressLines:
    """Prints a line when the activity changes, and every few seconds."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._shown: Activity | None = None
        self._shown_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        return

    def show(self, activity: Activity) -> None:
        """Print the activity, if a line is due."""
        now = time.monotonic()
        is_new = self._shown is None or self._shown.text.split()[0] != activity.text.split()[0]
        if activity == self._shown or not (is_new or now > self._shown_at + LINE_INTERVAL_S):
            return
        self._shown, self._shown_at = activity, now
        self._terminal.say(_line(activity))


def _line(activity: Activity) -> str:
    parts = (activity.text, _count(activity.progress), _pace(activity.progress))
    return ", ".join(part for part in parts if part)


def _count(progress: Progress) -> str:
    return f"{progress.done:,} of {progress.total:,}" if progress.total else ""


def _pace(progress: Progress) -> str:
    left = progress.seconds_left
    if progress.rate is None or left is None:
        return ""
    return f"{progress.rate:,.0f}/s" + (f", {compact_duration(left)} left" if left >= 1 else "")
