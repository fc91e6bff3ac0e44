"""The modals of alert routes: the list with its buttons, and the form that adds one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from slack_sdk.models.blocks import (
    Block,
    CheckboxesElement,
    ConversationFilter,
    ConversationSelectElement,
    PlainTextInputElement,
    StaticSelectElement,
    UserSelectElement,
)

from bot.features.ids import RouteAction, RouteBlock, RouteCallback
from bot.ui.blocks import actions, button, confirmation, context, field_of, modal, notice, option, section
from bot.ui.formatting import escape
from bot.ui.modal_state import Metadata, ViewInputs
from core.notifications.route_address import PAGERDUTY_REGIONS, RouteOptions
from core.notifications.routes import NAME_MAX_LENGTH
from core.store.connections import Connection
from core.store.routes import Route, RouteKind

# Routes that the modal lists: each takes two blocks of a hundred.
_MOST_LISTED = 40
_KINDS = {
    RouteKind.SLACK: "Slack",
    RouteKind.PAGERDUTY: "PagerDuty",
    RouteKind.EMAIL: "Email",
    RouteKind.WEBHOOK: "Webhook",
}
# What a route gets, by the pattern of its events. Others are shown as they are.
_EVENTS = {
    "*": "everything",
    "alert.*": "alerts",
    "report.*": "reports",
    "run.*": "syncs",
    "mapping.*": "changes to mappings",
}
_REGIONS = {"us": "US", "eu": "EU"}
_FALLBACK = "fallback"
#: Why a test failed if the app is not in the channel.
NOT_IN_CHANNEL = "this app is not in that channel. Type `/invite @iterable-sync` there"


class RoutesMetadata(Metadata):
    """The connection whose routes are shown."""

    connection_id: int


@dataclass(frozen=True, slots=True)
class RouteForm:
    """The submitted form. Exactly one of channel, person and key is filled in, if it is right."""

    connection_id: int
    name: str
    channel: str
    person: str
    key: str
    region: str
    is_fallback: bool

    @classmethod
    def read(cls, view: Mapping[str, Any]) -> Self:
        """Read the submitted form."""
        inputs = ViewInputs(view)
        return cls(
            connection_id=RoutesMetadata.load(view).connection_id,
            name=inputs.text(RouteBlock.NAME),
            channel=inputs.conversation(RouteBlock.CHANNEL) or "",
            person=inputs.person(RouteBlock.PERSON) or "",
            key=inputs.text(RouteBlock.KEY),
            region=inputs.choice(RouteBlock.REGION) or "us",
            is_fallback=inputs.is_checked(RouteBlock.FALLBACK),
        )

    def problems(self) -> dict[str, str]:
        """Return error messages by block id."""
        if sum(map(bool, (self.channel, self.person, self.key))) != 1:
            return {RouteBlock.CHANNEL: "Choose one of the three: a channel, a person, or PagerDuty's routing key."}
        if self.is_fallback and not self.key:
            return {RouteBlock.FALLBACK: "A fallback is for outages of Slack, so it can't be in Slack."}
        return {}

    @property
    def options(self) -> RouteOptions:
        """The options of the route."""
        return RouteOptions(
            name=self.name,
            kind=RouteKind.PAGERDUTY if self.key else RouteKind.SLACK,
            address=PAGERDUTY_REGIONS.get(self.region, "") if self.key else self.channel or self.person,
            secret=self.key,
            connection_id=self.connection_id,
            is_fallback=self.is_fallback,
        )


def routes_modal(connection: Connection, routes: Sequence[Route], team_id: str, note: str = "") -> dict[str, Any]:
    """Return the list. `note` (mrkdwn) says what became of a test or a change."""
    blocks: list[Block] = [section(note)] if note else []
    name, channel = escape(connection.label), connection.alert_channel
    where = f"Alerts of {name} appear in <#{channel}>." if channel else f"{name} has no alert channel."
    blocks.append(context(f"{where} Routes send its alerts to other places, too."))
    for route in routes[:_MOST_LISTED]:
        blocks += [section(_described(route)), actions(*_buttons(route, team_id))]
    if not routes:
        blocks.append(section("No routes yet."))
    blocks += [
        actions(button("Add a route", RouteAction.ADD, str(connection.id), style="primary")),
        context("The people who run this app add webhooks and email on the command line: `iterable-sync routes add`."),
    ]
    metadata = RoutesMetadata(connection_id=connection.id)
    return modal("Alert routes", blocks, callback=RouteCallback.LIST, metadata=metadata)


def _described(route: Route) -> str:
    target = _place(route)
    fallback = " · only if Slack has not shown an alert for 5 minutes" if route.is_fallback else ""
    events = ", ".join(_EVENTS.get(each, f"`{escape(each)}`") for each in route.events)
    return f"*{escape(route.name)}*: {_KINDS[route.kind]}, {target}\nGets {events}{fallback}"


def _place(route: Route) -> str:
    if route.kind is not RouteKind.SLACK:
        return escape(route.target)
    return f"<@{route.target}>" if route.target[0] in "UW" else f"<#{route.target}>"


def _buttons(route: Route, team_id: str) -> list[Any]:
    test = button("Test", RouteAction.TEST, str(route.id), label=f"Test the route {route.name}")
    if route.team_id != team_id:
        return [test]
    question = confirmation("Remove the route?", f"{escape(route.name)} gets no more alerts.", "Remove", "Keep it")
    label = f"Remove the route {route.name}"
    return [test, button("Remove", RouteAction.REMOVE, str(route.id), style="danger", confirm=question, label=label)]


def add_form(connection: Connection) -> dict[str, Any]:
    """Return the form that adds a route for the alerts of a connection."""
    channel = ConversationSelectElement(
        action_id=RouteBlock.CHANNEL, filter=ConversationFilter(include=["public", "private"], exclude_bot_users=True)
    )
    regions = [option(words, region) for region, words in _REGIONS.items()]
    region = StaticSelectElement(action_id=RouteBlock.REGION, options=regions, initial_option=regions[0])
    fallback = CheckboxesElement(
        action_id=RouteBlock.FALLBACK, options=[option("Only if Slack has not shown an alert for 5 minutes", _FALLBACK)]
    )
    key = PlainTextInputElement(action_id=RouteBlock.KEY, max_length=64)
    blocks: list[Block] = [
        context(f"Sends the alerts of {escape(connection.label)}. Choose a channel, a person, or PagerDuty."),
        field_of("Name", RouteBlock.NAME, PlainTextInputElement(action_id=RouteBlock.NAME, max_length=NAME_MAX_LENGTH)),
        field_of("Channel", RouteBlock.CHANNEL, channel, optional=True),
        field_of("Person", RouteBlock.PERSON, UserSelectElement(action_id=RouteBlock.PERSON), optional=True),
        field_of("PagerDuty routing key", RouteBlock.KEY, key, optional=True, hint="Of an Events API V2 integration."),
        field_of("PagerDuty region", RouteBlock.REGION, region, optional=True),
        field_of("As a fallback", RouteBlock.FALLBACK, fallback, optional=True),
    ]
    return modal(
        "Add a route",
        blocks,
        callback=RouteCallback.ADD,
        submit="Add",
        close="Cancel",
        metadata=RoutesMetadata(connection_id=connection.id),
    )


def working() -> dict[str, Any]:
    """Return the modal that is shown while the route is added."""
    return notice("Add a route", "Saving…")


def failed(sentence: str) -> dict[str, Any]:
    """Return the modal after an error (mrkdwn)."""
    return notice("Not added", sentence)


def tested_sentence(route: Route, error: str | None) -> str:
    """Return what became of a test (mrkdwn). `error` is None if the receiver took it."""
    name = f"*{escape(route.name)}*"
    return f":white_check_mark: {name} works." if error is None else f":warning: {name} does not work: {escape(error)}."
