"""The messages of an alert: in the alert channel, to the person who started the run, and the all-clear."""

from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.features.alerts.views import AlertView, alert, all_clear
from bot.features.runs.run_reader import RunViewReader
from bot.messages import fallback
from bot.messages.desired import DesiredMessage, MessageKind, Thread, thread_of
from bot.messages.provider import DesiredState, Snapshot, StoredMessages, Subject
from bot.services import Services
from bot.ui.formatting import slack_user
from core.runs.drift import NONE, own_changes
from core.store import alerts, list_checks, mappings, routes, runs
from core.store.alert_kinds import AlertKind
from core.store.alerts import Alert, AlertOutcome
from core.store.connections import Connection
from core.store.list_checks import ListCheck
from core.store.mappings import AudienceMapping
from core.store.routes import Route, RouteKind
from core.store.slack_messages import MessageStatus, SlackMessage


class AlertMessageProvider:
    """Provides the messages of open alerts, and of closed alerts until their end is shown."""

    def __init__(self, services: Services) -> None:
        """Take the services. No I/O."""
        self._services = services
        self._runs = RunViewReader()

    async def read(self, snapshot: Snapshot) -> list[Subject]:
        """Read the alerts with their runs and mappings."""
        followed = await alerts.to_follow(snapshot.db)
        if not followed:
            return []
        failed = await runs.by_ids(snapshot.db, [each.run_id for each in followed if each.run_id is not None])
        ids = {each.mapping_id for each in followed if each.mapping_id is not None}
        by_id = await mappings.by_ids(snapshot.db, ids) if ids else {}
        run_views = await self._runs.read(snapshot, failed.values())
        now = await snapshot.now()
        is_quiet = self._services.engine.settings.is_quiet(now)
        slack_routes = [route for route in await routes.everyone(snapshot.db) if route.kind is RouteKind.SLACK]
        subjects = []
        for each in followed:
            connection = await snapshot.connection_of(each.connection_id, each.mapping_id)
            assert connection is not None  # an alert is deleted with its connection
            mapping = by_id.get(each.mapping_id or 0)
            check = await _check_of(snapshot.db, each, mapping)
            own = NONE if check is None else await own_changes(snapshot.db, check)
            run_link = await self._link(snapshot, connection, each)
            view = AlertView(each, connection, mapping, run_views.get(each.run_id or ""), check, own, run_link)
            is_snoozed = is_quiet or max(each.show_at, each.snoozed_until or 0.0) > now
            routed = [
                route
                for route in slack_routes
                if route.concerns(connection.team_id, connection.id) and route.target != connection.alert_channel
            ]
            state = partial(_desired_state, view, routed, is_snoozed=is_snoozed)
            keys = keys_of(each.id, connection) + [key for route in routed for key in _route_keys(each.id, route)]
            subjects.append(Subject(f"alert {each.id}", keys, state))
        return subjects

    async def _link(self, snapshot: Snapshot, connection: Connection, alert: Alert) -> str | None:
        """Return the address of the message of the alert's run."""
        if alert.run_id is None:
            return None
        key = f"run:{alert.run_id}"
        return await self._services.link_to(connection.team_id, (await snapshot.stored_messages([key])).get(key))

    async def after_read(self) -> None:
        """Nothing is due."""

    async def close(self) -> None:
        """No background work."""


async def _check_of(db: AsyncConnection, alert: Alert, mapping: AudienceMapping | None) -> ListCheck | None:
    """Return the check of the list that an alert is about, if the list differs."""
    if alert.code != AlertKind.DRIFT or mapping is None:
        return None
    return await list_checks.of_list(db, mapping.connection_id, mapping.list_id)


def keys_of(alert_id: int, connection: Connection) -> list[str]:
    """Return the keys of an alert's messages: in the channel, to the person, the all-clear, to the approvers."""
    key = f"alert:{alert_id}"
    return [key, f"{key}:dm", f"{key}:clear", *fallback.keys_for(key, connection)]


def _route_keys(alert_id: int, route: Route) -> list[str]:
    """Return the keys of an alert's messages to a route: the alert, and the all-clear."""
    return [f"alert:{alert_id}:route:{route.id}", f"alert:{alert_id}:route:{route.id}:clear"]


def _desired_state(
    view: AlertView, routed: Sequence[Route], stored: StoredMessages, *, is_snoozed: bool
) -> DesiredState:
    messages = desired_messages(view, stored, is_snoozed=is_snoozed)
    for route in routed:
        messages += _to_route(view, route, stored, is_snoozed=is_snoozed)
    return DesiredState(messages, is_final=view.alert.closed_at is not None)


def desired_messages(view: AlertView, stored: Mapping[str, SlackMessage], *, is_snoozed: bool) -> list[DesiredMessage]:
    """Return the messages of an alert. While it is snoozed, only messages that exist already are updated."""
    connection = view.connection
    main, direct, clear, *_ = keys_of(view.alert.id, connection)
    is_open = view.alert.closed_at is None
    kind = MessageKind.OPEN if is_open else MessageKind.FINAL
    starter = slack_user(view.run_view.run.asked_by) if view.run_view is not None else None
    content = alert(view)
    messages = []
    for key, target in ((main, connection.alert_channel), (direct, starter)):
        current = stored.get(key)
        if target is None or (key == direct and target == connection.alert_channel):
            continue
        if current is None and (is_snoozed or not is_open):
            continue
        noted = content
        if key == direct and fallback.needs_fallback(stored.get(main), stored[main].kind if main in stored else ""):
            noted = fallback.with_fallback_note(content, stored.get(main))
        # The person who got the alert keeps it, even if someone else starts the next run that fails.
        is_delivered = current is not None and current.status is not MessageStatus.REJECTED
        recipient = current.target if current is not None and is_delivered else target
        messages.append(DesiredMessage(key, connection.team_id, recipient, kind, noted, urgent=True))
        if key == main and starter is None:
            messages += fallback.for_approvers(messages[-1], connection, stored)
    thread = thread_of(stored.get(main)) or thread_of(stored.get(direct))
    if thread is not None and (not is_snoozed or clear in stored):
        messages += _all_clear(view, clear, thread)
    return messages


def _to_route(
    view: AlertView, route: Route, stored: Mapping[str, SlackMessage], *, is_snoozed: bool
) -> list[DesiredMessage]:
    """Return the messages of an alert to another channel or person."""
    key, clear = _route_keys(view.alert.id, route)
    is_open = view.alert.closed_at is None
    if key not in stored and (is_snoozed or not is_open):
        return []
    kind = MessageKind.OPEN if is_open else MessageKind.FINAL
    messages = [DesiredMessage(key, view.connection.team_id, route.target, kind, alert(view), urgent=True)]
    thread = thread_of(stored.get(key))
    if thread is not None and (not is_snoozed or clear in stored):
        messages += _all_clear(view, clear, thread)
    return messages


def _all_clear(view: AlertView, key: str, thread: Thread) -> list[DesiredMessage]:
    """Return the all-clear below an alert, if it was resolved."""
    if view.alert.outcome is not AlertOutcome.RESOLVED:
        return []
    message, kind = all_clear(view), MessageKind.REPLY
    team_id, channel = view.connection.team_id, thread.channel
    return [DesiredMessage(key, team_id, channel, kind, message, urgent=True, thread=thread, broadcast=True)]
