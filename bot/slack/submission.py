"""Answering a submitted modal with what came of it: at once, or after a modal that says that it is being tried."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.actor import Actor
from bot.slack.error_handler import sentence_for
from bot.slack.reply import change_modal
from core.errors import SyncError

# How long a modal stays as it is, in seconds. Errors that are known by then appear beside their inputs.
ACK_WITHIN_S = 0.8
# An update must not overtake the answer that it replaces, in seconds.
SETTLE_S = 0.25


@dataclass(frozen=True, slots=True)
class ModalResult:
    """What a person is told: as a modal, and in a sentence (mrkdwn) where the modal has been closed."""

    view: dict[str, Any]
    text: str


@dataclass(frozen=True, slots=True)
class SubmissionModals:
    """How a trial is shown: while it takes long, where it failed (a sentence, mrkdwn), and at which inputs."""

    waiting: dict[str, Any]
    failed: Callable[[str], dict[str, Any]]
    at_inputs: Callable[[SyncError], Mapping[str, str]]


async def respond_to_submission(
    work: Coroutine[Any, Any, ModalResult],
    trial: SubmissionModals,
    *,
    ack: AsyncAck,
    client: AsyncWebClient,
    actor: Actor,
    view_id: str,
) -> None:
    """Do the work, and show in the modal what came of it. Never raises what the work raised."""
    task = asyncio.create_task(work)
    await asyncio.wait([task], timeout=ACK_WITHIN_S)
    if not task.done():
        await ack(response_action="update", view=trial.waiting)
        await asyncio.gather(asyncio.wait([task]), asyncio.sleep(SETTLE_S))
        told = _told(task, trial)
        await change_modal(client, actor, view_id, told.view, told.text)
        return
    error = task.exception()
    errors = trial.at_inputs(error) if isinstance(error, SyncError) else {}
    if errors:
        await ack(response_action="errors", errors=dict(errors))
    else:
        await ack(response_action="update", view=_told(task, trial).view)


def _told(task: "asyncio.Task[ModalResult]", trial: SubmissionModals) -> ModalResult:
    error = task.exception()
    if error is None:
        return task.result()
    if not isinstance(error, Exception):
        raise error
    sentence = sentence_for(error)
    return ModalResult(trial.failed(sentence), sentence)
