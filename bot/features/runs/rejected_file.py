"""Sends the rejected members of a run as a file to one person: in a direct message, never in a channel.

The file is written and uploaded in chunks. It has no name on the disk, so nothing remains if the process dies.
"""

import asyncio
import csv
import io
import logging
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import BinaryIO, cast

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.mapping_lookup import MappingRef
from bot.features.runs import views
from bot.features.runs.actions import load
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.api_errors import ERRORS, FailureClass, classify
from bot.slack.reply import (
    MessageNotDeliveredError,
    change_modal,
    open_modal,
    reply_privately,
    send_direct_message,
)
from bot.slack.retry import RetryLaterError, with_retries
from bot.ui.blocks import Message
from core.connections.permissions import may_see_rejected
from core.engine import Engine
from core.errors import InputError, SyncError
from core.models.run import Run
from core.reporting.rejected_csv import CSV_ENCODING, CSV_HEADER, csv_row
from core.runs.commands import record_rejections_taken
from core.sources.fetch import CHUNK
from core.store import rejections
from core.store.rejections import Rejection

# The number of rows in a chunk.
CHUNK_ROWS = 2_000
# How long Slack may be silent during the upload, in seconds.
SILENCE_S = 60.0
# The waits before each retry, and the longest Retry-After that is honored (all in seconds).
WAITS_S = (1.0, 3.0, 10.0)
MAX_WAIT_S = 60.0

logger = logging.getLogger(__name__)


class NotSentError(SyncError):
    """Slack did not accept the file, or (`perhaps`) did not confirm it."""

    code = "file_not_sent"

    def __init__(self, reason: str, *, perhaps: bool = False) -> None:
        super().__init__(f"Slack did not take the file ({reason}).")
        self.perhaps = perhaps


class RejectedFileSender:
    """Sends files of rejected members. A second click during an upload is refused."""

    def __init__(self, services: Services) -> None:
        """Take the services. No I/O."""
        self._services = services
        self._under_way: set[tuple[str, str]] = set()

    async def explain(self, client: AsyncWebClient, actor: Actor, run_id: str) -> None:
        """Show the reasons in a modal, without addresses. Raises InputError if there are none."""
        run, ref = await load(self._services, actor, run_id)
        async with self._services.engine.database.read() as db:
            by_reason = await rejections.by_reason(db, run.id)
        if not by_reason:
            raise InputError(_why_none(run))
        await open_modal(client, actor, views.see_why(run, ref, by_reason))

    async def send(self, client: AsyncWebClient, actor: Actor, run_id: str, view_id: str | None) -> None:
        """Send the file to the person. Raises InputError if there is nothing to send, or if the person may not have
        it. `view_id`: the modal in which they asked for it, and read what became of it."""
        run, ref = await load(self._services, actor, run_id)
        if not may_see_rejected(ref.connection, actor.person):
            raise InputError(
                f"Only approvers and named operators of {ref.connection.label} can get the file, because it has "
                "addresses. Ask one of them. Edit, in the menu of the mapping on the Home page, shows who they are."
            )
        if (actor.person, run_id) in self._under_way:
            raise InputError("The file is already on its way to you.")
        self._under_way.add((actor.person, run_id))
        try:
            await self._send(client, actor, run, ref, view_id)
        finally:
            self._under_way.discard((actor.person, run_id))

    async def _send(self, client: AsyncWebClient, actor: Actor, run: Run, ref: MappingRef, view_id: str | None) -> None:
        engine = self._services.engine
        async with engine.database.read() as db:
            by_reason = await rejections.by_reason(db, run.id)
        if not by_reason:
            raise InputError(_why_none(run))
        members = sum(by_reason.values())
        await record_rejections_taken(engine, run.id, members, by=actor.person, team_id=actor.team_id)
        try:
            channel = await send_direct_message(client, actor.person, views.rejected_summary(run, ref, by_reason))
            if channel != actor.channel:
                await _reply(client, actor, view_id, views.rejected_sent(run, sum(by_reason.values())))
            async with _written(engine, run.id) as (file, size):
                await upload(client, channel, f"rejected-{run.id}.csv", file, size)
        except (MessageNotDeliveredError, NotSentError) as error:
            logger.warning("could not send a file of rejected members: %s", error.message)
            reply = views.rejected_not_sent(run, perhaps=getattr(error, "perhaps", False))
            await _reply(client, actor, view_id, reply)


