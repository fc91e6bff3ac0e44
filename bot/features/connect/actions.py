"""Saving what was put into the forms: the key is tried, the connection kept, and a person told what came of it."""

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
    """Try a key and save the connection. Raises InputError where the name is taken, an IterableError where the key
    does not work."""
    connected = await manage.connect(
        services.engine,
        api_key=key,
        team_id=actor.team_id,
        by=actor.person,
        **details.values(),
    )
    services.directory.prefetch(connected.connection)
    services.wake()
    return ModalResult(views.connected_view(connected), views.said_connected(connected))


async def edit(services: Services, actor: Actor, details: ConnectionForm) -> ModalResult:
    """Save what is different of a connection. Raises InputError where the name is taken, an IterableError where the key
    does not work in another data center."""
    assert details.connection_id is not None
    known = await services.connection(actor.team_id, details.connection_id)
    changed = await manage.change(
        services.engine,
        known,
        by=actor.person,
        team_id=actor.team_id,
        **details.values(),
    )
    services.wake()
    return ModalResult(views.saved_view(details.name, list(changed)), views.said_saved(details.name, list(changed)))


async def replace_key(services: Services, actor: Actor, connection_id: int, key: str) -> ModalResult:
    """Try a key and put it in the place of a connection's. Raises an IterableError where it does not work."""
    known = await services.connection(actor.team_id, connection_id)
    connected = await manage.replace_key(services.engine, known, key, by=actor.person, team_id=actor.team_id)
    stopped = [(run.id, run.audience or "An audience") for run in await _stopped_by_the_key(services, connection_id)]
    services.directory.prefetch(connected.connection)
    services.wake()
    return ModalResult(views.replaced_view(connected, stopped), views.said_replaced(connected))


async def _stopped_by_the_key(services: Services, connection_id: int) -> list[Run]:
    """The runs that failed because the key was refused, and after which nothing was run."""
    async with services.engine.database.read() as db:
        known = [mapping.id for mapping in await mappings.of_connection(db, connection_id)]
        last = await runs.last_of_each(db, known)
    return [
        run for run in last.values() if run.status is RunStatus.FAILED and run.error_code == InvalidApiKeyError.code
    ]
