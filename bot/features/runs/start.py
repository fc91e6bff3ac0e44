"""Starting a sync: opening the form for those who may, and queueing what was put in."""

import asyncio
from dataclasses import dataclass

from slack_sdk.web.async_client import AsyncWebClient

from bot.features.connect.handlers import open_connect
from bot.features.ids import RunBlock
from bot.features.mapping.open import open_map
from bot.features.mapping_lookup import MappingRef, by_id, find, require_start, why_not_now
from bot.features.runs import views
from bot.features.runs.file_links import Attached
from bot.features.runs.form import StartMetadata, StartSyncForm
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.api_errors import ERRORS, classify
from bot.slack.file_source import GONE, address_of
from bot.slack.reply import open_modal, reply_privately
from core.connections.permissions import may_start
from core.errors import InputError
from core.models.run import RunRequest
from core.runs import commands
from core.sources.fetch import check_allowed
from core.store.mappings import NO_LIST

# How long Slack may take to say whether there is such a file, in seconds: the run asks for it anyway.
SEEN_WITHIN_S = 2.0


class NotNowError(InputError):
    """Nothing of this mapping can be synced now, or not by this person: said at the mapping."""

    code = "not_now"


@dataclass(frozen=True, slots=True)
class Started:
    """A run that was queued, and where it is shown (None: in a direct message)."""

    run_id: str
    known: MappingRef
    channel: str | None


async def open_start(
    services: Services,
    client: AsyncWebClient,
    actor: Actor,
    *,
    mapping_id: int | None = None,
    files: tuple[Attached, ...] = (),
) -> None:
    """Open *Start a sync*; *Connect* where nothing is connected, *Map* where nothing is mapped.

    Raises InputError where the person may not start anything, or where the mapping that is asked for can't be synced.
    """
    connections = await services.connections(actor.team_id)
    if not connections:
        await open_connect(services, client, actor)
        return
    mine = [each for each in connections if may_start(each, actor.person)]
    if not mine:
        require_start(connections[0], actor.person, "start syncs")
    chosen = await _chosen(services, actor, mapping_id) if mapping_id is not None else None
    known = [chosen] if chosen else await startable(services, actor)
    if not known:
        await (reply_privately(client, actor, views.no_mapping_yet()) if files else open_map(services, client, actor))
        return
    form = views.start_form(
        StartMetadata(channel=actor.channel, attached=files),
        chosen or (known[0] if len(known) == 1 else None),
        several=len(connections) > 1,
        allowed_places=services.engine.settings.audience_paths,
    )
    await open_modal(client, actor, form)


async def startable(services: Services, actor: Actor) -> list[MappingRef]:
    """The mappings that a person may sync: also those that are paused or declined, which say so."""
    return [
        it
        for it in await find(services, actor)
        if it.mapping.list_id != NO_LIST and may_start(it.connection, actor.person)
    ]


async def start_sync(services: Services, client: AsyncWebClient, actor: Actor, wanted: StartSyncForm) -> Started:
    """Queue what a person put in. Raises NotNowError for the mapping, InputError for where the audience is."""
    it = await _chosen(services, actor, wanted.mapping_id or 0)
    request = RunRequest(path=await _address(services, client, actor, wanted), mode=wanted.mode)
    # a file of a message is synced where it is; else where the mapping's runs are shown
    here = wanted.metadata.channel
    channel = here if wanted.metadata.attached else it.mapping.channel or here
    run_id = await commands.start(
        services.engine, it.mapping, request, by=actor.person, channel=channel, team_id=actor.team_id
    )
    services.wake()
    return Started(run_id, it, channel)


def block_of(error: InputError, wanted: StartSyncForm) -> str | None:
    """The input at which an error is shown; None where it concerns a part that is no input."""
    if isinstance(error, NotNowError):
        return RunBlock.MAPPING
    return None if len(wanted.metadata.attached) == 1 else wanted.source_block


async def _chosen(services: Services, actor: Actor, mapping_id: int) -> MappingRef:
    it = await by_id(services, actor, mapping_id)
    if not may_start(it.connection, actor.person):
        raise NotNowError(
            f"Only operators and approvers of {it.connection.label} can start its syncs. Ask one of them."
        )
    if reason := why_not_now(it):
        raise NotNowError(reason)
    return it


async def _address(services: Services, client: AsyncWebClient, actor: Actor, wanted: StartSyncForm) -> str:
    file_id = wanted.file_id
    if file_id is None:
        # looking at a disk may take its time
        return await asyncio.to_thread(check_allowed, wanted.address, services.engine.settings.audience_paths)
    if wanted.link:
        await _check_seen(client, file_id)
    return address_of(actor.team_id, file_id)


async def _check_seen(client: AsyncWebClient, file_id: str) -> None:
    try:
        async with asyncio.timeout(SEEN_WITHIN_S):
            await client.files_info(file=file_id)
    except ERRORS as error:
        if classify(error).word in GONE:
            raise InputError(
                "This file is not there, or this app may not see it. Put it into a channel that the app is in."
            ) from error
    # any other trouble is Slack's, and of the moment: the run says so if it stays