async def _reply(client: AsyncWebClient, actor: Actor, view_id: str | None, message: Message) -> None:
    """Show a message in the modal in which the person acted, if they did, and otherwise privately."""
    if view_id is None:
        await reply_privately(client, actor, message)
    else:
        await change_modal(client, actor, view_id, views.file_reply(message), message.text)


def _why_none(run: Run) -> str:
    if run.counters.rejected:
        return f"The people that run {run.id} rejected are no longer on record: it is too long ago."
    return f"Run {run.id} rejected no one."


@asynccontextmanager
async def _written(engine: Engine, run_id: str) -> AsyncIterator[tuple[BinaryIO, int]]:
    """Yield a file with the rejections of a run, positioned at its beginning, and its size."""
    with await asyncio.to_thread(tempfile.TemporaryFile, "w+b", dir=engine.settings.data_dir) as file:
        text = io.TextIOWrapper(cast(BinaryIO, file), encoding=CSV_ENCODING, newline="", write_through=True)
        rows = csv.writer(text, quoting=csv.QUOTE_ALL)
        rows.writerow(CSV_HEADER)
        chunk: list[Rejection] = []
        async with engine.database.read_rows() as db:
            async for each in rejections.of_run(db, run_id):
                chunk.append(each)
                if len(chunk) == CHUNK_ROWS:
                    await asyncio.to_thread(_write, text, chunk)
                    chunk = []
        await asyncio.to_thread(_write, text, chunk)
        text.detach()
        size = file.tell()
        file.seek(0)
        yield cast(BinaryIO, file), size


def _write(file: io.TextIOWrapper, chunk: Sequence[Rejection]) -> None:
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows(csv_row(each) for each in chunk)
    file.flush()


async def upload(client: AsyncWebClient, channel: str, name: str, file: BinaryIO, size: int) -> None:
    """Upload a file in Slack's three steps, streamed (slack-sdk would hold it in memory).

    The first two steps are retried, because they have no visible effect. The third is retried only if Slack certainly
    did not complete it. Raises NotSentError.
    """

    async def complete() -> None:
        try:
            await client.files_completeUploadExternal(files=[{"id": file_id, "title": name}], channel_id=channel)
        except ERRORS as error:
            failure = classify(error)
            if failure.verdict is FailureClass.RETRY_LATER:
                raise RetryLaterError(failure.word, failure.after) from error
            raise NotSentError(failure.word, perhaps=failure.verdict is FailureClass.UNKNOWN) from error

    try:
        file_id = await with_retries(partial(_put, client, name, file, size), WAITS_S, MAX_WAIT_S)
        await with_retries(complete, WAITS_S, MAX_WAIT_S)
    except RetryLaterError as error:
        raise NotSentError(error.reason) from error


async def _put(client: AsyncWebClient, name: str, file: BinaryIO, size: int) -> str:
    """Send the bytes to Slack. Returns the id of the file, which is not visible yet. Raises RetryLaterError."""
    try:
        place = await client.files_getUploadURLExternal(filename=name, length=size)
    except ERRORS as error:
        failure = classify(error)
        raise RetryLaterError(failure.word, failure.after) from error
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE_S)
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    file.seek(0)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(str(place["upload_url"]), data=_chunks(file), headers=headers) as response,
        ):
            if response.status != 200:
                raise RetryLaterError(f"status {response.status}")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise RetryLaterError(type(error).__name__) from error
    return str(place["file_id"])


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    """Yield a file in chunks. aiohttp would close the file, but a retry needs it."""
    while piece := await asyncio.to_thread(file.read, CHUNK):
        yield piece
