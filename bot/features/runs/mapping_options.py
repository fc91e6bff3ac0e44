"""Mappings suggested as a person types: from memory, because Slack asks at every character and waits for the answer."""

import time
from dataclasses import dataclass

from slack_sdk.models.blocks import Option

from bot.features.mapping_lookup import MappingRef, why_not_now
from bot.features.runs import views
from bot.features.runs.start import startable
from bot.services import Services
from bot.slack.actor import Actor

# How long what a person may sync is taken as it was, in seconds: the typing of a name.
FRESH_S = 3.0
# People whose suggestions are remembered at once.
MOST_PEOPLE = 1_000


@dataclass(frozen=True, slots=True)
class _Remembered:
    at: float
    found: list[MappingRef]
    several: bool


class MappingOptions:
    """What each person may sync, remembered while they type."""

    def __init__(self, services: Services) -> None:
        """Take the services. No I/O."""
        self._services = services
        self._remembered: dict[tuple[str, str], _Remembered] = {}

    async def of(self, actor: Actor, typed: str) -> list[Option]:
        """The mappings whose names contain what was typed, as options; those that can be synced now first."""
        remembered = self._remembered.get((actor.team_id, actor.person))
        if remembered is None or time.monotonic() - remembered.at > FRESH_S:
            remembered = await self._look(actor)
        wanted = typed.strip().casefold()
        found = [it for it in remembered.found if wanted in _names(it)]
        return [views.mapping_option(it, remembered.several) for it in found[: views.MOST_OPTIONS]]

    async def _look(self, actor: Actor) -> _Remembered:
        found = await startable(self._services, actor)
        found.sort(key=lambda it: (why_not_now(it) is not None, it.audience.casefold(), it.mapping.id))
        several = len(await self._services.connections(actor.team_id)) > 1
        if len(self._remembered) >= MOST_PEOPLE:
            self._remembered.clear()
        looked = _Remembered(time.monotonic(), found, several)
        self._remembered[actor.team_id, actor.person] = looked
        return looked


def _names(it: MappingRef) -> str:
    return f"{it.audience} {it.list_name} {it.mapping.audience_id} {it.mapping.list_id}".casefold()
