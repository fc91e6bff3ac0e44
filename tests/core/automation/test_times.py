"""When schedules are due, also where clocks change."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from core.automation import times
from core.errors import ValidationError
from core.settings import Settings

BERLIN = "Europe/Berlin"


def at(text: str, zone: str = BERLIN) -> float:
    """A local time in UTC seconds; a * at the end is the second of two."""
    local = datetime.fromisoformat(text.rstrip("*")).replace(tzinfo=ZoneInfo(zone), fold=int(text.endswith("*")))
    return local.timestamp()


@pytest.mark.parametrize(
    ("cron", "after", "due"),
    [
        (times.daily("08:00"), "2026-03-28 08:00", "2026-03-29 08:00"),
        (times.daily("02:30"), "2026-03-28 12:00", "2026-03-29 03:00"),
        (times.daily("02:30"), "2026-10-24 12:00", "2026-10-25 02:30"),
        (times.daily("02:30"), "2026-10-25 02:30", "2026-10-26 02:30"),
        (times.hourly(), "2026-10-25 02:00", "2026-10-25 02:00*"),
        (times.hourly(), "2026-03-29 01:00", "2026-03-29 03:00"),
        (times.weekdays("07:15"), "2026-12-04 07:15", "2026-12-07 07:15"),
        (times.weekly("Sunday", "00:05"), "2026-12-07 00:00", "2026-12-13 00:05"),
        ("0 9 1 * *", "2026-12-07 00:00", "2027-01-01 09:00"),
    ],
)
def test_next_time(cron: str, after: str, due: str) -> None:
    """A time that spring skips is due after the gap, one that autumn repeats once, and each hour that passes counts."""
    assert times.next_time(cron, BERLIN, at(after)) == at(due)


@pytest.mark.parametrize("expression", ["", "* * * *", "0 0 8 * * *", "61 * * * *", "0 8 31 2 *", "daily", "a b c d e"])
def test_wrong_expressions(expression: str) -> None:
    """An expression that is none, has seconds or is never due is refused with a sentence."""
    with pytest.raises(ValidationError):
        times.check_cron(expression)


@pytest.mark.parametrize(
    ("quiet", "now", "until"),
    [
        (("22:00", "06:00"), "2026-12-07 23:00", "2026-12-08 06:00"),
        (("22:00", "06:00"), "2026-12-07 05:59", "2026-12-07 06:00"),
        (("22:00", "06:00"), "2026-12-07 06:00", None),
        (("12:00", "13:00"), "2026-12-07 12:30", "2026-12-07 13:00"),
        (("12:00", "13:00"), "2026-12-07 11:59", None),
        (("22:00", "06:00"), "2026-03-28 23:00", "2026-03-29 06:00"),
        ((None, None), "2026-12-07 12:30", None),
    ],
)
def test_quiet_hours(quiet: tuple[str | None, str | None], now: str, until: str | None) -> None:
    """Quiet hours may go over midnight, and end by the local clock."""
    assert times.quiet_until(*quiet, BERLIN, at(now)) == (None if until is None else at(until))


def test_words() -> None:
    """People read a schedule as a phrase."""
    assert times.in_words(times.weekdays("08:00")) == "At 08:00 on Monday through Friday"
    with pytest.raises(ValidationError, match="Europe/Berlin"):
        times.check_time_zone("Berlin")
    with pytest.raises(ValidationError, match="08:00"):
        times.check_time("8")


def test_quiet_hours_for_messages() -> None:
    """The setting says when Slack gets no message; a wrong one is refused with an example."""
    values: dict[str, Any] = {"quiet_hours": "22:00-06:00 Europe/Berlin", "_env_file": None}
    settings = Settings(**values)
    assert settings.is_quiet(at("2026-12-07 23:00"))
    assert not settings.is_quiet(at("2026-12-07 21:59"))
    assert not Settings(_env_file=None).is_quiet(at("2026-12-07 23:00"))  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="22:00-06:00 Europe/Berlin"):
        Settings(**{**values, "quiet_hours": "22-6"})
