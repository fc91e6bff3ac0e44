"""A schedule in words, for Slack and the terminal."""

from core.automation import times
from core.store.schedules import Schedule, Trigger


def phrase(schedule: Schedule, after: str | None = None) -> str:
    """Return when a schedule syncs (plain text). `after` is the name of the mapping that has to succeed first."""
    quiet = f", not between {schedule.quiet_from} and {schedule.quiet_to}" if schedule.quiet_from else ""
    if schedule.trigger is Trigger.NEW_FILE:
        zone = f" ({schedule.time_zone})" if quiet else ""
        return f"when a new file arrives{quiet}{zone}"
    if schedule.trigger is Trigger.AFTER:
        return f"after {after or f'mapping {schedule.after_mapping_id}'} succeeds{quiet}"
    words = times.in_words(schedule.cron or "")
    return f"{words[0].lower()}{words[1:]}{quiet} ({schedule.time_zone})"
