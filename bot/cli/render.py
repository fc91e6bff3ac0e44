"""Renders results for the terminal. Pure functions."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bot.ui.formatting import JOURNEYS, compact_duration, plural
from bot.ui.status_words import terminal_words
from bot.ui.terminal import clean
from core.iterable.models import FailureReason
from core.models.run import GuardName, Run, RunPlan, RunStatus
from core.reporting.rejection_reasons import explain
from core.reporting.run_report import RunReport
from core.store.mappings import is_new_list
from core.store.rejections import EXCLUDED

_STYLES = {
    RunStatus.SUCCEEDED: "bold green",
    RunStatus.PLANNED: "bold green",
    RunStatus.FAILED: "bold red",
    RunStatus.CANCELLED: "bold yellow",
    RunStatus.EXPIRED: "bold yellow",
    RunStatus.INTERRUPTED: "bold yellow",
    RunStatus.NEEDS_APPROVAL: "bold yellow",
}


def utc(seconds: float) -> str:
    """Return a time (seconds since 1970) for programs: ISO 8601, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def summary(report: RunReport, run: Run) -> RenderableType:
    """Return the summary of a run: numbers, rejection reasons, next steps."""
    parts: list[RenderableType] = [_head(report, run)]
    if run.plan is not None:
        parts.append(Padding(_numbers(report, run), (1, 0, 0, 2), expand=False))
        if run.status is RunStatus.PLANNED:
            parts.append(_estimate(run.plan, run.rate))
    parts += _notes(report)
    if report.rejected_by_reason:
        parts += [Text("\nRejected, and why", style="bold"), rejections(report.rejected_by_reason)]
        parts.append(Text(f"Who they are: iterable-sync runs rejects {run.id} --csv rejects.csv", style="dim"))
    if report.requests:
        parts.append(Text(f"\n{_traffic(report)}", style="dim"))
    return Group(*parts)


def plan(run: Run, report: RunReport) -> RenderableType:
    """Return the plan of a run that waits for approval."""
    assert run.plan is not None
    parts: list[RenderableType] = [
        _head(report, run),
        Padding(_numbers(report, run), (1, 0, 0, 2), expand=False),
    ]
    parts.append(_estimate(run.plan, run.rate))
    parts += _notes(report)
    parts += [Text(f"\n{clean(guard.message)} {overruling(guard.name)}", style="yellow") for guard in run.plan.guards]
    return Group(*parts)


def overruling(guard: GuardName) -> str:
    """Return how to approve what a guard has stopped."""
    if guard is GuardName.OTHER_AUDIENCE:
        return "To proceed anyway, pass --yes. If both audiences feed the list, name this one with --audience."
    return f"To proceed anyway, pass {option_for(guard)}."


def option_for(guard: GuardName) -> str:
    """Return the option that approves a guard."""
    return "--allow-empty" if guard is GuardName.EMPTY_AUDIENCE else "--yes"


def rejections(by_reason: Mapping[str, int]) -> RenderableType:
    """Return the rejection reasons with counts, meanings and remedies."""
    table = Table.grid(padding=(0, 2), pad_edge=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for reason, count in by_reason.items():
        explanation = explain(reason)
        words = Text.assemble(explanation.meaning, (f" ({clean(reason)})", "dim"), "\n", (explanation.remedy, "dim"))
        table.add_row(Text(f"{count:,}", style="yellow"), words)
    return table


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[str] = (), cut: Sequence[str] = ()
) -> Table:
    """Return a table of plain text. Columns in `numbers` are right-aligned; those in `cut` are shortened first."""
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        grid.add_column(
            column, justify="right" if column in numbers else "left", no_wrap=column not in cut, overflow="ellipsis"
        )
    for row in rows:
        grid.add_row(*(Text(clean(cell), no_wrap=True, overflow="ellipsis") for cell in row))
    return grid


def list_text(list_id: int) -> str:
    """Return the id of a list, or that it is created after approval."""
    return "new" if is_new_list(list_id) else str(list_id)


