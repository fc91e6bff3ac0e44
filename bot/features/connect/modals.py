"""The forms: connect a project, edit a connection, replace a key."""

from collections.abc import Sequence
from typing import Any

from slack_sdk.models.blocks import (
    Block,
    CheckboxesElement,
    ConversationFilter,
    ConversationSelectElement,
    InputBlock,
    NumberInputElement,
    PlainTextInputElement,
    RadioButtonsElement,
)

from bot.features.connect.form import ConnectionForm, KeyModalState
from bot.features.ids import ConnectAction, ConnectBlock, ConnectCallback
from bot.ui.blocks import context, field_of, modal, option, section
from bot.ui.formatting import escape
from bot.ui.more_options import options_button
from bot.ui.people_inputs import GroupChoice, people_inputs
from core.connections.manage import NAME_MAX_LENGTH, RATE_MAX
from core.identity import ProjectType, UserIdField
from core.iterable import DataCenter
from core.store.connections import Connection

DATA_CENTERS = {DataCenter.US: "US (api.iterable.com)", DataCenter.EU: "EU (api.eu.iterable.com)"}
USER_IDS = {
    UserIdField.CUSTOMER_ID: ("Customer ID", "People without an email are rejected."),
    UserIdField.MPID: ("mParticle ID (mpid)", "People without an email get <mpid>@placeholder.email."),
}
PROJECT_TYPES = {
    ProjectType.EMAIL: ("email-based", "An email is a person."),
    ProjectType.USER_ID: ("userID-based", "A user id is a person. Two people may have the same email."),
    ProjectType.HYBRID: ("hybrid", "Emails and user ids are both unique."),
}
_WHERE_KEYS_ARE = "In Iterable: Integrations > API Keys. Use a server-side key."


def connect_form(
    details: ConnectionForm, connections: Sequence[Connection] = (), groups: Sequence[GroupChoice] = ()
) -> dict[str, Any]:
    """Return the form for a new connection, filled with `details`. It never contains a key.

    `groups` are the user groups that can be chosen.
    """
    intro = "Connect an Iterable project to keep its lists equal to mParticle audiences."
    blocks: list[Block] = [section(intro)]
    if connections:
        names = ", ".join(f"*{escape(each.name)}*" for each in connections)
        blocks.append(context(f"Connected already: {names}. Edit them, or replace a key, on the Home page."))
    blocks += [_name(details), _key(), _data_center(details), _channel(details), *_approvers(details, groups)]
    if details.shows_options:
        blocks += [*_user_id(details), _rate(details), *_operators(details, groups), _self_approval(details)]
    else:
        blocks.append(options_button(ConnectAction.OPTIONS))
    return modal(
        "Connect a project",
        blocks,
        callback=ConnectCallback.CONNECT,
        submit="Connect",
        close="Cancel",
        metadata=details,
    )


def edit_form(details: ConnectionForm, key_last4: str, groups: Sequence[GroupChoice] = ()) -> dict[str, Any]:
    """Return the form that edits everything except the key. `groups` are the user groups that can be chosen."""
    blocks = [
        _name(details),
        _data_center(details),
        *_user_id(details),
        _rate(details),
        _channel(details),
        *_operators(details, groups),
        *_approvers(details, groups),
        _self_approval(details),
        _project_type(details),
        _merging(details),
        context(f"The key stays: …{escape(key_last4)}."),
    ]
    return modal(
        "Edit connection", blocks, callback=ConnectCallback.EDIT, submit="Save", close="Cancel", metadata=details
    )


def key_form(connection: Connection) -> dict[str, Any]:
    """Return the form that replaces the API key."""
    text = (
        f"A new key for *{escape(connection.name)}*, of the same Iterable project "
        f"({connection.data_center.upper()}). Everything else stays: mappings, approvals, history."
    )
    blocks = [section(text), context(f"The key now: …{escape(connection.key_last4)}."), _key()]
    metadata = KeyModalState(connection_id=connection.id)
    return modal(
        "Replace key", blocks, callback=ConnectCallback.KEY, submit="Replace", close="Cancel", metadata=metadata
    )


def _name(details: ConnectionForm) -> InputBlock:
    element = PlainTextInputElement(
        action_id=ConnectBlock.NAME,
        initial_value=details.name or None,
        max_length=NAME_MAX_LENGTH,
        placeholder="For example: Shop",
    )
    return field_of("Name", ConnectBlock.NAME, element, hint="What people here call this Iterable project.")


