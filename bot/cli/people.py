"""Operators and approvers in commands: options, and what they name."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from core.engine import Engine

#: The value that names no one.
NONE = "none"

_WHO = "a Slack id, an email address, or the @handle of a user group"
Operators = Annotated[
    list[str] | None, typer.Option("--operator", metavar="PERSON", help=f"Who may start its syncs: {_WHO}; or none.")
]
Approvers = Annotated[
    list[str] | None, typer.Option("--approver", metavar="PERSON", help=f"Who approves its syncs: {_WHO}; or none.")
]


async def find(
    engine: "Engine", team_id: str | None, named: Mapping[str, Sequence[str] | None]
) -> dict[str, tuple[str, ...]]:
    """Return the ids of the operators and approvers that options name (None: the option was not given).

    Raises InputError if Slack has no one of a name.
    """
    from bot.source_fetchers import register_people
    from core.connections.people_lookup import look_up_people

    given = {what: names for what, names in named.items() if names is not None}
    if any("@" in name for names in given.values() for name in names):
        await register_people(engine)
    return {
        what: () if list(names) == [NONE] else await look_up_people(engine, team_id, names, what)
        for what, names in given.items()
    }
