"""The interface between the message reconciler and the features: each feature registers a provider of its messages."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.messages.desired import DesiredMessage
from core.store import clock, connections, lists, mappings, slack_messages
from core.store.connections import Connection
from core.store.mappings import AudienceMapping
from core.store.slack_messages import SlackMessage
from core.store.tenancy import as_of_mapping

#: The names of lists by connection id and list id.
ListNames = Mapping[tuple[int, int], str]
#: The stored state of Slack messages by key.
StoredMessages = Mapping[str, SlackMessage]


class Snapshot:
    """One read transaction of a reconciliation. Rows that several providers need are read once, when first needed."""

    def __init__(
        self,
        db: AsyncConnection,
        with_groups: Callable[[Sequence[Connection]], Awaitable[Sequence[Connection]]] | None = None,
    ) -> None:
        """Wrap an open read transaction. No I/O.

        `with_groups` adds the people in user groups to connections (Services.with_groups); None: they are not known.
        """
        self.db = db
        self._with_groups = with_groups
        self._own_people: dict[int, AudienceMapping] | None = None
        self.stored: dict[str, SlackMessage] = {}
        self._read_keys: set[str] = set()
        self._connections: dict[int, Connection] | None = None
        self._list_names: ListNames | None = None
        self._now: float | None = None

    async def now(self) -> float:
        """Return the time by the database's clock (UTC seconds), as of the first call."""
        if self._now is None:
            self._now = await clock.now(self.db)
        return self._now

    async def connections(self) -> Mapping[int, Connection]:
        """Return all connections by id."""
        if self._connections is None:
            self._connections = {each.id: each for each in await connections.everyone(self.db)}
        return self._connections

    async def connection_of(self, connection_id: int, mapping_id: int | None) -> Connection | None:
        """Return a connection as of one of its mappings: with the mapping's own operators and approvers, and with the
        people in the user groups that are named. None if it was removed."""
        if self._own_people is None:
            self._own_people = await mappings.with_own_people(self.db)
        connection = (await self.connections()).get(connection_id)
        own = self._own_people.get(mapping_id or 0)
        if connection is not None and own is not None:
            connection = as_of_mapping(connection, own)
        if connection is None or self._with_groups is None:
            return connection
        return (await self._with_groups([connection]))[0]

    async def list_names(self) -> ListNames:
        """Return the names of all lists."""
        if self._list_names is None:
            self._list_names = await lists.names(self.db, list(await self.connections()))
        return self._list_names

    async def stored_messages(self, keys: Iterable[str]) -> StoredMessages:
        """Return the stored messages of this snapshot, after reading those of `keys`."""
        if missing := [key for key in dict.fromkeys(keys) if key not in self._read_keys]:
            self._read_keys.update(missing)
            self.stored |= await slack_messages.of(self.db, missing)
        return self.stored


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The messages of a subject. If they are final and shown, the reconciler marks them as done."""

    messages: Sequence[DesiredMessage]
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that messages report on: a run, an alert, a proposed mapping, a day of a live audience."""

    name: str
    """For logs, such as "run k3v9m2x7qa"."""
    keys: Sequence[str]
    """The messages whose stored state `desired_state` needs."""
    desired_state: Callable[[StoredMessages], DesiredState]
    """Must be a pure function."""
    on_done: Callable[[], None] | None = field(default=None)
    """Called after the final messages are shown."""
    is_at_work: bool = False
    """Whether this process is working on the subject, so that another state follows soon."""


class MessageProvider(Protocol):
    """Decides which messages of a feature Slack should show."""

    async def read(self, snapshot: Snapshot) -> Sequence[Subject]:
        """Read the subjects whose messages may have to be posted or edited."""

    async def after_read(self) -> None:
        """Write what the read found to be due. The read transaction has ended."""

    async def close(self) -> None:
        """Stop background work."""
