"""The buttons *Review* and *Decline* of a run that waits for approval, and the modals that they open."""

from dataclasses import replace
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.approval import together, views
from bot.features.approval.card import details_modal
from bot.features.approval.together import PlanRefs
from bot.features.approval.views import PlanRef
from bot.features.ids import ApprovalAction, ApprovalBlock, ApprovalCallback, read_plan_value
from bot.features.runs.run_reader import read_approval_facts
from bot.features.runs.run_view import RunView
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.error_handler import sentence_for
from bot.slack.reply import change_modal, open_modal
from bot.slack.submission import start_work
from bot.ui.blocks import notice
from bot.ui.formatting import escape
from bot.ui.modal_state import ViewInputs
from core.errors import ConflictError
from core.models.run import RunStatus
from core.reporting import preview
from core.runs import approval
from core.runs.approval import Decision as Outcome
from core.runs.variants import undecided_with
from core.store import lists, rejections


def register(app: AsyncApp, services: Services) -> None:
    """Register this feature's listeners."""

    @app.action(ApprovalAction.REVIEW)
    async def open_review(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        run_id, digest = read_plan_value(value_of(body))
        run_view = await _run_view(services, actor, run_id)
        has_changed = digest is not None and digest != run_view.run.plan_digest
        refusal = _refusal(run_view, actor)
        if refusal is None and (group := await _group_of(services, actor, run_view)):
            await open_modal(client, actor, together.review(group, has_changed=has_changed))
            return
        await open_modal(client, actor, refusal or await _review(services, run_view, has_changed=has_changed))

    @app.action(ApprovalAction.DECLINE)
    async def open_decline(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        run_id, digest = read_plan_value(value_of(body))
        run_view = await _run_view(services, actor, run_id)
        has_changed = digest is not None and digest != run_view.run.plan_digest
        refusal = _refusal(run_view, actor)
        if refusal is None and (group := await _group_of(services, actor, run_view)):
            await open_modal(client, actor, together.decline(group))
            return
        await open_modal(client, actor, refusal or views.decline(run_view, has_changed=has_changed))

    @app.action(ApprovalAction.APPROVE)
    async def approve_removal(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        instead = await _as_view(_decide(services, body, approves=True))
        await change_modal(client, Actor.of(body), body["view"]["id"], instead or views.decided(approved=True))

    @app.action(ApprovalAction.DECLINE_HERE)
    async def decline_here(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        is_group = body["view"]["callback_id"] == ApprovalCallback.REVIEW_TOGETHER
        decide = _decide_together if is_group else _decide
        instead = await _as_view(decide(services, body, approves=False))
        await change_modal(client, Actor.of(body), body["view"]["id"], instead or views.decided(approved=False))

    @app.action(ApprovalAction.DETAILS)
    async def open_details(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        run_view = await _run_view(services, actor, value_of(body))
        waits = run_view.run.status is RunStatus.NEEDS_APPROVAL
        await open_modal(client, actor, details_modal(run_view) if waits else views.too_late(run_view.run))

    @app.view(ApprovalCallback.REVIEW)
    async def approve(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await _answer(ack, body, client, _decide(services, body, approves=True), views.decided(approved=True))

    @app.view(ApprovalCallback.DECLINE)
    async def decline(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await _answer(ack, body, client, _decide(services, body, approves=False), views.decided(approved=False))

    @app.view(ApprovalCallback.REVIEW_TOGETHER)
    async def approve_together(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        decision = _decide_together(services, body, approves=True)
        await _answer(ack, body, client, decision, views.decided(approved=True))

    @app.view(ApprovalCallback.DECLINE_TOGETHER)
    async def decline_together(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        decision = _decide_together(services, body, approves=False)
        await _answer(ack, body, client, decision, views.decided(approved=False))


async def _group_of(services: Services, actor: Actor, run_view: RunView) -> list[RunView]:
    """Return the runs that are decided together with a run; empty if it is decided alone.

    Raises ConflictError if one of them is still being planned.
    """
    group = await undecided_with(services.engine, run_view.run)
    if len(group) == 1:
        return []
    if any(run.status is not RunStatus.NEEDS_APPROVAL for run in group):
        raise ConflictError("What the other variants would change is still being worked out. Try again in a moment.")
    return [await _run_view(services, actor, run.id) for run in group]


async def _run_view(services: Services, actor: Actor, run_id: str) -> RunView:
    """Return a run that the person's workspace sees. Raises InputError if there is none."""
    connection, _, run = await services.run(actor, run_id)
    async with services.engine.database.read() as db:
        known = await lists.get(db, run.connection_id, run.list_id)
        waits = run.status is RunStatus.NEEDS_APPROVAL
        by_reason = await rejections.by_reason(db, run_id) if waits else {}
        facts = await read_approval_facts(db, run) if waits else {}
    return RunView(run, connection, known.name if known is not None else None, by_reason, **facts)


async def _review(services: Services, run_view: RunView, *, has_changed: bool) -> dict[str, Any]:
    async with services.engine.database.read() as db:
        samples = await preview.load_preview(db, run_view.run.id)
    return views.review(run_view, samples, has_changed=has_changed)


def _refusal(run_view: RunView, actor: Actor) -> dict[str, Any] | None:
    """Return the modal for a person who can't decide on a run, because it is decided or because they may not."""
    if run_view.run.status is not RunStatus.NEEDS_APPROVAL:
        return views.too_late(run_view.run)
    connection = replace(run_view.connection, name=escape(run_view.connection.name))  # the sentence is mrkdwn
    why = views.why_not_decide(replace(run_view, connection=connection), actor.person)
    return None if why is None else views.not_allowed(why)


async def _decide(services: Services, body: dict[str, Any], *, approves: bool) -> dict[str, Any] | None:
    """Decide on a run. Returns a modal for the person if they were not the one who decided."""
    actor, seen = Actor.of(body), PlanRef.load(body["view"])
    run_view = await _run_view(services, actor, seen.run_id)
    barred = _refusal(run_view, actor)
    if barred is not None:
        return barred
    comment = ViewInputs(body["view"]).text(ApprovalBlock.COMMENT) or None
    decide = approval.approve if approves else approval.decline
    decision = await decide(
        services.engine,
        seen.run_id,
        plan_digest=seen.plan_digest,
        by=actor.person,
        comment=comment,
        team_id=actor.team_id,
    )
    services.wake()
    if decision is Outcome.RECORDED:
        return None
    now = await _run_view(services, actor, seen.run_id)
    if decision is Outcome.CHANGED and now.run.status is RunStatus.NEEDS_APPROVAL:
        return await _review(services, now, has_changed=True)
    return views.too_late(now.run)


async def _decide_together(services: Services, body: dict[str, Any], *, approves: bool) -> dict[str, Any] | None:
    """Decide on several runs at once. Returns a modal for the person if nothing was decided."""
    actor, seen = Actor.of(body), PlanRefs.load(body["view"])
    for run_id, _ in seen.plans:
        if barred := _refusal(await _run_view(services, actor, run_id), actor):
            return barred
    decision = await approval.decide_together(
        services.engine,
        seen.plans,
        approves=approves,
        by=actor.person,
        comment=ViewInputs(body["view"]).text(ApprovalBlock.COMMENT) or None,
        team_id=actor.team_id,
    )
    services.wake()
    if decision is Outcome.RECORDED:
        return None
    now = await _run_view(services, actor, seen.plans[0][0])
    if decision is Outcome.CHANGED and (group := await _group_of(services, actor, now)):
        return together.review(group, has_changed=True)
    return views.too_late(now.run)


async def _answer(
    ack: AsyncAck,
    body: dict[str, Any],
    client: AsyncWebClient,
    decision: Any,
    done: dict[str, Any],
) -> None:
    """Close the modal as soon as the decision is stored. If that takes long, the modal says so, and then shows the
    result."""
    task = await start_work(_as_view(decision))
    if task.done():
        view = task.result()
        await (ack() if view is None else ack(response_action="update", view=view))
        return
    await ack(response_action="update", view=views.working())
    await change_modal(client, Actor.of(body), body["view"]["id"], await task or done)


async def _as_view(decision: Any) -> dict[str, Any] | None:
    """Return the result of a decision as a modal. An error becomes a notice."""
    try:
        view: dict[str, Any] | None = await decision
    except Exception as error:  # noqa: BLE001  # the modal waits for an answer to any error
        return notice("That did not work", sentence_for(error))
    return view
