"""Times that people type: "2h", "17:00", "monday", "tomorrow 9:00", "2026-12-01 17:00", in their time zone."""

import re
from datetime import date, datetime, time, timedelta

from core.errors import ValidationError

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UNITS = {"m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
_LENGTH = re.compile(r"(\d{1,5})\s*(m|min|mins|minutes?|h|hours?|hrs?|d|days?|w|weeks?)", re.ASCII)
_TIME = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*(am|pm)?", re.ASCII)
_FORMS = 'such as "2h", "17:00", "tomorrow 9:00", "monday" or "2026-12-31 17:00"'


def parse_until(text: str, now: datetime) -> float:
    """Return the time that a text stands for, in UTC seconds. `now` is the time by the database's clock, in
    the person's time zone.

    A day without a time is its beginning. A weekday is the next one after today, and a time without a day is the next
    one. Raises ValidationError if the text can't be read or the time is over.
    """
    words = re.sub(r"^(until|till|for)\s+", "", " ".join(text.lower().replace(",", " ").split()))
    if length := _LENGTH.fullmatch(words):
        return now.timestamp() + int(length[1]) * _UNITS[length[2][0]]
    first, _, rest = words.partition(" ")
    day = _day(first, now)
    clock = _clock(rest.removeprefix("at ") if day is not None else words.removeprefix("at "))
    if day is None and clock is None:
        raise ValidationError(f"“{text.strip()[:40]}” is no time. Type one {_FORMS}.")
    if day is not None and rest and clock is None:
        raise ValidationError(f"“{rest[:40]}” is no time of day. Type one {_FORMS}.")
    at = datetime.combine(day or now.date(), clock or time(), now.tzinfo)
    if day is None and at <= now:
        at = datetime.combine(now.date() + timedelta(days=1), clock or time(), now.tzinfo)
    if at <= now:
        raise ValidationError(f"“{text.strip()[:40]}” is over. Type a time in the future.")
    return at.timestamp()


def _day(word: str, now: datetime) -> date | None:
    today = now.date()
    if word in ("today", "tomorrow"):
        return today + timedelta(days=1 if word == "tomorrow" else 0)
    for number, name in enumerate(_DAYS):
        if len(word) >= 3 and name.startswith(word):
            return today + timedelta(days=(number - today.weekday() - 1) % 7 + 1)
    try:
        return date.fromisoformat(word) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", word) else None
    except ValueError:
        return None


def _clock(words: str) -> time | None:
    match = _TIME.fullmatch(words)
    if match is None or (match[2] is None and match[3] is None):
        return None
    hour, minute = int(match[1]), int(match[2] or 0)
    if match[3]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match[3] == "pm" else 0)
    return time(hour, minute) if hour < 24 and minute < 60 else None
