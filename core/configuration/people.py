"""People in the configuration file: by their addresses in Slack, or by their ids."""

import re
from collections.abc import Collection, Mapping
from typing import Protocol

from core.configuration.loading import LoadedFile
from core.configuration.model import ConfigurationFile
from core.configuration.problems import Problem
from core.configuration.snapshot import split_name
from core.errors import SyncError

# https://docs.slack.dev/reference/objects/user-object: ids begin with U or W
_ID = re.compile(r"[UW][A-Z0-9]{2,20}")
_ROLES = ("operators", "approvers")


class PeopleDirectory(Protocol):
    """Looks people up in Slack workspaces."""

    async def ids(self, team_id: str | None, addresses: Collection[str]) -> Mapping[str, str]:
        """Return the ids of people by their addresses, without those that Slack does not know.

        Raises SyncError if Slack can't be asked.
        """

    async def addresses(self, team_id: str | None, ids: Collection[str]) -> Mapping[str, str]:
        """Return the addresses of people by their ids, as far as Slack says."""


async def resolve(loaded: LoadedFile, directory: PeopleDirectory | None) -> tuple[ConfigurationFile, list[Problem]]:
    """Return the file with ids instead of addresses of people, and what is wrong with these people."""
    problems, connections = list[Problem](), dict(loaded.file.connections)
    for name, connection in loaded.file.connections.items():
        addresses = {each for role in _ROLES for each in getattr(connection, role) if "@" in each}
        known: Mapping[str, str] = {}
        reason = "Slack knows no one with this address in the workspace. Correct it, or write the person's id (U...)."
        try:
            if directory is None:
                reason = "Slack is not set up here, so no one can be looked up. Write the person's id (U...)."
            elif addresses:
                known = await directory.ids(split_name(name)[0], addresses)
        except SyncError as error:
            reason = error.message
        changed = {}
        for role in _ROLES:
            ids = []
            for number, person in enumerate(getattr(connection, role)):
                place = ("connections", name, role, number)
                if person in addresses and person not in known:
                    problems.append(loaded.problem(place, f"`{role}[{number}]`: {reason}"))
                elif person not in addresses and not _ID.fullmatch(person):
                    message = "is neither the address of a person nor an id of one in Slack (U...)."
                    problems.append(loaded.problem(place, f"`{role}[{number}]` {message}"))
                ids.append(known.get(person, person))
            changed[role] = tuple(dict.fromkeys(ids))
        connections[name] = connection.model_copy(update=changed)
    return loaded.file.model_copy(update={"connections": connections}), problems


async def with_addresses(file: ConfigurationFile, directory: PeopleDirectory | None) -> ConfigurationFile:
    """Return a configuration with the addresses of people instead of their ids, as far as Slack says them."""
    if directory is None:
        return file
    connections = dict(file.connections)
    for name, connection in file.connections.items():
        ids = {each for role in _ROLES for each in getattr(connection, role)}
        known = await directory.addresses(split_name(name)[0], ids) if ids else {}
        changed = {role: tuple(known.get(each, each) for each in getattr(connection, role)) for role in _ROLES}
        connections[name] = connection.model_copy(update=changed)
    return file.model_copy(update={"connections": connections})
