"""Connections by name, for the operator: a name is unique in a workspace, and several workspaces may have it."""

from collections.abc import Sequence

from core.errors import InputError
from core.store.connections import Connection


def connection_named(known: Sequence[Connection], text: str) -> Connection | None:
    """Return the connection with this name; `T0123/Shop` names that of a workspace, `/Shop` that of none.

    Raises InputError where several workspaces have one of this name.
    """
    exact = [each for each in known if _full_name(each) == text]
    found = exact or [each for each in known if each.name == text]
    if len(found) > 1:
        raise InputError(
            f'Several workspaces have a connection "{text}". Say which one: '
            f"{', '.join(sorted(_full_name(each) for each in found))}."
        )
    return found[0] if found else None


def name_of(connection: Connection, known: Sequence[Connection]) -> str:
    """What the operator calls a connection among those that there are: its workspace comes first where it has to."""
    is_shared = sum(each.name == connection.name for each in known) > 1
    return _full_name(connection) if is_shared else connection.label


def _full_name(connection: Connection) -> str:
    return f"{connection.team_id or ''}/{connection.name}"
