"""Times that people type are read in their time zone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from core.connections.until import parse_until
from core.errors import ValidationError

#: A Sunday afternoon in Berlin.
NOW = datetime(2026, 11, 29, 15, 30, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", "2026-11-29 17:30"),
        ("for 30 minutes", "2026-11-29 16:00"),
        ("3d", "2026-12-02 15:30"),
        ("17:00", "2026-11-29 17:00"),
        ("at 5pm", "2026-11-29 17:00"),
        ("9:15 am", "2026-11-30 09:15"),
        ("until Monday", "2026-11-30 00:00"),
        ("mon 9:00", "2026-11-30 09:00"),
        ("sunday", "2026-12-06 00:00"),
        ("tomorrow at 12am", "2026-11-30 00:00"),
        ("today, 23:00", "2026-11-29 23:00"),
        ("2027-03-28 02:30", "2027-03-28 02:30"),
    ],
)
def test_times_are_read(text: str, expected: str) -> None:
    """Lengths, times of day, weekdays and dates are read; what has no day is the next such time."""
    assert parse_until(text, NOW) == datetime.fromisoformat(expected).replace(tzinfo=NOW.tzinfo).timestamp()


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "5", "monday evening", "2026-02-30", "today", "2026-11-01", "mo"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """Other texts, and times that are over, are refused with examples."""
    with pytest.raises(ValidationError):
        parse_until(text, NOW)


def test_a_day_is_that_of_the_person() -> None:
    """At the same moment it is Monday already in Auckland, so the next Monday is a week later there."""
    moment = datetime(2026, 11, 29, 14, 30, tzinfo=UTC)
    auckland = moment.astimezone(ZoneInfo("Pacific/Auckland"))
    assert parse_until("monday", auckland) - parse_until("monday", moment) == 7 * 86400 - 13 * 3600
