"""Responds to submitted modals within Slack's time limit, whether or not the work is finished by then."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.actor import Actor
from bot.slack.error_handler import sentence_for
from bot.slack.reply import NOT_CHANGED, change_modal
from bot.ui.more_options import hides_any, with_errors
from core.errors import SyncError

# How long the response to a submission may wait for the work, in seconds. Slack shows an error after 3 s.
ACK_WITHIN_S = 0.8
# The least time between the response and an update of the modal, in seconds, so that Slack applies them in this order.
SETTLE_S = 0.25

T = TypeVar("T")


async def start_work(work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """Start the work of a submission, and return its task: as soon as it is done, else after ACK_WITHIN_S."""
    task = asyncio.create_task(work)
    await asyncio.wait([task], timeout=ACK_WITHIN_S)
    return task


@dataclass(frozen=True, slots=True)
class FormWithOptions:
    """A form with *More options* on the screen: its view, and what returns the form with all its inputs."""

    view: Mapping[str, Any]
    opened: Callable[[], Awaitable[dict[str, Any]]]

    async def show_options(self, client: AsyncWebClient, actor: Actor) -> None:
        """Show all inputs."""
        form = await self.opened()
        await change_modal(client, actor, self.view["id"], form, NOT_CHANGED, hash=self.view["hash"])

    async def show_errors(self, ack: AsyncAck, errors: Mapping[str, str]) -> None:
        """Show error messages, by block id, at their inputs. If one of these is not shown, show all inputs."""
        if hides_any(self.view, errors):
            await ack(response_action="update", view=with_errors(await self.opened(), errors))
        else:
            await ack(response_action="errors", errors=dict(errors))


@dataclass(frozen=True, slots=True)
class ModalResult:
    """The outcome for the person: as a modal, and as a sentence (mrkdwn) if they have closed the modal."""

    view: dict[str, Any]
    text: str


@dataclass(frozen=True, slots=True)
class SubmissionModals:
    """What the modal shows: while the work takes long, and after an error (from a sentence, mrkdwn).

    `at_inputs` returns the error messages by block id for errors that concern inputs of the form. `form` is given if
    the form has *More options*.
    """

    waiting: dict[str, Any]
    failed: Callable[[str], dict[str, Any]]
    at_inputs: Callable[[SyncError], Mapping[str, str]]
    form: FormWithOptions | None = None


async def respond_to_submission(
    work: Coroutine[Any, Any, ModalResult],
    modals: SubmissionModals,
    *,
    ack: AsyncAck,
    client: AsyncWebClient,
    actor: Actor,
    view_id: str,
) -> None:
    """Do the work, and show its outcome in the modal. Never raises what the work raised."""
    task = await start_work(work)
    if not task.done():
        await ack(response_action="update", view=modals.waiting)
        await asyncio.gather(asyncio.wait([task]), asyncio.sleep(SETTLE_S))
        result = _result(task, modals)
        await change_modal(client, actor, view_id, result.view, result.text)
        return
    error = task.exception()
    errors = modals.at_inputs(error) if isinstance(error, SyncError) else {}
    if errors and modals.form is not None:
        await modals.form.show_errors(ack, errors)
    elif errors:
        await ack(response_action="errors", errors=dict(errors))
    else:
        await ack(response_action="update", view=_result(task, modals).view)


def _result(task: "asyncio.Task[ModalResult]", modals: SubmissionModals) -> ModalResult:
    error = task.exception()
    if error is None:
        return task.result()
    if not isinstance(error, Exception):
        raise error
    sentence = sentence_for(error)
    return ModalResult(modals.failed(sentence), sentence)
