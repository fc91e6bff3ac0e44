"""Quiet hours: times of day between which nothing is started, or no message is posted."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """The hours from `start` to `end` (HH:MM) by the clock of a time zone. They may go over midnight."""

    start: str
    end: str
    time_zone: str

    def until(self, now: float) -> float | None:
        """Return when they end if they hold at a time (both UTC seconds), or None."""
        local = datetime.fromtimestamp(now, ZoneInfo(self.time_zone))
        start, end, at = time(*hour_and_minute(self.start)), time(*hour_and_minute(self.end)), local.time()
        is_quiet = start <= at < end if start <= end else at >= start or at < end
        if not is_quiet:
            return None
        day = local.date() if at < end else local.date() + timedelta(days=1)
        return datetime.combine(day, end, local.tzinfo).timestamp()


def parse_quiet_hours(text: str) -> QuietHours:
    """Parse quiet hours such as "22:00-06:00 Europe/Berlin". Raises ValueError if they are wrong."""
    hours, _, zone = text.strip().partition(" ")
    start, _, end = hours.partition("-")
    if not _TIME.fullmatch(start) or not _TIME.fullmatch(end) or zone.strip() not in available_timezones():
        raise ValueError("must be hours and a time zone, such as 22:00-06:00 Europe/Berlin")
    return QuietHours(start, end, zone.strip())


def hour_and_minute(text: str) -> tuple[int, int]:
    """Return the hour and the minute of a time of day. Raises ValueError if it is not one."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError("must be hours and minutes, such as 08:00")
    return int(match[1]), int(match[2])
