"""Many syncs at once: the new files of all mappings, or the audiences of a place, each to its mapping."""

from collections.abc import Sequence

from bot.features.mapping_lookup import MappingRef, find
from bot.services import Services
from bot.slack.actor import Actor
from bot.ui.blocks import Message, text_message
from bot.ui.formatting import cut, escape, plural
from core.automation import many
from core.automation.many import FolderEntry
from core.connections.permissions import may_start
from core.errors import PermissionDeniedError

# An answer names so many mappings or files.
_MOST_SHOWN, _NAME_MAX = 20, 60


async def sync_all(services: Services, actor: Actor, place: str) -> Message:
    """Look for new files of all mappings that have a source, or queue a run for each audience in a place.

    Only mappings count whose syncs the person may start. Raises PermissionDeniedError if they may start none, and
    InputError if the place can't be read.
    """
    refs = [ref for ref in await find(services, actor) if may_start(ref.connection, actor.person)]
    if not refs:
        raise PermissionDeniedError("There is no mapping whose syncs you may start. Ask an operator or approver.")
    if not place:
        looked = await many.sync_mappings(
            services.engine, [ref.mapping.id for ref in refs], by=actor.person, team_id=actor.team_id
        )
        ids = {mapping.id for mapping in looked}
        return looked_at([ref for ref in refs if ref.mapping.id in ids])
    entries = await many.sync_folder_of(
        services.engine,
        place,
        [ref.mapping for ref in refs],
        by=actor.person,
        team_id=actor.team_id,
        allowed=services.engine.settings.audience_places(actor.team_id),
    )
    services.wake()
    return queued(entries)


def looked_at(refs: Sequence[MappingRef]) -> Message:
    """Return the answer after the sources of these mappings are to be looked at."""
    if not refs:
        return text_message("Nothing to sync: no mapping has a file location yet.")
    return text_message(_list(f"Looking for new files of {plural(len(refs), 'mapping')}:", [ref.label for ref in refs]))


def queued(entries: Sequence[FolderEntry]) -> Message:
    """Return which audiences of a place are synced, and why others are not."""
    if not entries:
        return text_message("No audience files found in this location.")
    lines = [
        f"{escape(cut(each.name, _NAME_MAX))}: "
        + (f"run `{each.run_id}`" if each.run_id is not None else f"not synced, {escape(each.reason or '')}")
        for each in entries
    ]
    number = sum(each.run_id is not None for each in entries)
    return text_message(_list(f"{plural(number, 'sync', 'syncs')} of {plural(len(entries), 'file')} queued:", lines))


def _list(title: str, lines: Sequence[str]) -> str:
    more = [f"And {len(lines) - _MOST_SHOWN} more."] if len(lines) > _MOST_SHOWN else []
    return "\n".join([title, *(f"• {line}" for line in lines[:_MOST_SHOWN]), *more])
