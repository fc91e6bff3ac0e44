"""Answering the submitted form: it closes, or says at its inputs what is wrong."""

import asyncio
from dataclasses import replace
from typing import Any

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.runs import start, views
from bot.features.runs.form import StartSyncForm
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.error_handler import sentence_for
from bot.slack.reply import reply_privately
from bot.slack.submission import ACK_WITHIN_S
from core.errors import InputError


async def submit(services: Services, ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
    """Queue what was put in. What can't be said in the form any more is said where the person is."""
    wanted = StartSyncForm.read(body["view"])
    if problems := wanted.problems():
        await ack(response_action="errors", errors=problems)
        return
    actor = replace(Actor.of(body), channel=wanted.metadata.channel)
    task = asyncio.create_task(start.start_sync(services, client, actor, wanted))
    await asyncio.wait([task], timeout=ACK_WITHIN_S)
    error = task.exception() if task.done() else None
    block = start.block_of(error, wanted) if isinstance(error, InputError) else None
    if block is not None:
        await ack(response_action="errors", errors={block: str(error)})
        return
    await ack()
    await _tell(client, actor, task)


async def _tell(client: AsyncWebClient, actor: Actor, task: "asyncio.Task[start.Started]") -> None:
    try:
        done = await task
    except Exception as error:  # noqa: BLE001  # the form is closed, so it is told where the person is
        await reply_privately(client, actor, views.said(sentence_for(error)))
        return
    if done.channel is None or done.channel != actor.channel:
        await reply_privately(client, actor, views.started(done.run_id, done.known, done.channel))
