"""Sizes of mParticle's audiences in words (plain text), for Slack and the terminal."""

from bot.ui.formatting import plural
from core.mparticle.models import KnownAudiences, ListedAudience
from core.store.mappings import AudienceMapping


def counted(audience: ListedAudience) -> str:
    """Return how many people mParticle counts in an audience, and how many joined and left in the last 24 hours."""
    if audience.size is None:
        return "size not computed yet"
    changes = [
        f"{sign}{number:,}" for sign, number in (("+", audience.added), ("-", audience.dropped)) if number is not None
    ]
    people = plural(audience.size, "person", "people")
    return f"{people}, {' and '.join(changes)} in 24 hours" if changes else people


def of_mapping(known: KnownAudiences, mapping: AudienceMapping) -> ListedAudience | None:
    """Return the audience of a mapping; None if mParticle has no active audience of its id or, without one, its name.

    A variant of an A/B test has no size of its own, so its name is not that of an audience.
    """
    if mapping.audience_id is not None:
        audience = known.by_id(mapping.audience_id)
        is_variant = audience is not None and mapping.audience_name is not None and _is_variant(mapping, audience)
        return None if is_variant else audience
    called = known.called(mapping.audience_name) if mapping.audience_name else []
    return called[0] if len(called) == 1 else None


def _is_variant(mapping: AudienceMapping, audience: ListedAudience) -> bool:
    name = (mapping.audience_name or "").casefold()
    return name.startswith(f"{audience.name.casefold()} - ")
