"""The modals of API tokens: the list, the form that creates one, and the token that is shown once. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from slack_sdk.models.blocks import Block, CheckboxesElement, PlainTextInputElement

from bot.features.ids import TokenAction, TokenBlock, TokenCallback
from bot.ui.blocks import actions, button, confirmation, context, field_of, modal, notice, option, section
from bot.ui.formatting import escape, moment, person
from bot.ui.modal_state import ViewInputs
from core.connections.api_tokens import NAME_MAX_LENGTH
from core.store.api_tokens import ApiToken, Scope

# Tokens that the modal lists: each takes two blocks of a hundred.
_MOST_LISTED = 45
_PERMITS = {
    Scope.READ: "See syncs, mappings and alerts, without any person's data",
    Scope.RUN: "Start, cancel and undo syncs, get rejected people, look people up",
    Scope.APPROVE: "Approve and decline syncs",
    Scope.ADMIN: "Change mappings, schedules and freezes, read the audit log",
}


@dataclass(frozen=True, slots=True)
class TokenForm:
    """The submitted form."""

    name: str
    scopes: frozenset[Scope]

    @classmethod
    def read(cls, view: Mapping[str, Any]) -> Self:
        """Read the submitted form."""
        inputs = ViewInputs(view)
        return cls(inputs.text(TokenBlock.NAME), frozenset(map(Scope, inputs.choices(TokenBlock.SCOPES))))


def token_list(tokens: Sequence[ApiToken], note: str = "") -> dict[str, Any]:
    """Return the list of a workspace's tokens. `note` (mrkdwn) says what became of a change."""
    blocks: list[Block] = [section(note)] if note else []
    blocks.append(context("Programs use the HTTP API with a token. A token sees what this workspace sees."))
    for token in tokens[:_MOST_LISTED]:
        blocks += [section(_described(token)), actions(_revoke(token))]
    if not tokens:
        blocks.append(section("No tokens yet."))
    if len(tokens) > _MOST_LISTED:
        blocks.append(context(f"The first {_MOST_LISTED} of {len(tokens)}. `iterable-sync tokens list` shows all."))
    blocks.append(actions(button("Create a token", TokenAction.ADD, style="primary")))
    return modal("API tokens", blocks, callback=TokenCallback.LIST)


def _described(token: ApiToken) -> str:
    used = "never used" if token.last_used_at is None else f"last used {moment(token.last_used_at)}"
    return (
        f"*{escape(token.name)}*: {', '.join(_in_order(token.scopes))}\n"
        f"Ends with `{token.last4}`, {used}. Created by {person(token.created_by)}, {moment(token.created_at)}."
    )


def _in_order(scopes: frozenset[Scope]) -> list[str]:
    return [scope.value for scope in Scope if scope in scopes]


def _revoke(token: ApiToken) -> Any:
    question = confirmation(
        "Revoke the token?", f"Requests with {escape(token.name)} are refused immediately.", "Revoke", "Keep it"
    )
    label = f"Revoke the token {token.name}"
    return button("Revoke", TokenAction.REVOKE, str(token.id), style="danger", confirm=question, label=label)


def token_form() -> dict[str, Any]:
    """Return the form that creates a token."""
    name = PlainTextInputElement(action_id=TokenBlock.NAME, max_length=NAME_MAX_LENGTH)
    scopes = [option(scope.value.capitalize(), scope.value, text) for scope, text in _PERMITS.items()]
    boxes = CheckboxesElement(action_id=TokenBlock.SCOPES, options=scopes)
    return modal(
        "Create a token",
        [
            field_of("Name", TokenBlock.NAME, name, hint="What uses the token. The audit log shows the name."),
            field_of("Scopes", TokenBlock.SCOPES, boxes, hint="Give a token only the scopes that it needs."),
        ],
        callback=TokenCallback.CREATE,
        submit="Create",
        close="Cancel",
    )


def created(token: ApiToken, secret: str) -> dict[str, Any]:
    """Return the modal that shows a new token, once."""
    blocks: list[Block] = [
        section(f":white_check_mark: *{escape(token.name)}* permits: {', '.join(_in_order(token.scopes))}."),
        section(f"```{secret}```"),
        section("Copy the token now, and store it with the secrets of your program. It is not shown again."),
    ]
    return modal("Copy the token", blocks, close="Done")


def not_shown(token: ApiToken) -> str:
    """Return what a person reads if Slack does not show a new token (mrkdwn). The token is in no message."""
    return (
        f"The API token *{escape(token.name)}* was created, but Slack did not show it. Revoke it (*API tokens* on the "
        "Home page), and create another."
    )


def revoked(token: ApiToken) -> str:
    """Return that a token was revoked (mrkdwn)."""
    return f":white_check_mark: Revoked *{escape(token.name)}*. Requests with it are refused."


def working() -> dict[str, Any]:
    """Return the modal that is shown while a token is created."""
    return notice("Create a token", "Saving…")


def failed(sentence: str) -> dict[str, Any]:
    """Return the modal after an error (mrkdwn)."""
    return notice("Not created", sentence)
