"""A report as a page of an e-mail (HTML). Charts are tables with colored bars: mail programs show these without loading
anything, and screen readers read the numbers next to the bars.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from html import escape

from core.models.reports import Changes, Report, ReportedMapping, ReportKind
from core.notifications import event_words

_FONT = "font-family:Arial,Helvetica,sans-serif;color:#1d1c1d;font-size:14px;line-height:1.45"
_CELL = "padding:2px 8px 2px 0;font-size:13px"
_ADDED, _REMOVED, _SIZE = "#2f6f8f", "#d98324", "#4c8a3f"
# The width of the longest bar, in pixels.
_BAR_PX = 220
_MOST_LISTS = 10


def render(report: Report, title: str) -> str:
    """Return the page."""
    syncs = "1 sync" if report.syncs == 1 else f"{report.syncs:,} syncs"
    failed = f"<b>{report.failed:,} failed.</b> " if report.failed else ""
    parts = [
        f"<h1 style='font-size:20px;margin:0 0 4px'>{escape(title)}</h1>",
        f"<p style='margin:0 0 16px'>{syncs} succeeded. {failed}{event_words.changes_words(report.changes)}.</p>",
        _tasks(report.tasks()),
    ]
    if report.kind is ReportKind.WEEKLY:
        parts.append(_by_day(report))
    parts += [_sizes(report.mappings[:_MOST_LISTS]), _list("Mappings", event_words.mapping_lines(report))]
    if report.reasons:
        parts.append(_list("Not synced", event_words.reason_lines(report)))
    zone = f"<p style='color:#616061;font-size:12px'>Days begin at midnight in {escape(report.time_zone)}.</p>"
    body = "".join([*parts, zone])
    return (
        f"<!doctype html><html lang='en'><body style='{_FONT}'><div style='max-width:640px'>{body}</div></body></html>"
    )


def _tasks(tasks: Sequence[str]) -> str:
    return _list("Needs attention", tasks) if tasks else "<p>Nothing needs attention.</p>"


def _list(heading: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"{_heading(heading)}<ul style='margin:0 0 16px;padding-left:20px'>{items}</ul>"


def _by_day(report: Report) -> str:
    """Return the chart of people added and removed on each day."""
    week = list(zip(report.dates, report.changes_by_day[-len(report.dates) :], strict=True))
    most = max(1, *(max(changes.added, changes.removed) for _, changes in week))
    rows = "".join(_day(day, changes, most) for day, changes in week)
    return f"{_heading('People added and removed each day')}{_table(rows)}"


def _day(day: str, changes: Changes, most: int) -> str:
    name = f"{date.fromisoformat(day):%a %b} {date.fromisoformat(day).day}"
    bars = _bar(changes.added, most, _ADDED, "added") + _bar(changes.removed, most, _REMOVED, "removed")
    return _row(name, bars)


def _sizes(mappings: Sequence[ReportedMapping]) -> str:
    """Return the chart of the sizes of lists, with the difference to a week before."""
    if not mappings:
        return ""
    most = max(1, *(each.sizes[-1] for each in mappings))
    rows = []
    for each in mappings:
        change = each.sizes[-1] - each.sizes[-8]
        words = f"people ({change:+,} in a week)" if change else "people"
        bar = _bar(each.sizes[-1], most, _SIZE, words)
        rows.append(_row(escape(each.audience), bar))
    return f"{_heading('List sizes')}{_table(''.join(rows))}"


def _row(name: str, bars: str) -> str:
    heading = f"<th scope='row' align='left' style='{_CELL};font-weight:normal'>{name}</th>"
    return f"<tr>{heading}<td style='{_CELL}'>{bars}</td></tr>"


def _bar(value: int, most: int, color: str, words: str) -> str:
    """Return a bar with its number; without a bar for 0."""
    width = round(value / most * _BAR_PX)
    style = f"display:inline-block;width:{width}px;height:10px;background:{color};margin-right:6px"
    bar = f"<span style='{style}' aria-hidden='true'></span>" if width else ""
    return f"<div style='white-space:nowrap'>{bar}{value:,} {words}</div>" if value else ""


def _heading(text: str) -> str:
    return f"<h2 style='font-size:15px;margin:16px 0 6px'>{escape(text)}</h2>"


def _table(rows: str) -> str:
    return f"<table cellspacing='0' cellpadding='0' style='border-collapse:collapse'>{rows}</table>"
