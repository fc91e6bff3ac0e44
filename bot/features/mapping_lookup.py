"""Finds mappings by the names that people know, and names them in sentences."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.services import Services
from bot.slack.actor import Actor
from bot.ui.formatting import cut, escape
from core.connections import mapping_search
from core.connections.permissions import may_start, unknown_groups
from core.errors import InputError
from core.store import lists, mappings
from core.store.connections import Connection
from core.store.mappings import NO_LIST, AudienceMapping, MappingStatus
from core.store.tenancy import as_of_mapping

# The longest name in a sentence, and the longest in an option (75 characters).
NAME_MAX = 80
_OPTION_NAME_MAX = 26
# The longest enumeration of audiences in a sentence.
_FEEDERS_MAX = 300


@dataclass(frozen=True, slots=True)
class MappingRef:
    """A mapping with its connection and the name of its list.

    `also_fed_by` are the audiences that feed the list already, for a mapping that is proposed.
    """

    connection: Connection
    mapping: AudienceMapping
    list_name: str
    also_fed_by: tuple[str, ...] = ()

    @property
    def audience(self) -> str:
        """What people call the mapping: its own name, or its audience's (plain text)."""
        return (
            self.mapping.name
            or self.mapping.audience_name
            or self.mapping.audience_id
            or "An audience without a name yet"
        )

    @property
    def label(self) -> str:
        """Audience and list (mrkdwn)."""
        return f"*{escape(cut(self.audience, NAME_MAX))}* → *{escape(cut(self.list_name, NAME_MAX))}*"

    @property
    def plain(self) -> str:
        """Audience and list (plain text), short enough for an option."""
        return f"{cut(self.audience, _OPTION_NAME_MAX)} → {cut(self.list_name, _OPTION_NAME_MAX)}"


async def find(services: Services, actor: Actor, text: str = "") -> list[MappingRef]:
    """Return the mappings whose audience, list id or id equals the text, or else contains it; all for an empty text."""
    pairs = await mapping_search.find(services.engine, services.tenant(actor), text)
    return await named(services, pairs)


async def by_id(services: Services, actor: Actor, mapping_id: int) -> MappingRef:
    """Return a mapping that the person's workspace sees. Raises InputError if there is none."""
    return (await named(services, [await services.mapping(actor, mapping_id)]))[0]


async def named(services: Services, mapping_pairs: Iterable[tuple[Connection, AudienceMapping]]) -> list[MappingRef]:
    """Return mappings with the names of their lists, and with connections that have the mappings' own approvers."""
    of_mapping = [(as_of_mapping(connection, mapping), mapping) for connection, mapping in mapping_pairs]
    connections = await services.with_groups([connection for connection, _ in of_mapping])
    pairs = [(connection, mapping) for connection, (_, mapping) in zip(connections, of_mapping, strict=True)]
    async with services.engine.database.read() as db:
        names = await lists.names(db, sorted({connection.id for connection, _ in pairs}))
        feeders = await read_also_fed_by(db, [mapping for _, mapping in pairs])
    return [
        MappingRef(connection, mapping, list_name(mapping, names), feeders.get(mapping.id, ()))
        for connection, mapping in pairs
    ]


async def read_also_fed_by(db: AsyncConnection, of: Iterable[AudienceMapping]) -> dict[int, tuple[str, ...]]:
    """Return the audiences that feed the lists of these mappings already, by mapping; only of those that are proposed
    and have a list."""
    proposed = [each for each in of if each.status is MappingStatus.PROPOSED and each.list_id != NO_LIST]
    of_lists = await mappings.of_lists(db, {(each.connection_id, each.list_id) for each in proposed})
    return {
        each.id: tuple(
            other.label for other in mappings.other_feeders(of_lists[each.connection_id, each.list_id], each.id)
        )
        for each in proposed
    }


def list_name(mapping: AudienceMapping, names: dict[tuple[int, int], str]) -> str:
    """Return the name of a mapping's list."""
    if mapping.list_id == NO_LIST:
        return "no list yet"
    return names.get((mapping.connection_id, mapping.list_id)) or f"list {mapping.list_id}"


def also_fed_warning(audiences: Sequence[str]) -> str:
    """Return the warning (mrkdwn) that a list is also fed by these audiences."""
    return f":warning: *This list is also fed by* {cut(', '.join(map(escape, audiences)), _FEEDERS_MAX)}."


def require_start(connection: Connection, person: str, action: str) -> None:
    """Raise InputError if a person may not start runs of a connection. `action` completes "can ..."."""
    if not may_start(connection, person):
        raise InputError(
            f"Only operators and approvers of {connection.label} can {action}. Ask one of them."
            f"{unknown_groups(connection)}"
        )


def why_not_now(ref: MappingRef) -> str | None:
    """Return why a mapping can't be synced now, in a sentence (plain text); None if it can."""
    if ref.mapping.status is MappingStatus.PAUSED:
        return f"{ref.plain} is paused, so nothing is sent. Resume it first: /iterable-sync resume {ref.audience}"
    if ref.mapping.status is MappingStatus.DECLINED:
        return f"{ref.plain} was declined, so nothing is sent. Propose it again: /iterable-sync map"
    if ref.mapping.status is MappingStatus.ARCHIVED:
        return f"{ref.plain} is archived, so nothing is sent. Restore it first: /iterable-sync restore {ref.audience}"
    if ref.mapping.list_id == NO_LIST:
        return f"{ref.plain}: an approver has to choose the list first. Use Review on the home page."
    return None


def suggest_similar(text: str, refs: Sequence[MappingRef]) -> list[MappingRef]:
    """Return up to three mappings with similar audience names, the most similar first."""
    by_name: dict[str, list[MappingRef]] = {}
    for ref in refs:
        by_name.setdefault(ref.audience.casefold(), []).append(ref)
    near = difflib.get_close_matches(text.strip().casefold(), list(by_name), n=3, cutoff=0.5)
    return [ref for name in near for ref in by_name[name]]
