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
class _Remembered:
    at: float
    refs: list[MappingRef]
    several: bool


class MappingOptions:
    """The mappings that each person may sync, cached while they type."""

    def __init__(self, services: Services) -> None:
        """Take the services. No I/O."""
        self._services = services
        self._remembered: dict[tuple[str, str], _Remembered] = {}

    async def of(self, actor: Actor, typed: str) -> list[Option]:
        """Return the mappings whose names contain the text, as options, those that can be synced now first."""
        remembered = self._remembered.get((actor.team_id, actor.person))
        if remembered is None or time.monotonic() - remembered.at > FRESH_S:
            remembered = await self._look(actor)
        wanted = typed.strip().casefold()
        matches = [ref for ref in remembered.refs if wanted in _names(ref)]
        return [views.mapping_option(ref, remembered.several) for ref in matches[: views.MOST_OPTIONS]]

    async def _look(self, actor: Actor) -> _Remembered:
        refs = await startable(self._services, actor)
        refs.sort(key=lambda ref: (why_not_now(ref) is not None, ref.audience.casefold(), ref.mapping.id))
        several = len(await self._services.connections(actor)) > 1
        if len(self._remembered) >= MOST_PEOPLE:
            self._remembered.clear()
        looked = _Remembered(time.monotonic(), refs, several)
        self._remembered[actor.team_id, actor.person] = looked
        return looked


def _names(ref: MappingRef) -> str:
    return f"{ref.audience} {ref.list_name} {ref.mapping.audience_id} {ref.mapping.list_id}".casefold()
