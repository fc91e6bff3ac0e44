"""The modals after a submission, and the messages for people who are not admins."""

from collections.abc import Mapping, Sequence
from typing import Any

from slack_sdk.models.blocks import Block

from bot.features.connect.form import ConnectionForm
from bot.features.ids import ConnectAction, MappingAction, RunAction
from bot.ui.blocks import Message, actions, button, context, modal, section, text_message
from bot.ui.formatting import escape, person, plural
from core.connections.manage import Connected
from core.connections.project_type import unknown_type
from core.store.connections import Connection

# The number of failed runs that get a Retry button after their key was replaced.
MOST_RETRIES = 5


def trying(title: str) -> dict[str, Any]:
    """Return the modal that is shown while Iterable checks a key."""
    text = "*Checking the key with Iterable…*"
    return modal(title, [section(text)])


def connect_failed(details: ConnectionForm, sentence: str) -> dict[str, Any]:
    """Return the modal after a failed connect: why (mrkdwn), and a button back to the form."""
    blocks = [
        section(f"*Not connected, and nothing was saved.* {sentence}"),
        actions(button("Try again", ConnectAction.AGAIN, style="primary")),
        context("Your entries are kept, except for the key: enter it again."),
    ]
    return modal("Not connected", blocks, metadata=details)


def edit_failed(details: ConnectionForm, sentence: str) -> dict[str, Any]:
    """Return the modal after a failed edit: why (mrkdwn), and a button back to the form."""
    blocks = [
        section(f"*Nothing was changed.* {sentence}"),
        actions(button("Try again", ConnectAction.AGAIN, style="primary")),
    ]
    return modal("Not saved", blocks, metadata=details)


def key_failed(connection_id: int, sentence: str) -> dict[str, Any]:
    """Return the modal after a failed replacement of a key: why (mrkdwn), and a button back to the form."""
    blocks = [
        section(f"*The key was not replaced.* {sentence}"),
        actions(button("Try again", ConnectAction.KEY_AGAIN, str(connection_id), style="primary")),
    ]
    return modal("Key not replaced", blocks)


def connected_sentence(connected: Connected) -> str:
    """Return the sentence (mrkdwn) after a project was connected."""
    key = escape(connected.connection.key_last4)
    kind = connected.connection.project_type
    project = f"a project that is {kind.label}, with" if kind else "a project with"
    return f"Connected: {project} {_lists(connected)} available, key …{key}."


def connected_view(connected: Connected) -> dict[str, Any]:
    """Return the modal after a project was connected, with the next step."""
    connection = connected.connection
    blocks: list[Block] = [
        section(f"*{connected_sentence(connected)}*"),
        *([section(f":warning: {escape(unknown_type(connection))}")] if connection.project_type is None else []),
        section(
            f"Next: map an audience to a list of *{escape(connection.name)}*. It starts once an approver signs off."
        ),
        actions(button("Map an audience", MappingAction.OPEN, str(connection.id), style="primary")),
        *_invite(connection),
    ]
    return modal("Connected", blocks)


def replaced_sentence(connected: Connected) -> str:
    """Return the sentence (mrkdwn) after a key was replaced."""
    connection = connected.connection
    return (
        f"Key replaced: {escape(connection.name)} now uses …{escape(connection.key_last4)}. Iterable accepts it "
        f"({_lists(connected)} available)."
    )


def replaced_view(connected: Connected, failed_runs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the modal after a key was replaced. `failed_runs` (run id, audience) get a Retry button each."""
    blocks: list[Block] = [section(f"*{replaced_sentence(connected)}*")]
    if failed_runs:
        them = plural(len(failed_runs), "sync", "syncs")
        blocks.append(section(f"{them} stopped because of the old key. *Retry now* resumes where it left off."))
        blocks += [
            section(
                f"*{escape(audience)}*",
                accessory=button("Retry now", RunAction.RETRY, run_id, label=f"Retry now: {audience}"),
            )
            for run_id, audience in failed_runs[:MOST_RETRIES]
        ]
    return modal("Key replaced", blocks)


def saved_view(name: str, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the modal after a connection was edited. `changed` are the new values by the name of the setting."""
    return modal("Saved", [section(saved_sentence(name, changed))])


def saved_sentence(name: str, changed: Mapping[str, Any]) -> str:
    """Return the sentences (mrkdwn) after a connection was edited: who decides now, and what else changed."""
    if not changed:
        return f"No changes to *{escape(name)}*."
    sentences = [f"Saved *{escape(name)}*."]
    if "approvers" in changed:
        sentences.append(f"Approvers: {', '.join(map(person, changed['approvers']))}.")
    if "operators" in changed:
        sentences.append(f"Operators: {', '.join(map(person, changed['operators'])) or 'everyone'}.")
    if others := [_SETTING_WORDS.get(each, each) for each in changed if each not in ("approvers", "operators")]:
        sentences.append(f"Changed: {', '.join(others)}.")
    return " ".join(sentences)


def admins_only(action: str) -> Message:
    """Return the message for a person who is no admin: who can do this."""
    text = (
        f"Only an admin or owner of this workspace can {action}. Ask one of them to type `/iterable-sync connect`, or "
        "to use the Home page of this app."
    )
    return text_message(text)


def ask_an_admin() -> Message:
    """Return the message for a person who is no admin if nothing is connected yet."""
    text = "No Iterable project is connected yet. An admin or owner of this workspace can connect one."
    ask = (
        "Ask one of them to type `/iterable-sync connect`. They need:\n"
        "• a server-side API key of the Iterable project, and whether it is in the US or the EU\n"
        "• who approves syncs (you can be one of them), and the alert channel"
    )
    return Message(f"{text} Ask one of them to type `/iterable-sync connect`.", [section(text), section(ask)])


_SETTING_WORDS = {
    "name": "name",
    "data_center": "data center",
    "user_id": "User ID",
    "project_type": "project type",
    "merge_profiles": "merging of profiles",
    "rate": "rate",
    "alert_channel": "alert channel",
    "self_approval": "self-approval",
}


def _lists(connected: Connected) -> str:
    return plural(sum(each.is_standard for each in connected.lists), "list")


def _invite(connection: Connection) -> list[Block]:
    if connection.alert_channel is None:
        return []
    return [
        context(
            f"Alerts go to <#{connection.alert_channel}>. If this app is not in that channel yet, type "
            "`/invite @iterable-sync` there."
        )
    ]
