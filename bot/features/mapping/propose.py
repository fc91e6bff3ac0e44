"""Proposing a mapping: the list is found or created, and a file that was put in becomes its first run."""

from bot.features.mapping import views
from bot.features.mapping.form import MapForm
from bot.features.mapping.list_select import resolve
from bot.features.mapping_lookup import MappingRef, require_start
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.file_source import address_of
from bot.slack.submission import ModalResult
from core import mapping_lifecycle
from core.models.run import RunRequest
from core.runs import commands
from core.sources.audience_ref import from_bucket_name, from_download_name


async def create_proposal(services: Services, actor: Actor, wanted: MapForm) -> ModalResult:
    """Propose what a person wants. Raises InputError where there is such a mapping, or where the person may not; a
    SyncError where Iterable can't be asked for the list."""
    connection = await services.connection(actor.team_id, wanted.metadata.connection_id)
    require_start(connection, actor.person, "propose mappings")
    assert wanted.choice is not None
    target = await resolve(services, connection, wanted.choice)
    mapping = await mapping_lifecycle.propose(
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
        await commands.start(
            services.engine,
            mapping,
            RunRequest(path=address_of(actor.team_id, wanted.file.id)),
            by=actor.person,
            channel=wanted.channel,
            team_id=actor.team_id,
        )
    services.wake()
    it = MappingRef(connection, mapping, target.name)
    return ModalResult(views.proposed_view(it, wanted.file), views.said_proposed(it, wanted.file))


def _said_by(wanted: MapForm) -> str | None:
    """The audience that the file's name tells; None where planning has to look into the file."""
    assert wanted.file is not None
    found = from_download_name(wanted.file.name)
    return found.name or from_bucket_name(wanted.file.name).name
