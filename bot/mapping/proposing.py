"""Proposing a mapping: the list is found or created, and a file that was put in becomes its first run."""

from bot.actor import Actor
from bot.mapping import views
from bot.mapping.form import Wanted
from bot.mapping.known import Known, require_start
from bot.mapping.listing import resolve
from bot.runs.files import address_of
from bot.services import Services
from bot.trying import Told
from core import control, propose
from core.audience.names import from_bucket_name, from_download_name
from core.runs import Request


async def carry_out(services: Services, actor: Actor, wanted: Wanted) -> Told:
    """Propose what a person wants. Raises InputError where there is such a mapping, or where the person may not; a
    SyncError where Iterable can't be asked for the list."""
    connection = await services.connection(actor.team_id, wanted.metadata.connection_id)
    require_start(connection, actor.person, "propose mappings")
    assert wanted.choice is not None
    target = await resolve(services, connection, wanted.choice)
    mapping = await propose.propose(
        services.engine,
        connection,
        target,
        audience=wanted.audience or _said_by(wanted),
        mode=wanted.mode,
        removals=wanted.removals,
        channel=wanted.channel,
        by=actor.person,
        team_id=actor.team_id,
    )
    if wanted.file is not None:
        await control.start(
            services.engine,
            mapping,
            Request(path=address_of(actor.team_id, wanted.file.id)),
            by=actor.person,
            channel=wanted.channel,
            team_id=actor.team_id,
        )
    services.wake()
    it = Known(connection, mapping, target.name)
    return Told(views.proposed_view(it, wanted.file), views.said_proposed(it, wanted.file))


def _said_by(wanted: Wanted) -> str | None:
    """The audience that the file's name tells; None where planning has to look into the file."""
    assert wanted.file is not None
    found = from_download_name(wanted.file.name)
    return found.name or from_bucket_name(wanted.file.name).name
