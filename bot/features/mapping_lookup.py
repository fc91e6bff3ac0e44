"""Mappings as a person knows them: by the names of audience, list and connection; found by any of them."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot.services import Services
from bot.slack.actor import Actor
from bot.ui.formatting import cut, escape
from core import mapping_lifecycle
from core.connections.permissions import may_start
from core.errors import InputError
from core.store import lists, mappings
from core.store.connections import Connection
from core.store.mappings import NO_LIST, AudienceMapping, MappingStatus

# Names in a sentence are cut at this length, and in an option (of at most 75 characters) at that one.
NAME_MAX = 80
_OPTION_NAME_MAX = 26


@dataclass(frozen=True, slots=True)
class MappingRef:
    """A mapping with its connection and what its list is called."""

    connection: Connection
    mapping: AudienceMapping
    list_name: str

    @property
    def audience(self) -> str:
        """What the audience is called."""
        return self.mapping.audience_name or self.mapping.audience_id or "An audience without a name yet"

    @property
    def label(self) -> str:
        """Audience and list (mrkdwn)."""
        return f"*{escape(cut(self.audience, NAME_MAX))}* → *{escape(cut(self.list_name, NAME_MAX))}*"

    @property
    def plain(self) -> str:
        """Audience and list in plain text, as short as an option has to be."""
        return f"{cut(self.audience, _OPTION_NAME_MAX)} → {cut(self.list_name, _OPTION_NAME_MAX)}"


async def find(services: Services, actor: Actor, text: str = "") -> list[MappingRef]:
    """The mappings whose audience, list id or own id is this text, else those that contain it; "" finds all."""
    found = await mapping_lifecycle.find(services.engine, actor.team_id, text, with_shared=services.one_workspace)
    return await named(services, found)


async def by_id(services: Services, actor: Actor, mapping_id: int) -> MappingRef:
    """A mapping that the person's workspace sees. Raises InputError where there is none."""
    async with services.engine.database.read() as db:
        mapping = await mappings.by_id(db, mapping_id)
    seen = {each.id: each for each in await services.connections(actor.team_id)}
    if mapping is None or mapping.connection_id not in seen:
        raise InputError("This mapping is not there any more.")
    return (await named(services, [(seen[mapping.connection_id], mapping)]))[0]


async def named(services: Services, found: Iterable[tuple[Connection, AudienceMapping]]) -> list[MappingRef]:
    """Mappings with the names of their lists."""
    pairs = list(found)
    async with services.engine.database.read() as db:
        names = await lists.names(db, sorted({connection.id for connection, _ in pairs}))
    return [MappingRef(connection, mapping, list_name(mapping, names)) for connection, mapping in pairs]


def list_name(mapping: AudienceMapping, names: dict[tuple[int, int], str]) -> str:
    """What the list of a mapping is called."""
    if mapping.list_id == NO_LIST:
        return "no list yet"
    return names.get((mapping.connection_id, mapping.list_id)) or f"list {mapping.list_id}"


def require_start(connection: Connection, person: str, what: str) -> None:
    """Raise InputError where a person may not start runs and propose mappings of a connection."""
    if not may_start(connection, person):
        raise InputError(f"Only operators and approvers of {connection.label} can {what}. Ask one of them.")


def why_not_now(it: MappingRef) -> str | None:
    """Why nothing of a mapping can be synced now, in a sentence (plain text); None where it can."""
    if it.mapping.status is MappingStatus.PAUSED:
        return f"{it.plain} is paused, so nothing is sent. Resume it first: /iterable-sync resume {it.audience}"
    if it.mapping.status is MappingStatus.DECLINED:
        return f"{it.plain} was declined, so nothing is sent. Propose it again: /iterable-sync map"
    if it.mapping.list_id == NO_LIST:
        return f"{it.plain}: an approver has to choose the list first. Use Review on the home page."
    return None


def suggest_similar(text: str, known: Sequence[MappingRef]) -> list[MappingRef]:
    """The mappings whose audience is called nearly so, the nearest first."""
    by_name: dict[str, list[MappingRef]] = {}
    for it in known:
        by_name.setdefault(it.audience.casefold(), []).append(it)
    near = difflib.get_close_matches(text.strip().casefold(), list(by_name), n=3, cutoff=0.5)
    return [it for name in near for it in by_name[name]]
