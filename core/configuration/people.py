"""People in the configuration file: by their ids in Slack, their email addresses, or the handles of user groups."""

from core.configuration.loader import LoadedFile
from core.configuration.model import ConfigurationFile, Connection, Mapping
from core.configuration.problems import Problem
from core.configuration.snapshot import split_name
from core.connections.people_lookup import look_up_people
from core.engine import Engine
from core.errors import SyncError
from core.models.people import check_people

_ROLES = ("operators", "approvers")
Place = tuple[str | int, ...]


async def resolve(engine: Engine, loaded: LoadedFile) -> tuple[ConfigurationFile, list[Problem]]:
    """Return the file with the ids of people and user groups, and what is wrong with those that it names."""
    resolver = _Resolver(engine, loaded)
    connections = {}
    for name, connection in loaded.file.connections.items():
        place, team_id = ("connections", name), split_name(name)[0]
        of_connection = {}
        for key, mapping in connection.mappings.items():
            changed = await resolver.people(mapping, team_id, (*place, "mappings", key))
            of_connection[key] = mapping.model_copy(update=changed)
        update = await resolver.people(connection, team_id, place)
        connections[name] = connection.model_copy(update={**update, "mappings": of_connection})
    return loaded.file.model_copy(update={"connections": connections}), resolver.problems


class _Resolver:
    """Looks people up, each once."""

    def __init__(self, engine: Engine, loaded: LoadedFile) -> None:
        self._engine, self._loaded = engine, loaded
        self._known: dict[tuple[str | None, str], str | SyncError] = {}
        self.problems: list[Problem] = []

    async def people(
        self, entry: Connection | Mapping, team_id: str | None, place: Place
    ) -> dict[str, tuple[str, ...]]:
        """Return the ids of those who have a role."""
        chosen = {}
        for role in _ROLES:
            ids = []
            for number, text in enumerate(getattr(entry, role)):
                known = await self._id(team_id, text, role)
                if isinstance(known, str):
                    ids.append(known)
                else:
                    message = f"`{role}[{number}]`: {known.message}"
                    self.problems.append(self._loaded.problem((*place, role, number), message))
            try:
                chosen[role] = check_people(ids, role)
            except SyncError as error:
                self.problems.append(self._loaded.problem((*place, role), f"`{role}`: {error.message}"))
        return chosen

    async def _id(self, team_id: str | None, text: str, role: str) -> str | SyncError:
        if (team_id, text) not in self._known:
            try:
                (self._known[team_id, text],) = await look_up_people(self._engine, team_id, [text], role)
            except SyncError as error:
                self._known[team_id, text] = error
        return self._known[team_id, text]
