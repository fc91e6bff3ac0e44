"""A report as a message. A pure function."""

from datetime import date

from slack_sdk.models.blocks import Block

from bot.ui.blocks import Message, context, header, section
from bot.ui.charts import MOST_SERIES, Chart, ChartBlock, Series, sparkline
from bot.ui.formatting import changes, escape, number, plural
from core.models.reports import Changes, Report, ReportedMapping, ReportKind
from core.notifications.event_words import report_title

# Mappings that are listed.
_MOST_LISTED = 10


def report_message(report: Report, connection: str) -> Message:
    """Return the message of a report: the numbers, charts, the mappings, and what needs a person."""
    title = report_title(report, connection)
    summary = _summary(report)
    blocks: list[Block] = [header(title), section(summary)]
    if report.kind is ReportKind.WEEKLY:
        blocks += _charts(report)
    if report.mappings:
        blocks.append(section("\n".join(["*Lists*", *_mapping_lines(report)])))
    if report.reasons:
        lines = [f"• {plural(each.count, 'person', 'people')} {escape(each.people)}" for each in report.reasons]
        blocks.append(section("\n".join(["*Who couldn't be synced, counted in each sync*", *lines])))
    blocks.append(section(_tasks(report)))
    blocks.append(
        context(f"Days begin at midnight in {report.time_zone}. An admin changes this report on the Home page.")
    )
    return Message(f"{escape(title)}. {summary}", blocks)


def _summary(report: Report) -> str:
    failed = f" *{plural(report.failed, 'sync', 'syncs')} failed.*" if report.failed else ""
    sentence = f"*{plural(report.syncs, 'sync', 'syncs')}* succeeded.{failed} {_words(report.changes)}."
    return f"{sentence}\nThe week before: {_words(report.before)}." if report.kind is ReportKind.WEEKLY else sentence


def _words(numbers: Changes) -> str:
    words = changes(added=numbers.added, updated=numbers.updated, removed=numbers.removed, rejected=numbers.rejected)
    return words or "no changes"


def _charts(report: Report) -> list[Block]:
    """Return the charts: what was changed on each day, and how large the lists were."""
    charts: list[Block] = []
    names = [_day_name(day) for day in report.days]
    week = report.changes_by_day[-len(report.dates) :]
    if any(each.added or each.removed for each in week):
        series = [
            Series("Added", [each.added for each in week]),
            Series("Removed", [each.removed for each in week]),
        ]
        charts.append(ChartBlock(Chart("People added and removed each day", "bar", names[-len(week) :], series)))
    shown = [each for each in report.mappings if any(each.sizes)][:MOST_SERIES]
    if shown:
        sizes = [Series(each.audience, each.sizes) for each in shown]
        charts.append(ChartBlock(Chart("List sizes, in people", "line", names, sizes)))
    return charts


def _day_name(day: str) -> str:
    parsed = date.fromisoformat(day)
    return f"{parsed:%b} {parsed.day}"


def _mapping_lines(report: Report) -> list[str]:
    lines = [_mapping_line(each) for each in report.mappings[:_MOST_LISTED]]
    more = report.mapping_count - len(lines)
    return [*lines, f"And {number(more)} more."] if more else lines


def _mapping_line(mapping: ReportedMapping) -> str:
    failed = f", *{number(mapping.failed)} failed*" if mapping.failed else ""
    people = plural(mapping.sizes[-1], "person", "people")
    course = f"`{sparkline(mapping.sizes)}` " if any(mapping.sizes) else ""
    syncs = plural(mapping.syncs, "sync", "syncs")
    return f"• *{escape(mapping.audience)}*: {course}{people} ({syncs}{failed}; {_words(mapping.changes)})"


def _tasks(report: Report) -> str:
    tasks = report.tasks()
    if not tasks:
        return ":white_check_mark: Nothing needs attention."
    return "\n".join([":raised_hand: *Needs attention*", *(f"• {escape(task)}" for task in tasks)])
