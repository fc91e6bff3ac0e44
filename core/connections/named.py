"""Names of connections, for the operator. A name is unique within a workspace, not across workspaces."""

from collections.abc import Sequence

from core.errors import InputError
from core.store.connections import Connection


def connection_named(known: Sequence[Connection], text: str) -> Connection | None:
    """Return the connection with this name, or None. `T0123/Shop` belongs to a workspace, `/Shop` to none.

    Raises InputError if several workspaces have a connection of this name.
    """
    exact = [connection for connection in known if _full_name(connection) == text]
    matches = exact or [connection for connection in known if connection.name == text]
    if len(matches) > 1:
        raise InputError(
            f'Several workspaces have a connection "{text}". Say which one: '
            f"{', '.join(sorted(_full_name(connection) for connection in matches))}."
        )
    return matches[0] if matches else None


def name_of(connection: Connection, known: Sequence[Connection]) -> str:
    """Return the name of a connection for the operator, with its workspace if the name alone is ambiguous."""
    is_shared = sum(other.name == connection.name for other in known) > 1
    return _full_name(connection) if is_shared else connection.label


def _full_name(connection: Connection) -> str:
    return f"{connection.team_id or ''}/{connection.name}"
