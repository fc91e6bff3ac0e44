"""The type-ahead menu of mappings. Slack asks at every character and waits, so the options are cached."""

import time
from dataclasses import dataclass

from slack_sdk.models.blocks import Option

from bot.features.mapping_lookup import MappingRef, why_not_now
from bot.features.runs import views
from bot.features.runs.start import startable
from bot.services import Services
from bot.slack.actor import Actor

# How long a person's mappings are cached, in seconds: as long as it takes to type a name.
FRESH_S = 3.0
# The number of people whose mappings are cached.
MOST_PEOPLE = 1_000


@dataclass(frozen=True, slots=True)
class _CachedMappings:
    at: float
    refs: list[MappingRef]
    several: bool


class MappingOptions:
    """The mappings that each person may sync, cached while they type."""

    def __init__(self, services: Services) -> None:
        """Take the services. No I/O."""
        self._services = services
        self._cache: dict[tuple[str, str], _CachedMappings] = {}

    async def of(self, actor: Actor, typed: str) -> list[Option]:
        """Return the mappings whose names contain the text, as options, those that can be synced now first."""
        cached = self._cache.get((actor.team_id, actor.person))
        if cached is None or time.monotonic() - cached.at > FRESH_S:
            cached = await self._look(actor)
        wanted = typed.strip().casefold()
        matches = [ref for ref in cached.refs if wanted in _names(ref)]
        return [views.mapping_option(ref, cached.several) for ref in matches[: views.MOST_OPTIONS]]

    async def _look(self, actor: Actor) -> _CachedMappings:
        refs = await startable(self._services, actor)
        refs.sort(key=lambda ref: (why_not_now(ref) is not None, ref.audience.casefold(), ref.mapping.id))
        several = len(await self._services.connections(actor)) > 1
        if len(self._cache) >= MOST_PEOPLE:
            self._cache.clear()
        cached = _CachedMappings(time.monotonic(), refs, several)
        self._cache[actor.team_id, actor.person] = cached
        return cached


def _names(ref: MappingRef) -> str:
    return f"{ref.audience} {ref.list_name} {ref.mapping.audience_id} {ref.mapping.list_id}".casefold()
