"""Starting a sync: opens the form for people who may, and queues the run."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.connect.handlers import open_connect
from bot.features.ids import RunBlock
from bot.features.mapping.commands import open_map
from bot.features.mapping_lookup import MappingRef, by_id, find, require_start, why_not_now
from bot.features.runs import views
from bot.features.runs.file_links import Attached
from bot.features.runs.form import StartMetadata, StartSyncForm
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.api_errors import ERRORS, classify
from bot.slack.error_handler import sentence_for
from bot.slack.file_source import GONE, address_of
from bot.slack.reply import open_modal, reply_privately
from bot.slack.submission import FormWithOptions, start_work
from bot.ui.blocks import text_message
from core.connections.permissions import may_start
from core.errors import InputError
from core.models.run import RunRequest
from core.runs import commands
from core.sources.fetch import check_allowed
from core.store.mappings import NO_LIST

# How long Slack may take to confirm that a file exists, in seconds. The run checks it again.
SEEN_WITHIN_S = 2.0


class NotNowError(InputError):
    """The mapping can't be synced now, or not by this person. The form shows it at the mapping."""

    code = "not_now"


@dataclass(frozen=True, slots=True)
class Started:
    """A queued run. Its message appears in `channel` (None: in a direct message)."""

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
    """Open *Start a sync*, or *Connect* if nothing is connected, or *Map* if nothing is mapped.

    Raises InputError if the person may not start runs, or if the mapping can't be synced.
    """
    connections = await services.connections(actor)
    if not connections:
        await open_connect(services, client, actor)
        return
    mine = [each for each in connections if may_start(each, actor.person)]
    chosen = await _chosen(services, actor, mapping_id) if mapping_id is not None else None
    refs = [chosen] if chosen else await startable(services, actor)
    if not (mine or refs):
        require_start(connections[0], actor.person, "start syncs")
    if not refs:
        await (reply_privately(client, actor, views.no_mapping_yet()) if files else open_map(services, client, actor))
        return
    metadata = StartMetadata(channel=actor.channel, attached=files)
    suggested = chosen or (refs[0] if len(refs) == 1 else of_file(refs, files))
    await open_modal(client, actor, _view(services, actor, metadata, suggested, several=len(connections) > 1))


def _view(
    services: Services, actor: Actor, metadata: StartMetadata, chosen: MappingRef | None, *, several: bool
) -> dict[str, Any]:
    places = services.engine.settings.audience_places(actor.team_id)
    return views.start_form(metadata, chosen, several=several, allowed_places=places)


def form_on_screen(services: Services, actor: Actor, view: Mapping[str, Any]) -> FormWithOptions:
    """Return *Start a sync* as it is on the screen. To show its options raises InputError if the person may not start
    runs of its mapping, or (if none is chosen) of any."""

    async def opened() -> dict[str, Any]:
        form = StartSyncForm.read(view)
        metadata = form.metadata.model_copy(update={"shows_options": True})
        connections = await services.connections(actor)
        chosen = await by_id(services, actor, form.mapping_id) if form.mapping_id is not None else None
        asked = [chosen.connection] if chosen is not None else connections
        if asked and not any(may_start(each, actor.person) for each in asked):
            require_start(asked[0], actor.person, "start syncs")
        return _view(services, actor, metadata, chosen, several=len(connections) > 1)

    return FormWithOptions(view, opened)


def of_file(refs: Sequence[MappingRef], files: Sequence[Attached]) -> MappingRef | None:
    """Return the only mapping whose audience the name of a message's only file contains; None if none or several do."""
    if len(files) != 1:
        return None
    name = _plain(files[0].name)
    of_audience = [ref for ref in refs if (audience := _plain(ref.mapping.audience_name or "")) and audience in name]
    return of_audience[0] if len(of_audience) == 1 else None


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


async def startable(services: Services, actor: Actor) -> list[MappingRef]:
    """Return the mappings that a person may start, including paused and declined ones, whose options say so."""
    return [
        ref
        for ref in await find(services, actor)
        if ref.mapping.list_id != NO_LIST and may_start(ref.connection, actor.person)
    ]


async def start_sync(services: Services, client: AsyncWebClient, actor: Actor, form: StartSyncForm) -> Started:
    """Queue a run. Raises NotNowError about the mapping, InputError about the source."""
    ref = await _chosen(services, actor, form.mapping_id or 0)
    address = await _address(services, client, actor, form)
    request = RunRequest(
        path=address,
        mode=form.mode,
        columns=form.chosen_columns,
        adopts=form.adopts,
        dry_run=form.preview_only,
    )
    # The run of a message's file is shown where the message is, other runs in their mapping's channel.
    current_channel = form.metadata.channel
    channel = current_channel if form.metadata.attached else ref.mapping.channel or current_channel
    run_id = await commands.start(
        services.engine, ref.mapping, request, by=actor.person, channel=channel, team_id=actor.team_id
    )
    services.wake()
    return Started(run_id, ref, channel)


def block_of(error: InputError, form: StartSyncForm) -> str | None:
    """Return the block id of the input that an error concerns; None if there is no such input."""
    if isinstance(error, NotNowError):
        return RunBlock.MAPPING
    return None if len(form.metadata.attached) == 1 else form.source_block


async def _chosen(services: Services, actor: Actor, mapping_id: int) -> MappingRef:
    ref = await by_id(services, actor, mapping_id)
    if not may_start(ref.connection, actor.person):
        raise NotNowError(
            f"Only operators and approvers of {ref.connection.label} can start its syncs. Ask one of them."
        )
    if reason := why_not_now(ref):
        raise NotNowError(reason)
    return ref


async def _address(services: Services, client: AsyncWebClient, actor: Actor, form: StartSyncForm) -> str:
    file_id = form.file_id
    if file_id is None:
        # Checking the disk may block.
        places = services.engine.settings.audience_places(actor.team_id)
        return await asyncio.to_thread(check_allowed, form.address, places)
    if form.link:
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
    # Other errors are temporary. If they persist, the run reports them.


async def submit(services: Services, ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
    """Queue the run of a submitted form. An error that the form can't show is sent to the person."""
    form = StartSyncForm.read(body["view"])
    actor = replace(Actor.of(body), channel=form.metadata.channel)
    on_screen = form_on_screen(services, actor, body["view"])
    if problems := form.problems():
        await on_screen.show_errors(ack, problems)
        return
    task = await start_work(start_sync(services, client, actor, form))
    error = task.exception() if task.done() else None
    block = block_of(error, form) if isinstance(error, InputError) else None
    if block is not None:
        await on_screen.show_errors(ack, {block: str(error)})
        return
    await ack()
    await _tell(client, actor, task)


async def _tell(client: AsyncWebClient, actor: Actor, task: "asyncio.Task[Started]") -> None:
    try:
        done = await task
    except Exception as error:  # noqa: BLE001  # the form is closed
        await reply_privately(client, actor, text_message(sentence_for(error)))
        return
    if done.channel is None or done.channel != actor.channel:
        await reply_privately(client, actor, views.started(done.run_id, done.known, done.channel))
