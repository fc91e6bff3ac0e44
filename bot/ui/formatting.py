"""Words for people: numbers, shares, durations, dates and people, as Slack's mrkdwn takes them."""

import time
from typing import Final

_DONE: Final = "█"
_LEFT: Final = "░"
BAR_WIDTH = 20
# Numbers that grow are told exactly up to this one.
ABOUT_FROM = 200
# Who acts beside people, as it stands in the audit.
_NO_PERSONS: Final = {
    "mparticle": "mParticle",
    "iterable-sync": "Iterable Sync",
    "command line": "somebody at the terminal",
}
# What Slack takes in one text of a section, and what is aimed at.
SECTION_MAX = 3000


def escape(text: str) -> str:
    """Text of somebody else's, harmless in mrkdwn."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, length: int) -> str:
    """Text of at most so many characters; what is missing shows."""
    return text if len(text) <= length else text[: length - 1] + "…"


def number(value: int) -> str:
    """A number with thousands separated."""
    return f"{value:,}"


def plural(value: int, one: str, many: str | None = None) -> str:
    """A number with its noun: 1 member, 2 members."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def about(value: int, one: str) -> str:
    """A number that grows, with its noun: beyond some hundreds, so that what shows it does not change all the time."""
    if value < ABOUT_FROM:
        return plural(value, one)
    unit = 10 ** (len(str(value)) - 2)
    return f"more than {plural(value // unit * unit, one)}" if value % unit else plural(value, one)


def share(part: int, whole: int) -> str:
    """A share in percent, never rounded to nothing or to everything."""
    if not part or not whole:
        return "0 %"
    percent = 100 * part / whole
    if percent < 1:
        return "less than 1 %"
    return f"{min(percent, 99) if part < whole else percent:.0f} %"


def duration(seconds: float) -> str:
    """A length of time, in the two units that matter."""
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


def moment(at: float) -> str:
    """A moment in the reader's own time zone (mrkdwn)."""
    fallback = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
    return f"<!date^{int(at)}^{{date_short_pretty}} at {{time}}|{fallback}>"


def person(user_id: str | None) -> str:
    """A mention of a person (mrkdwn), or of who sat at the terminal; mParticle and this program are no persons."""
    if user_id in _NO_PERSONS:
        return _NO_PERSONS[user_id]
    return f"<@{user_id}>" if user_id else "somebody at the terminal"


def bar(done: int, total: int) -> str:
    """A bar of progress."""
    filled = BAR_WIDTH if total <= 0 else min(BAR_WIDTH, BAR_WIDTH * done // total)
    return _DONE * filled + _LEFT * (BAR_WIDTH - filled)


def masked(email: str) -> str:
    """An address of which only the first letter and the domain are seen."""
    local, _, domain = email.partition("@")
    return f"{local[:1]}***@{domain}"


def rejected_words(count: int) -> str:
    """How many were rejected."""
    return f"{plural(count, 'member')} rejected"
