"""The actions on connections: connect, edit, replace the key. Each tries the key before it saves."""

from bot.features.connect import views
from bot.features.connect.form import ConnectionForm
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.submission import ModalResult
from core.connections import manage
from core.iterable import InvalidApiKeyError
from core.models.run import Run, RunStatus
from core.store import mappings, runs


async def connect(services: Services, actor: Actor, details: ConnectionForm, key: str) -> ModalResult:
    """Try a key, and save the connection.

    Raises InputError if the name is taken, an IterableError if the key does not work.
    """
    connected = await manage.connect(
        services.engine,
        api_key=key,
        team_id=actor.team_id,
        by=actor.person,
        **details.values(),
    )
    services.directory.prefetch(connected.connection)
    services.wake()
    return ModalResult(views.connected_view(connected), views.connected_sentence(connected))


async def edit(services: Services, actor: Actor, details: ConnectionForm) -> ModalResult:
    """Save what has changed in a connection.

    Raises InputError if the name is taken, an IterableError if the key does not work in the new data center.
    """
    assert details.connection_id is not None
    connection = await services.connection(actor, details.connection_id)
    changed = await manage.change(
        services.engine,
        connection,
        by=actor.person,
        team_id=actor.team_id,
        **details.changes(),
    )
    services.wake()
    values = {name: new for name, (_, new) in changed.items()}
    return ModalResult(views.saved_view(details.name, values), views.saved_sentence(details.name, values))


async def replace_key(services: Services, actor: Actor, connection_id: int, key: str) -> ModalResult:
    """Try a key, and replace that of a connection. Raises an IterableError if the new key does not work."""
    connection = await services.connection(actor, connection_id)
    connected = await manage.replace_key(services.engine, connection, key, by=actor.person, team_id=actor.team_id)
    stopped = [(run.id, run.audience or "An audience") for run in await _stopped_by_the_key(services, connection_id)]
    services.directory.prefetch(connected.connection)
    services.wake()
    return ModalResult(views.replaced_view(connected, stopped), views.replaced_sentence(connected))


async def _stopped_by_the_key(services: Services, connection_id: int) -> list[Run]:
    """Return the latest runs of mappings that failed because Iterable rejected the key."""
    async with services.engine.database.read() as db:
        mapping_ids = [mapping.id for mapping in await mappings.of_connection(db, connection_id)]
        last = await runs.last_of_each(db, mapping_ids)
    return [
        run for run in last.values() if run.status is RunStatus.FAILED and run.error_code == InvalidApiKeyError.code
    ]