def _key() -> InputBlock:
    element = PlainTextInputElement(action_id=ConnectBlock.KEY, max_length=500)
    hint = f"{_WHERE_KEYS_ARE} It is stored encrypted, and only its last four characters are shown later."
    return field_of("API key", ConnectBlock.KEY, element, hint=hint)


def _data_center(details: ConnectionForm) -> InputBlock:
    options = {each: option(name, each.value) for each, name in DATA_CENTERS.items()}
    element = RadioButtonsElement(
        action_id=ConnectBlock.DATA_CENTER, options=list(options.values()), initial_option=options[details.data_center]
    )
    return field_of(
        "Data center",
        ConnectBlock.DATA_CENTER,
        element,
        hint="Check the URL: app.iterable.com is US, app.eu.iterable.com is EU.",
    )


def _user_id(details: ConnectionForm) -> list[Block]:
    options = {each: option(name, each.value, what) for each, (name, what) in USER_IDS.items()}
    element = RadioButtonsElement(
        action_id=ConnectBlock.USER_ID, options=list(options.values()), initial_option=options[details.user_id]
    )
    hint = (
        "What becomes the userId in Iterable, in addition to the email. With Customer ID, people without an email are "
        "rejected. With mParticle ID, they get the placeholder address <mpid>@placeholder.email, and are renamed "
        "once their email is known."
    )
    return [field_of("User ID", ConnectBlock.USER_ID, element, hint=hint)]


def _project_type(details: ConnectionForm) -> InputBlock:
    options = {each: option(name, each.value, what) for each, (name, what) in PROJECT_TYPES.items()}
    element = RadioButtonsElement(
        action_id=ConnectBlock.PROJECT_TYPE,
        options=list(options.values()),
        initial_option=options[details.project_type] if details.project_type else None,
    )
    hint = (
        "How Iterable tells people apart, as its API has answered. Change it only if the project's settings in "
        "Iterable say otherwise. The next sync of each list then needs approval."
    )
    return field_of("Project type", ConnectBlock.PROJECT_TYPE, element, hint=hint, optional=True)


def _merging(details: ConnectionForm) -> InputBlock:
    own = option("Merge placeholder profiles into existing profiles with the address", "yes")
    box = CheckboxesElement(
        action_id=ConnectBlock.MERGING, options=[own], initial_options=[own] if details.merges_profiles else None
    )
    hint = (
        "Applies when a person with a placeholder address gets a real one. Iterable moves events and data to the "
        "existing profile and deletes the placeholder. This can't be undone. If off, both profiles remain."
    )
    return field_of("Merging", ConnectBlock.MERGING, box, hint=hint, optional=True)


def _rate(details: ConnectionForm) -> InputBlock:
    element = NumberInputElement(
        action_id=ConnectBlock.RATE,
        is_decimal_allowed=True,
        initial_value=None if details.rate is None else _plain(details.rate),
        min_value="0",
        max_value=_plain(max(RATE_MAX, details.rate or 0.0)),
    )
    return field_of(
        "Requests a second", ConnectBlock.RATE, element, hint="0 = unlimited. Each request carries up to 1,000 people."
    )


def _plain(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")


def _channel(details: ConnectionForm) -> InputBlock:
    element = ConversationSelectElement(
        action_id=ConnectBlock.CHANNEL,
        initial_conversation=details.channel,
        default_to_current_conversation=None if details.channel else True,
        filter=ConversationFilter(include=["public", "private"], exclude_bot_users=True),
    )
    return field_of(
        "Alert channel",
        ConnectBlock.CHANNEL,
        element,
        hint="Notified when a sync fails and when it recovers.",
    )


def _operators(details: ConnectionForm, groups: Sequence[GroupChoice]) -> list[InputBlock]:
    return people_inputs(
        "Who may start syncs",
        ConnectBlock.OPERATORS,
        ConnectBlock.OPERATOR_GROUPS,
        details.operators,
        groups,
        hint="Leave blank to allow everyone. Approvers can always start syncs.",
        optional=True,
    )


def _approvers(details: ConnectionForm, groups: Sequence[GroupChoice]) -> list[InputBlock]:
    return people_inputs(
        "Approvers",
        ConnectBlock.APPROVERS,
        ConnectBlock.APPROVER_GROUPS,
        details.approvers,
        groups,
        hint="They approve new mappings and unusually large changes.",
        optional=False,
    )


def _self_approval(details: ConnectionForm) -> InputBlock:
    own = option("Let approvers approve their own requests", "yes")
    box = CheckboxesElement(
        action_id=ConnectBlock.SELF_APPROVAL, options=[own], initial_options=[own] if details.self_approval else None
    )
    return field_of("Self-approval", ConnectBlock.SELF_APPROVAL, box, optional=True)
