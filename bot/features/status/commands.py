"""The subcommands `status` and `history`."""

from collections.abc import Sequence
from dataclasses import replace

from slack_sdk.web.async_client import AsyncWebClient

from bot.features.mapping_lookup import MappingRef
from bot.features.slash_command import SlashCommand
from bot.features.status.views import HistoryItem, history_message, history_modal, status_message
from bot.features.status.workspace_status import (
    MOST_WITH_TRENDS,
    MappingStatusRow,
    WorkspaceStatus,
    viewer_of,
    with_links,
    with_trends,
)
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.reply import open_modal, reply_privately
from core.connections import mapping_search
from core.errors import InputError
from core.store import runs

#: The number of runs that `history` shows.
LATEST = 10
# The number of names that the answer to an unknown name offers.
_NAMES_OFFERED = 5


async def status(call: SlashCommand) -> None:
    """Show the status of the workspace privately."""
    overview = await WorkspaceStatus.read(call.services, call.services.tenant(call.actor), with_audiences=True)
    shown = await with_trends(call.services, overview.mapped[:MOST_WITH_TRENDS])
    overview = replace(overview, mapped=(*shown, *overview.mapped[MOST_WITH_TRENDS:]))
    overview = await with_links(call.services, call.actor.team_id, overview)
    viewer = await viewer_of(call.services, call.client, call.actor.team_id, call.actor.person)
    await reply_privately(call.client, call.actor, status_message(overview, viewer))


async def history(call: SlashCommand) -> None:
    """Show the latest runs privately, of one mapping or of all. Raises InputError if there is no such mapping."""
    overview = await WorkspaceStatus.read(call.services, call.services.tenant(call.actor), with_declined=True)
    chosen = await _chosen(call, overview)
    past = await _past(call.services, call.actor.team_id, chosen)
    is_one = bool(call.argument) and len(chosen) == 1
    (row,) = await with_trends(call.services, chosen) if is_one else (None,)
    title = row.mapping.label if row is not None else call.argument or None
    await reply_privately(call.client, call.actor, history_message(past, title, call.actor.person, row))


async def open_history(services: Services, client: AsyncWebClient, actor: Actor, ref: MappingRef) -> None:
    """Open the modal with the latest runs of a mapping."""
    overview = await WorkspaceStatus.read(services, services.tenant(actor))
    row = overview.by_mapping.get(ref.mapping.id)
    if row is None:
        raise InputError(f"{ref.plain} is archived or declined.")
    (row,) = await with_trends(services, [row])
    await open_modal(client, actor, history_modal(await _past(services, actor.team_id, [row]), row))


async def _past(services: Services, team_id: str, chosen: Sequence[MappingStatusRow]) -> list[HistoryItem]:
    async with services.engine.database.read() as db:
        latest = await runs.latest_of(db, [each.mapping.id for each in chosen], LATEST)
    mapped = {each.mapping.id: each for each in chosen}
    links = await services.run_links(team_id, [run.id for run in latest])
    return [
        HistoryItem(run, mapped[run.mapping_id], _is_last(run.id, mapped[run.mapping_id]), links.get(run.id))
        for run in latest
    ]


async def _chosen(call: SlashCommand, overview: WorkspaceStatus) -> list[MappingStatusRow]:
    if not call.argument:
        return list(overview.mapped)
    services = call.services
    pairs = await mapping_search.find(services.engine, services.tenant(call.actor), call.argument)
    chosen = [overview.by_mapping[mapping.id] for _, mapping in pairs if mapping.id in overview.by_mapping]
    if not chosen:
        names = ", ".join(sorted({each.mapping.label for each in overview.mapped})[:_NAMES_OFFERED])
        there_are = f"There are: {names}." if names else "No audience is mapped yet: `/iterable-sync map` begins."
        raise InputError(f'No mapping is called "{call.argument}". {there_are}')
    return chosen


def _is_last(run_id: str, mapped: MappingStatusRow) -> bool:
    return mapped.last is not None and mapped.last.id == run_id
