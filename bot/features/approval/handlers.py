"""Deciding on runs: *Review* and *Decline* on the card, and the modals that they open."""

import asyncio
from dataclasses import replace
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.approval import views
from bot.features.approval.views import Decision
from bot.features.ids import ApprovalAction, ApprovalBlock, ApprovalCallback
from bot.features.runs.run_view import RunView
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.error_handler import sentence_for
from bot.slack.reply import change_modal, open_modal
from bot.ui.blocks import notice
from bot.ui.formatting import escape
from bot.ui.modal_state import ViewInputs
from core.connections.permissions import why_not_approve
from core.errors import InputError
from core.models.run import Run, RunStatus
from core.reporting import preview
from core.runs import approval
from core.store import lists, rejections, runs
from core.store.connections import Connection

# How long a modal may wait for its decision to be on disk before it says that it does, in seconds.
PATIENCE_S = 0.8


def register(app: AsyncApp, services: Services) -> None:
    """Add this feature's listeners."""

    @app.action(ApprovalAction.REVIEW)
    async def open_review(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        story = await _story(services, actor, value_of(body))
        view = _barred(story, actor)
        if view is None:
            async with services.engine.database.read() as db:
                found = await preview.load_preview(db, story.run.id)
            view = views.review(story, found)
        await open_modal(client, actor, view)

    @app.action(ApprovalAction.DECLINE)
    async def open_decline(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        story = await _story(services, actor, value_of(body))
        await open_modal(client, actor, _barred(story, actor) or views.decline(story))

    @app.view(ApprovalCallback.REVIEW)
    async def approve(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await _answer(ack, body, client, _decide(services, body, approves=True), views.decided(approved=True))

    @app.view(ApprovalCallback.DECLINE)
    async def decline(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await _answer(ack, body, client, _decide(services, body, approves=False), views.decided(approved=False))


async def _story(services: Services, actor: Actor, run_id: str) -> RunView:
    """A run that the person's workspace sees. Raises InputError where there is none."""
    run = await _run(services, run_id)
    connection = await services.connection(actor.team_id, run.connection_id)
    async with services.engine.database.read() as db:
        known = await lists.get(db, run.connection_id, run.list_id)
        by_reason = await rejections.by_reason(db, run_id) if run.status is RunStatus.NEEDS_APPROVAL else {}
    return RunView(run, connection, known.name if known is not None else None, by_reason)


async def _run(services: Services, run_id: str) -> Run:
    async with services.engine.database.read() as db:
        run = await runs.by_id(db, run_id)
    if run is None:
        raise InputError("This run is not there any more.")
    return run


def _barred(story: RunView, actor: Actor) -> dict[str, Any] | None:
    """What a person sees who can't decide on a run: because it is decided, or because they may not."""
    if story.run.status is not RunStatus.NEEDS_APPROVAL:
        return views.too_late(story.run)
    connection = replace(story.connection, name=escape(story.connection.name))  # the sentence is mrkdwn: it mentions
    why = why_not_approve(connection, actor.person, story.run.started_by)
    return None if why is None else views.not_allowed(why)


async def _decide(services: Services, body: dict[str, Any], *, approves: bool) -> dict[str, Any] | None:
    """Decide on a run. Returns what the person is to see instead, where they were not the one who decided."""
    actor = Actor.of(body)
    run = await _run(services, Decision.load(body["view"]).run_id)
    connection: Connection = await services.connection(actor.team_id, run.connection_id)
    barred = _barred(RunView(run, connection, None), actor)
    if barred is not None:
        return barred
    comment = ViewInputs(body["view"]).text(ApprovalBlock.COMMENT) or None
    decide = approval.approve if approves else approval.decline
    was_first = await decide(services.engine, run.id, by=actor.person, comment=comment, team_id=actor.team_id)
    services.wake()
    return None if was_first else views.too_late(await _run(services, run.id))


async def _answer(
    ack: AsyncAck,
    body: dict[str, Any],
    client: AsyncWebClient,
    decision: Any,
    done: dict[str, Any],
) -> None:
    """Close the modal when the decision is on disk; where that takes long, show it in the modal then."""
    deciding = asyncio.ensure_future(_as_view(decision))
    await asyncio.wait([deciding], timeout=PATIENCE_S)
    if deciding.done():
        instead = deciding.result()
        await (ack() if instead is None else ack(response_action="update", view=instead))
        return
    await ack(response_action="update", view=views.working())
    await change_modal(client, Actor.of(body), body["view"]["id"], await deciding or done)


async def _as_view(decision: Any) -> dict[str, Any] | None:
    """The outcome of a decision as a view: an error as a sentence."""
    try:
        view: dict[str, Any] | None = await decision
    except Exception as error:  # noqa: BLE001  # the modal waits for an answer, whatever it is
        return notice("That did not work", sentence_for(error))
    return view
