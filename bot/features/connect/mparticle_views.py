"""The modals for access to mParticle's audiences."""

from typing import Any

from slack_sdk.models.blocks import Block, InputBlock, PlainTextInputElement, StaticSelectElement

from bot.features.connect.mparticle_form import MParticleForm
from bot.features.ids import ConnectAction, ConnectBlock, ConnectCallback, MappingAction
from bot.ui.blocks import actions, button, confirmation, context, field_of, modal, notice, option, section
from bot.ui.formatting import escape, plural
from core.connections.mparticle import MParticleConnected
from core.mparticle.models import Pod
from core.store.connections import Connection

TITLE = "mParticle audiences"


def mparticle_form(details: MParticleForm, connection: Connection) -> dict[str, Any]:
    """Return the form, filled with `details`. It never contains a secret."""
    intro = (
        f"Lets people choose mParticle audiences by name for *{escape(connection.name)}*, and shows their size. "
        "It only reads: nothing changes in mParticle."
    )
    blocks: list[Block] = [section(intro)]
    if details.is_saved:
        blocks.append(context("Access is set up already. Saving replaces it."))
    blocks += [
        _text(
            "Account ID",
            ConnectBlock.MPARTICLE_ACCOUNT,
            "A number. mParticle shows it with the credentials.",
            details.account_id,
        ),
        _pod(details),
        _text(
            "Client ID",
            ConnectBlock.MPARTICLE_CLIENT,
            "In mParticle: Settings > API Credentials, with access to the Platform API.",
            details.client_id,
        ),
        _text("Client secret", ConnectBlock.MPARTICLE_SECRET, "mParticle shows it once. It is stored encrypted."),
    ]
    if details.is_saved:
        blocks.append(actions(_remove(connection)))
    return modal(TITLE, blocks, callback=ConnectCallback.MPARTICLE, submit="Save", close="Cancel", metadata=details)


def trying() -> dict[str, Any]:
    """Return the modal that is shown while mParticle is asked."""
    return notice(TITLE, "*Trying the client ID and its secret…* mParticle is asked for its audiences.")


def failed(details: MParticleForm, sentence: str) -> dict[str, Any]:
    """Return the modal after an error: why (mrkdwn), and a button back to the form."""
    blocks = [
        section(f"*Nothing was saved.* {sentence}"),
        actions(button("Try again", ConnectAction.MPARTICLE_AGAIN, style="primary")),
        context("Your entries are kept, except for the secret: enter it again."),
    ]
    return modal("Not saved", blocks, metadata=details)


def saved_sentence(connection: Connection, connected: MParticleConnected) -> str:
    """Return the sentence (mrkdwn) after access was saved."""
    number = plural(len(connected.audiences), "active audience")
    return f"Saved: *{escape(connection.name)}* reads {number} of mParticle account {connected.account.account_id}."


def saved(connection: Connection, connected: MParticleConnected) -> dict[str, Any]:
    """Return the modal after access was saved, with the next step."""
    blocks = [
        section(saved_sentence(connection, connected)),
        actions(button("Map an audience", MappingAction.OPEN, str(connection.id), style="primary")),
    ]
    return modal(TITLE, blocks)


def removed(connection: Connection) -> dict[str, Any]:
    """Return the modal after access was deleted."""
    return notice(TITLE, removed_sentence(connection))


def removed_sentence(connection: Connection) -> str:
    """Return the sentence (mrkdwn) after access was deleted."""
    return f"*{escape(connection.name)}* no longer reads mParticle's audiences. Its mappings stay as they are."


def _text(label: str, block: ConnectBlock, hint: str, value: str = "") -> InputBlock:
    element = PlainTextInputElement(action_id=block, initial_value=value or None, max_length=500)
    return field_of(label, block, element, hint=hint)


def _pod(details: MParticleForm) -> InputBlock:
    options = {pod: option(pod.label, pod.value) for pod in Pod}
    element = StaticSelectElement(
        action_id=ConnectBlock.MPARTICLE_POD, options=list(options.values()), initial_option=options[details.pod]
    )
    hint = "Where mParticle keeps the account. The address of mParticle in your browser names it."
    return field_of("Pod", ConnectBlock.MPARTICLE_POD, element, hint=hint)


def _remove(connection: Connection) -> Any:
    question = confirmation(
        "Delete the access?",
        "The client ID and its secret are deleted here. Mappings and syncs stay as they are.",
        "Delete",
        "Keep",
    )
    return button(
        "Delete the access",
        ConnectAction.MPARTICLE_REMOVE,
        str(connection.id),
        style="danger",
        confirm=question,
        label=f"Delete the access of {connection.name} to mParticle",
    )
