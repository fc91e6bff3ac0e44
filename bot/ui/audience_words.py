"""Sizes of mParticle's audiences in words (plain text), for Slack and the terminal."""

from bot.ui.formatting import plural
from core.mparticle.models import ListedAudience


def counted(audience: ListedAudience) -> str:
    """Return how many people mParticle counts in an audience, and how many joined and left in the last 24 hours."""
    if audience.size is None:
        return "size not computed yet"
    changes = [
        f"{sign}{number:,}" for sign, number in (("+", audience.added), ("-", audience.dropped)) if number is not None
    ]
    people = plural(audience.size, "person", "people")
    return f"{people}, {' and '.join(changes)} in 24 hours" if changes else people
