"""The rejected members of a run, as a file for one person: into their direct messages, never into a channel.

The file is written and sent in pieces, and has no name on the disk: whatever becomes of this process, nothing stays.
"""

import asyncio
import csv
import io
import logging
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import BinaryIO, cast

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.mapping_lookup import MappingRef
from bot.features.runs import views
from bot.features.runs.actions import load
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.api_errors import ERRORS, FailureClass, classify
from bot.slack.reply import MessageNotDeliveredError, reply_privately, send_direct_message
from core.connections.permissions import may_see_rejected
from core.engine import Engine
from core.errors import InputError, SyncError
from core.models.run import Run
from core.reporting.rejected_csv import CSV_HEADER, csv_row
from core.sources.fetch import CHUNK
from core.store import audit_log, rejections
from core.store.audit_log import AuditAction
from core.store.rejections import Rejection

# Rows that are turned into text at once.
PIECE = 2_000
# How long Slack may be silent while it takes the file, in seconds.
SILENCE_S = 60.0
# How long it waits before a step is repeated, in seconds; the longest that it waits because Slack says so.
WAITS_S = (1.0, 3.0, 10.0)
MOST_WAIT_S = 60.0

logger = logging.getLogger(__name__)


class NotSentError(SyncError):
    """Slack did not take the file. `after`: how many seconds to wait; `perhaps`: nobody knows whether it did."""

    code = "file_not_sent"

    def __init__(self, why: str, *, after: float | None = None, perhaps: bool = False) -> None:
        super().__init__(f"Slack did not take the file ({why}).")
        self.after = after
        self.perhaps = perhaps


class RejectedFileSender:
    """Sends files of rejected members; of a person who clicks twice, the second click waits for nothing."""

    def __init__(self, services: Services) -> None:
        """Take the services. No I/O."""
        self._services = services
        self._under_way: set[tuple[str, str]] = set()

    async def send(self, client: AsyncWebClient, actor: Actor, run_id: str) -> None:
        """Send the file to who asks. Raises InputError where there is nothing to send, or where they may not."""
        run, it = await load(self._services, actor, run_id)
        if not may_see_rejected(it.connection, actor.person):
            raise InputError(
                f"Only operators and approvers of {it.connection.label} can have the addresses of rejected members."
            )
        if (actor.person, run_id) in self._under_way:
            raise InputError("The file is on its way to you already.")
        self._under_way.add((actor.person, run_id))
        try:
            await self._send(client, actor, run, it)
        finally:
            self._under_way.discard((actor.person, run_id))

    async def _send(self, client: AsyncWebClient, actor: Actor, run: Run, it: MappingRef) -> None:
        engine = self._services.engine
        async with engine.database.read() as db:
            by_reason = await rejections.by_reason(db, run.id)
        if not by_reason:
            raise InputError(_why_none(run))
        async with engine.database.write() as db:
            await audit_log.add(
                db,
                team_id=actor.team_id,
                actor=actor.person,
                action=AuditAction.REJECTIONS_TAKEN,
                subject=f"run:{run.id}",
                after={"members": sum(by_reason.values())},
            )
        try:
            channel = await send_direct_message(client, actor.person, views.rejected_summary(run, it, by_reason))
            if channel != actor.channel:
                await reply_privately(client, actor, views.rejected_sent(run, sum(by_reason.values())))
            async with _written(engine, run.id) as (file, size):
                await _upload(client, channel, f"rejected-{run.id}.csv", file, size)
        except (MessageNotDeliveredError, NotSentError) as error:
            logger.warning("a file of rejected members did not get to a person: %s", error.message)
            await reply_privately(client, actor, views.rejected_not_sent(run, perhaps=getattr(error, "perhaps", False)))


def _why_none(run: Run) -> str:
    if run.counters.rejected:
        return f"Run {run.id} is too long ago: who was rejected is not kept any more."
    return f"Run {run.id} rejected nobody."


@asynccontextmanager
async def _written(engine: Engine, run_id: str) -> AsyncIterator[tuple[BinaryIO, int]]:
    """A file with the rejections of a run, to be read from its beginning, and its size."""
    with await asyncio.to_thread(tempfile.TemporaryFile, "w+b", dir=engine.settings.data_dir) as file:
        text = io.TextIOWrapper(cast(BinaryIO, file), encoding="utf-8", newline="", write_through=True)
        rows = csv.writer(text, quoting=csv.QUOTE_ALL)
        rows.writerow(CSV_HEADER)
        piece: list[Rejection] = []
        async with engine.database.read() as db:
            async for each in rejections.of_run(db, run_id):
                piece.append(each)
                if len(piece) == PIECE:
                    await asyncio.to_thread(_write, text, piece)
                    piece = []
        await asyncio.to_thread(_write, text, piece)
        text.detach()
        size = file.tell()
        file.seek(0)
        yield cast(BinaryIO, file), size


def _write(file: io.TextIOWrapper, piece: Sequence[Rejection]) -> None:
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows(csv_row(each) for each in piece)
    file.flush()


async def _upload(client: AsyncWebClient, channel: str, name: str, file: BinaryIO, size: int) -> None:
    """Slack's three steps, with the file streamed (slack-sdk would hold all of it in memory).

    The first two can be repeated, because nobody sees anything of them, and so is the third where it was certainly not
    done. Raises NotSentError where Slack does not take it.
    """
    for wait in (*WAITS_S, None):
        try:
            file_id = await _put(client, name, file, size)
            break
        except NotSentError as error:
            if wait is None:
                raise
            await asyncio.sleep(wait if error.after is None else min(error.after, MOST_WAIT_S))
    for wait in (*WAITS_S, None):
        try:
            await client.files_completeUploadExternal(files=[{"id": file_id, "title": name}], channel_id=channel)
        except ERRORS as error:
            trouble = classify(error)
            if trouble.verdict is not FailureClass.RETRY_LATER or wait is None:
                raise NotSentError(trouble.word, perhaps=trouble.verdict is FailureClass.UNKNOWN) from error
            await asyncio.sleep(wait if trouble.after is None else min(trouble.after, MOST_WAIT_S))
        else:
            return


async def _put(client: AsyncWebClient, name: str, file: BinaryIO, size: int) -> str:
    """Put the bytes where Slack wants them. Returns the id of the file, which nobody sees yet."""
    try:
        place = await client.files_getUploadURLExternal(filename=name, length=size)
    except ERRORS as error:
        trouble = classify(error)
        raise NotSentError(trouble.word, after=trouble.after) from error
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE_S)
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    file.seek(0)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(str(place["upload_url"]), data=_pieces(file), headers=headers) as response,
        ):
            if response.status != 200:
                raise NotSentError(f"status {response.status}")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise NotSentError(type(error).__name__) from error
    return str(place["file_id"])


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    """A file in pieces. aiohttp would close one that it is given, and it may be sent again."""
    while piece := await asyncio.to_thread(file.read, CHUNK):
        yield piece
