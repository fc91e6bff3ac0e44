"""Events in words, for e-mails and incidents."""

from datetime import date

from core.models.amounts import people
from core.models.events import Event, EventType
from core.models.reports import Changes, Report, ReportKind

_RUN_TITLES = {
    EventType.RUN_NEEDS_APPROVAL: "A sync waits for approval",
    EventType.RUN_STARTED: "A sync has started",
    EventType.RUN_SUCCEEDED: "A sync has succeeded",
    EventType.RUN_FAILED: "A sync has failed",
    EventType.RUN_CANCELLED: "A sync was cancelled",
}


def title(event: Event) -> str:
    """Return the title of an event, on one line."""
    if event.type is EventType.TEST:
        return "Test of Iterable Sync"
    if event.report is not None:
        return report_title(event.report, event.connection.name if event.connection else "all")
    audience = event.mapping.audience or f"list {event.mapping.list_id}" if event.mapping else ""
    subject = audience or (event.connection.name if event.connection else "")
    what = _RUN_TITLES.get(event.type, "A mapping was changed")
    if event.type is EventType.ALERT_OPENED:
        what = "Alert"
    elif event.type is EventType.ALERT_RESOLVED:
        what = "Resolved"
    return " ".join(f"{what}: {subject}".split())


def lines(event: Event) -> list[str]:
    """Return what there is to say about an event, in lines."""
    if event.type is EventType.TEST:
        return ["This route works. Alerts will arrive here."]
    sentences = [] if event.report is None else report_lines(event.report)
    if event.alert is not None:
        sentences.append(event.alert.message)
        sentences.append(f"Since {event.alert.opened_at:%Y-%m-%d %H:%M} UTC ({event.alert.code}).")
    if event.run is not None:
        counters = ", ".join(f"{number:,} {name}" for name, number in event.run.counters.items() if number)
        sentences += [f"Run {event.run.id}." + (f" {counters}." if counters else "")]
        sentences += [event.run.error.message] if event.run.error is not None else []
    if event.change is not None:
        sentences.append(f"{event.change.action}, by {event.change.by}.")
    if event.connection is not None:
        sentences.append(f"Connection {event.connection.name}.")
    return sentences


def report_title(report: Report, connection: str) -> str:
    """Return the title of a report: "Weekly report: Shop, Nov 23 to Nov 29"."""
    days = [f"{date.fromisoformat(day):%b} {date.fromisoformat(day).day}" for day in report.dates]
    if report.kind is ReportKind.DAILY:
        return f"Daily report: {connection}, {days[0]}"
    return f"Weekly report: {connection}, {days[0]} to {days[-1]}"


def report_lines(report: Report) -> list[str]:
    """Return a report as paragraphs."""
    syncs = "1 sync" if report.syncs == 1 else f"{report.syncs:,} syncs"
    failed = f" {report.failed:,} failed." if report.failed else ""
    lines = [f"{syncs} succeeded.{failed} {changes_words(report.changes)}."]
    if report.kind is ReportKind.WEEKLY:
        lines[0] += f" The week before: {changes_words(report.before)}."
    lines += [f"- {line}" for line in mapping_lines(report)]
    if report.reasons:
        lines.append(f"Not synced: {'; '.join(reason_lines(report))}.")
    tasks = report.tasks()
    lines += ["Needs attention:", *(f"- {each}" for each in tasks)] if tasks else ["Nothing needs attention."]
    return lines


def mapping_lines(report: Report) -> list[str]:
    """Return a line for each mapping: its list's size, and what was changed."""
    lines = []
    for each in report.mappings:
        failed = f", {each.failed:,} failed" if each.failed else ""
        syncs = "1 sync" if each.syncs == 1 else f"{each.syncs:,} syncs"
        lines.append(f"{each.audience}: {people(each.sizes[-1])} ({syncs}{failed}; {changes_words(each.changes)})")
    more = report.mapping_count - len(report.mappings)
    return [*lines, f"And {more:,} more."] if more else lines


def reason_lines(report: Report) -> list[str]:
    """Return a line for each reason for which people were rejected."""
    return [f"{people(each.count)} {each.people}" for each in report.reasons]


def changes_words(changes: Changes) -> str:
    """Return numbers of changes, without zeros: "1,204 added, 87 removed"."""
    numbers = {
        "added": changes.added,
        "updated": changes.updated,
        "removed": changes.removed,
        "rejected": changes.rejected,
    }
    return ", ".join(f"{number:,} {name}" for name, number in numbers.items() if number) or "no changes"
