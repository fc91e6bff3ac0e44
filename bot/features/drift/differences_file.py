"""Sends the people who differ on a list as a file to one person: in a direct message, never in a channel.

The list is read again, because who differs is not stored. The file has no name on the disk.
"""

import asyncio
import csv
import io
import tempfile
from typing import BinaryIO, cast

from slack_sdk.web.async_client import AsyncWebClient

from bot.features.mapping_lookup import MappingRef
from bot.features.runs.rejected_file import NotSentError, upload
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.reply import MessageNotDeliveredError, reply_privately, send_direct_message
from bot.ui.blocks import Message, context, section, text_message
from bot.ui.formatting import plural
from core.connections.permissions import may_see_rejected
from core.errors import InputError
from core.reporting.differences_csv import CSV_HEADER, csv_rows
from core.reporting.rejected_csv import CSV_ENCODING
from core.runs.verification import Depth, record_differences_taken, verify
from core.store.list_checks import ListCheck


class DifferencesFileSender:
    """Sends files of people who differ. A second click meanwhile is refused."""

    def __init__(self, services: Services) -> None:
        """Take the services. No I/O."""
        self._services = services
        self._under_way: set[tuple[str, int]] = set()

    async def send(self, client: AsyncWebClient, actor: Actor, ref: MappingRef) -> None:
        """Send the file to the person. Raises InputError if the person may not have it, and what `verify` raises."""
        if not may_see_rejected(ref.connection, actor.person):
            raise InputError(f"Only operators and approvers of {ref.connection.label} can have these addresses.")
        key = (actor.person, ref.mapping.id)
        if key in self._under_way:
            raise InputError("The file is already on its way to you.")
        self._under_way.add(key)
        try:
            await self._send(client, actor, ref)
        finally:
            self._under_way.discard(key)

    async def _send(self, client: AsyncWebClient, actor: Actor, ref: MappingRef) -> None:
        engine = self._services.engine
        with await asyncio.to_thread(tempfile.TemporaryFile, "w+b", dir=engine.settings.data_dir) as file:
            text = io.TextIOWrapper(cast(BinaryIO, file), encoding=CSV_ENCODING, newline="", write_through=True)
            rows = csv.writer(text, quoting=csv.QUOTE_ALL)
            rows.writerow(CSV_HEADER)
            result = await verify(engine, ref.mapping.id, Depth.LIST, lambda chunk: rows.writerows(csv_rows(chunk)))
            self._services.wake()
            text.detach()
            size = file.tell()
            people = (result.check.missing or 0) + (result.check.extra or 0)
            await record_differences_taken(engine, ref.mapping.id, people, by=actor.person, team_id=actor.team_id)
            try:
                channel = await send_direct_message(client, actor.person, summary(ref, result.check))
                if channel != actor.channel:
                    await reply_privately(client, actor, text_message("The file comes to your direct messages."))
                file.seek(0)
                await upload(client, channel, f"differences-{ref.mapping.list_id}.csv", cast(BinaryIO, file), size)
            except (MessageNotDeliveredError, NotSentError) as error:
                sentence = f"{error.message} Press the button again in a moment."
                await reply_privately(client, actor, text_message(sentence))


def summary(ref: MappingRef, check: ListCheck) -> Message:
    """Return the message above the file, without any address."""
    missing = plural(check.missing or 0, "person is missing", "people are missing")
    extra = plural(check.extra or 0, "person is", "people are")
    text = f"{ref.label}: {missing} on the list, and {extra} on it without having been synced to it."
    return Message(text, [section(text), context("Contains personal data - share with care.")])
