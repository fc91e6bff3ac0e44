"""Events in words, for e-mails and incidents."""

from core.models.events import Event, EventType

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
    sentences = []
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