def facts(pairs: Sequence[tuple[str, str]]) -> Table:
    """Return names and values, a pair per line."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(name, Text(clean(value)))
    return grid


def when(seconds: float | None) -> str:
    """Return a time in the local time zone, with its year and the name of the zone."""
    return "" if seconds is None else datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M %Z")


def _head(report: RunReport, run: Run) -> Text:
    target = "a new list" if report.list_id is None else f"list {report.list_id}"
    subject = f"{report.audience} to {target}" if report.audience else target
    head = Text.assemble((f"Run {run.id} ", "bold"), (terminal_words(run), _STYLES.get(run.status, "bold")))
    head.append(f": {clean(subject)}, {report.mode}, User ID {report.user_id}")
    return head


def _numbers(report: RunReport, run: Run) -> Table:
    planned = run.status in (RunStatus.PLANNED, RunStatus.NEEDS_APPROVAL)
    names = ("to add", "to update", "to remove") if planned else ("added", "updated", "removed")
    accounted = report.added + report.updated + report.removed + report.unchanged + report.duplicates + report.rejected
    rest = report.members + report.left - accounted
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right")
    grid.add_column()
    explained = ": another member has the same subscriber" if report.duplicates else ""
    left = f", and {report.left:,} have left it" if report.left else ""
    count = report.rejected_by_reason.get(FailureReason.FORGOTTEN, 0)
    forgotten = f", {count:,} of them because Iterable has forgotten them" if count else ""
    excluded = run.plan.excluded if planned and run.plan else report.rejected_by_reason.get(EXCLUDED, 0)
    forgotten += f", {excluded:,} of them because the mapping excludes them" if excluded else ""
    rows = [
        (report.members, f"members in the audience{left}", "bold"),
        (report.added, names[0], "green"),
        (report.updated, names[1], "green"),
        (report.removed, names[2], "green"),
        *([(report.merged, _merged_words(planned=planned), "yellow")] if report.merged else []),
        (report.unchanged, "unchanged", ""),
        (report.duplicates, f"duplicates{explained}", ""),
        (report.rejected, f"rejected{forgotten}", "yellow"),
        *([(rest, "not done yet", "yellow")] if rest else []),
    ]
    for number, words, style in rows:
        grid.add_row(Text(f"{number:,}", style=style if number else "dim"), Text(words, style="" if number else "dim"))
    return grid


def _merged_words(*, planned: bool) -> str:
    if planned:
        return "profiles at most to merge into others that have the address already; this can't be undone"
    return "profiles merged into others that had the address already"


def _notes(report: RunReport) -> list[Text]:
    """Return how the source was read: its rows, if they are more than its members, and other notes."""
    rows = f"{report.rows_read:,} rows were read; {report.rows_merged:,} of them belong to a person of another row."
    lines = [*([rows] if report.rows_merged else []), *report.notes]
    return [Text("\n" + "\n".join(map(clean, lines)), style="dim")] if lines else []


def _estimate(run_plan: RunPlan, rate: float) -> Text:
    if not run_plan.requests:
        return Text("\nNothing has been sent, and there is nothing to send.", style="dim")
    pace = (
        f"about {compact_duration(max(run_plan.seconds, 1.0))} at {rate:g} a second" if rate else "without a rate limit"
    )
    text = f"\nNothing has been sent. It takes {plural(run_plan.requests, 'request')}, {pace}."
    return Text(
        f"{text} {JOURNEYS}" if run_plan.to_add or run_plan.to_update or run_plan.to_remove else text, style="dim"
    )


def _traffic(report: RunReport) -> str:
    parts = [plural(report.requests, "request")]
    if report.retries:
        parts.append(f"{report.retries:,} repeated after a fault")
    if report.throttled:
        parts.append(f"{report.throttled:,} answered with 'too many requests'")
    return f"{', '.join(parts)}; {compact_duration(report.duration_s)}"
