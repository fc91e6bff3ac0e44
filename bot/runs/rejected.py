"""The rejected members of a run, as a file for one person: into their direct messages, never into a channel.

The file is written and sent in pieces, and has no name on the disk: whatever becomes of this process, nothing stays.
"""

import asyncio
import csv
import io
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import BinaryIO, cast

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.actor import Actor
from bot.blocks import Message
from bot.mapping.known import Known
from bot.reply import reply
from bot.runs import views
from bot.runs.deeds import load
from bot.services import Services
from core.access import may_see_rejected
from core.engine import Engine
from core.errors import InputError
from core.fetch import FetchError
from core.report import CSV_HEADER, csv_row
from core.runs import Run
from core.store import audit, rejections
from core.store.audit import Action
from core.store.rejections import Rejection

# Rows that are turned into text at once.
PIECE = 2_000
# How long Slack may be silent while it takes the file, in seconds.
SILENCE_S = 60.0


class Rejected:
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

    async def _send(self, client: AsyncWebClient, actor: Actor, run: Run, it: Known) -> None:
        engine = self._services.engine
        async with engine.database.read() as db:
            by_reason = await rejections.by_reason(db, run.id)
        if not by_reason:
            raise InputError(_why_none(run))
        async with engine.database.write() as db:
            await audit.add(
                db,
                team_id=actor.team_id,
                actor=actor.person,
                action=Action.REJECTIONS_TAKEN,
                subject=f"run:{run.id}",
                after={"members": sum(by_reason.values())},
            )
        summary = views.rejected_summary(run, it, by_reason)
        channel = str((await client.chat_postMessage(channel=actor.person, **summary.payload()))["channel"])
        if channel != actor.channel:
            await reply(client, actor, self._answer(run, by_reason))
        async with _written(engine, run.id) as (file, size):
            await _upload(client, channel, f"rejected-{run.id}.csv", file, size)

    def _answer(self, run: Run, by_reason: dict[str, int]) -> Message:
        return views.rejected_sent(run, sum(by_reason.values()))


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
    """Slack's three steps, with the file streamed (slack-sdk would hold all of it in memory)."""
    place = await client.files_getUploadURLExternal(filename=name, length=size)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE_S)
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(str(place["upload_url"]), data=file, headers=headers) as response,
        ):
            if response.status != 200:
                raise FetchError(f"Slack did not take the file (it answers {response.status}). Try again in a moment.")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise FetchError("Slack could not be reached to take the file. Try again in a moment.") from error
    await client.files_completeUploadExternal(files=[{"id": str(place["file_id"]), "title": name}], channel_id=channel)
