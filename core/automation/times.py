"""When a schedule is due: cron expressions in a time zone, and quiet hours.

Daylight saving time is handled as Debian's cron does (cronsim): a time that is skipped in spring is due right after the
gap, and one that occurs twice in autumn is due once. Expressions that fire every hour do so by the hours that pass.
"""

from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from core.errors import ValidationError
from core.settings.quiet_hours import QuietHours, hour_and_minute

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def check_cron(expression: str) -> str:
    """Return a cron expression in its plain form. Raises ValidationError if it is none, or has seconds."""
    text = " ".join(expression.split())
    if len(text.split()) != 5:
        raise ValidationError(
            "A cron expression has five fields: minute, hour, day of month, month, day of week. For example: "
            "0 8 * * 1-5"
        )
    try:
        next(CronSim(text, datetime.now(ZoneInfo("UTC"))))
    except (CronSimError, StopIteration):
        raise ValidationError(f'"{text[:60]}" is not a cron expression that is ever due. Check its fields.') from None
    return text


def check_time_zone(name: str) -> str:
    """Return the name of a time zone. Raises ValidationError if it is not one."""
    if name not in available_timezones():
        raise ValidationError(f'There is no time zone "{name[:60]}". Use a name such as Europe/Berlin or UTC.')
    return name


def check_time(text: str) -> str:
    """Return a time of day as HH:MM. Raises ValidationError if it is not one."""
    try:
        hour, minute = hour_and_minute(text)
    except ValueError:
        raise ValidationError(f'"{text[:20]}" is not a time of day. Use hours and minutes, such as 08:00.') from None
    return f"{hour:02}:{minute:02}"


def hourly() -> str:
    """Return the cron expression for each hour."""
    return "0 * * * *"


def daily(at: str) -> str:
    """Return the cron expression for each day at a time (HH:MM)."""
    hour, minute = _parts(at)
    return f"{minute} {hour} * * *"


def weekdays(at: str) -> str:
    """Return the cron expression for Monday to Friday at a time (HH:MM)."""
    hour, minute = _parts(at)
    return f"{minute} {hour} * * 1-5"


def weekly(day: str, at: str) -> str:
    """Return the cron expression for a day of the week at a time (HH:MM). Raises ValidationError for another day."""
    if day.lower() not in DAYS:
        raise ValidationError(f'"{day[:20]}" is not a day of the week. Use monday, tuesday and so on.')
    hour, minute = _parts(at)
    return f"{minute} {hour} * * {(DAYS.index(day.lower()) + 1) % 7}"


def next_time(cron: str, time_zone: str, after: float) -> float:
    """Return when a cron expression is due next after a time (UTC seconds)."""
    return next(CronSim(cron, datetime.fromtimestamp(after, ZoneInfo(time_zone)))).timestamp()


def in_words(cron: str) -> str:
    """Return a cron expression as a phrase: "At 08:00 on Monday through Friday"."""
    return CronSim(cron, datetime.now(ZoneInfo("UTC"))).explain()


def quiet_until(quiet_from: str | None, quiet_to: str | None, time_zone: str, now: float) -> float | None:
    """Return when the quiet hours end that hold now (UTC seconds), or None if there are none now.

    Both are times of day (HH:MM). The hours may go over midnight.
    """
    if quiet_from is None or quiet_to is None:
        return None
    return QuietHours(quiet_from, quiet_to, time_zone).until(now)


def _parts(at: str) -> tuple[int, int]:
    return hour_and_minute(check_time(at))
