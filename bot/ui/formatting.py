"""Formats numbers, durations, times and people for Slack (mrkdwn) and for the terminal."""

import math
import re
import time
from typing import TYPE_CHECKING, Final

from core.models.people import is_user_group, mention
from core.models.run import SCHEDULE_PREFIX

if TYPE_CHECKING:  # its package imports the readers, which are slow to import
    from core.sources.download_progress import DownloadProgress

_DONE: Final = "█"
_LEFT: Final = "░"
BAR_WIDTH = 20
# From this number on, `about` rounds.
ABOUT_FROM = 200
# Actors in the audit log that are not people in Slack.
_NO_PERSONS: Final = {
    "mparticle": "mParticle",
    "iterable-sync": "Iterable Sync",
    "command line": "someone at the terminal",
    "configuration file": "the configuration file",
}
# https://docs.slack.dev/reference/objects/user-object: ids begin with U or W
_USER = re.compile(r"[UW][A-Z0-9]+")
# Slack's limit for the text of a section.
SECTION_MAX = 3000
#: The warning about the side effect of adding people to a list.
JOURNEYS: Final = "Adding people to this list, or removing them, may trigger Iterable journeys that send messages."
#: Instead of the numbers of changes, if there are none.
NO_CHANGES: Final = "no changes"
# Shorter estimates are "under a minute", in seconds.
_A_MINUTE_FROM = 50.0


def escape(text: str) -> str:
    """Escape text from outside for mrkdwn."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, length: int) -> str:
    """Cut a text to this length; an ellipsis marks the cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def downloaded(progress: "DownloadProgress") -> str:
    """Return how much has been downloaded: `1.5 MB of 20.0 MB`."""
    total = f"of {progress.total / 1_000_000:,.1f} MB" if progress.total else "so far"
    return f"{progress.done / 1_000_000:,.1f} MB {total}"


def number(value: int) -> str:
    """Return a number with thousands separators."""
    return f"{value:,}"


def plural(value: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: 1 member, 2 members."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def about(value: int, one: str) -> str:
    """Return a growing number with its noun, rounded down from some hundreds on, so that its message changes less
    often."""
    if value < ABOUT_FROM:
        return plural(value, one)
    unit = 10 ** (len(str(value)) - 2)
    return f"more than {plural(value // unit * unit, one)}" if value % unit else plural(value, one)


def changes(**counts: int) -> str:
    """Return numbers with their names, such as 1,200 added, without zeros; "" if all are zero."""
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count)


def signed(value: int) -> str:
    """Return a number with its sign: +13, −2,673."""
    return f"+{value:,}" if value >= 0 else f"−{-value:,}"


def trend(before: int, after: int) -> str:
    """Return by how much a number has changed (+2.2 %), or "" if it is about the same, or was zero."""
    percent = 100 * (after - before) / before if before else 0.0
    return f"{percent:+.1f} %".replace("-", "−") if abs(percent) >= 0.05 else ""


def estimate(seconds: float) -> str:
    """Return an estimated length of time, as exact as an estimate is."""
    if seconds < _A_MINUTE_FROM:
        return "under a minute"
    minutes = math.ceil(seconds / 60)
    if minutes < 60:
        return f"about {plural(minutes, 'minute')}"
    hours, rest = divmod(minutes, 60)
    return f"about {hours} h {rest} min" if rest and hours < 10 else f"about {plural(hours, 'hour')}"


def share(part: int, whole: int) -> str:
    """Return a percentage. It is 0 % or 100 % only if that is exact."""
    if not part or not whole:
        return "0 %"
    percent = 100 * part / whole
    if percent < 1:
        return "less than 1 %"
    return f"{min(percent, 99) if part < whole else percent:.0f} %"


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units."""
    whole = round(seconds)
    if whole < 1:
        return "less than a second"
    if whole < 60:
        return plural(whole, "second")
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{plural(whole // 86_400, 'day')} {whole % 86_400 // 3600} h"


def compact_duration(seconds: float) -> str:
    """Return a length of time for a terminal: "9.5 s", "2 min 30 s", "2 h 01 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {rest:02} s"


def moment(at: float) -> str:
    """Return a time in the reader's time zone (mrkdwn)."""
    fallback = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
    return f"<!date^{int(at)}^{{date_short_pretty}} at {{time}}|{fallback}>"


def slack_user(actor: str | None) -> str | None:
    """Return an actor if it is a person in Slack, else None: a program can't be mentioned, and reads no messages."""
    return actor if actor and _USER.fullmatch(actor) else None


def person(actor: str | None) -> str:
    """Return a mention of a person or a user group (mrkdwn), or the name of an actor that is not a person in Slack."""
    if actor is None:
        return "someone at the terminal"
    if slack_user(actor) is not None or is_user_group(actor):
        return mention(actor)
    if actor.startswith(SCHEDULE_PREFIX):
        return f"schedule *{escape(cut(actor.removeprefix(SCHEDULE_PREFIX), 80))}*"
    kind, _, name = actor.partition(":")
    return f"the API token {escape(name)}" if kind == "token" else _NO_PERSONS.get(actor, escape(actor))


def channel_or_dm(channel: str | None) -> str:
    """Return where a message appears (mrkdwn): a channel, or direct messages (their ids begin with D)."""
    return f"in <#{channel}>" if channel and not channel.startswith("D") else "in your direct messages with this app"


def bar(done: int, total: int) -> str:
    """Return a progress bar."""
    filled = BAR_WIDTH if total <= 0 else min(BAR_WIDTH, BAR_WIDTH * done // total)
    return _DONE * filled + _LEFT * (BAR_WIDTH - filled)


def masked(email: str) -> str:
    """Return an email address with everything masked except its first letter and its domain."""
    local, _, domain = email.partition("@")
    return f"{local[:1]}***@{domain}"


def run_words(run_id: str, link: str | None = None) -> str:
    """Return a run (mrkdwn), with a link to its message if that has an address."""
    return f"run <{link}|{run_id}>" if link else f"run {run_id}"


def rejected_words(count: int) -> str:
    """Return how many people were rejected."""
    return f"{plural(count, 'person', 'people')} couldn't be synced"
