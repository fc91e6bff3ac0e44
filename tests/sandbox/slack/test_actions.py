"""Buttons, menus, external selects and shortcuts over Socket Mode."""

from __future__ import annotations

from typing import Any

import pytest
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from sandbox.slack import Message, NotPossibleError, Slack
from tests.sandbox.slack.bolt import actions, button, client_of, field, modal, option, plain, section


async def post(slack: Slack, *blocks: dict[str, Any], channel: str = "C01MARKETING") -> Message:
    """Post a message as the bot, and return it."""
    answer = await client_of(slack).chat_postMessage(channel=channel, text="A message", blocks=list(blocks))
    message = slack.world.message(answer["channel"], answer["ts"])
    assert message is not None
    return message


async def test_button_in_a_message(slack: Slack, app: AsyncApp) -> None:
    """A click sends the button's value, the message and a trigger."""
    payload: dict[str, Any] = {}

    @app.action("approve")
    async def handle(ack: AsyncAck, body: dict[str, Any]) -> None:
        payload.update(body)
        await ack()

    message = await post(slack, actions(button("Approve", "approve", value="run-1")))
    outcome = await slack.approver.click(message, "approve")

    assert outcome.ok
    assert payload["actions"][0]["value"] == "run-1"
    assert payload["container"]["message_ts"] == message.ts
    assert payload["user"]["id"] == slack.approver.id
    assert payload["trigger_id"]


async def test_value_distinguishes_buttons(slack: Slack, app: AsyncApp) -> None:
    """The value distinguishes two buttons with the same action_id in different blocks."""
    values: list[str] = []

    @app.action("retry")
    async def handle(ack: AsyncAck, action: dict[str, Any]) -> None:
        values.append(action["value"])
        await ack()

    message = await post(
        slack,
        actions(button("One", "retry", value="1"), block_id="one"),
        actions(button("Two", "retry", value="2"), block_id="two"),
    )
    await slack.marketer.click(message, "retry", value="2")

    assert values == ["2"]


async def test_declined_confirmation_sends_nothing(slack: Slack, app: AsyncApp) -> None:
    """A declined confirmation sends no action."""
    confirm = {
        "title": plain("Cancel?"),
        "text": {"type": "mrkdwn", "text": "Sure?"},
        "confirm": plain("Yes"),
        "deny": plain("No"),
    }
    message = await post(slack, actions(button("Cancel", "cancel", confirm=confirm)))

    outcome = await slack.marketer.click(message, "cancel", confirm=False)

    assert not outcome.sent
    assert not slack.delivery.record


async def test_menu_in_a_message_sends_the_option(slack: Slack, app: AsyncApp) -> None:
    """A choice in a static_select is in selected_option and in the state."""
    payload: dict[str, Any] = {}

    @app.action("mode")
    async def handle(ack: AsyncAck, body: dict[str, Any]) -> None:
        payload.update(body)
        await ack()

    menu = {"type": "static_select", "action_id": "mode", "options": [option("Mirror"), option("Delta")]}
    message = await post(slack, section("Mode", block_id="b", accessory=menu))
    await slack.marketer.click(message, "mode", "delta")

    assert payload["actions"][0]["selected_option"]["value"] == "delta"
    assert payload["state"]["values"]["b"]["mode"]["selected_option"]["value"] == "delta"


async def test_action_without_listener_times_out(slack: Slack, app: AsyncApp) -> None:
    """An action without a listener gets no acknowledgement, and the person sees an error."""
    message = await post(slack, actions(button("Lost", "lost")))

    outcome = await slack.marketer.click(message, "lost")

    assert outcome.error == "operation_timeout"
    assert "3 seconds" in outcome.shown


async def test_response_url_replaces_the_message(slack: Slack, app: AsyncApp) -> None:
    """replace_original replaces the content of the clicked message."""

    @app.action("approve")
    async def handle(ack: AsyncAck, respond: AsyncRespond) -> None:
        await ack()
        await respond("Approved by Amir", replace_original=True)

    message = await post(slack, actions(button("Approve", "approve")))
    await slack.approver.click(message, "approve")

    await slack.wait_for(lambda: slack.render(message) == "Approved by Amir")


async def test_response_url_deletes_the_message(slack: Slack, app: AsyncApp) -> None:
    """delete_original deletes the clicked message."""

    @app.action("dismiss")
    async def handle(ack: AsyncAck, respond: AsyncRespond) -> None:
        await ack()
        await respond(delete_original=True)

    message = await post(slack, actions(button("Dismiss", "dismiss")))
    await slack.marketer.click(message, "dismiss")

    await slack.wait_for(lambda: message not in slack.messages("marketing"))


async def test_deleted_message_can_not_be_clicked(slack: Slack, app: AsyncApp) -> None:
    """A button of a deleted message can't be clicked."""
    message = await post(slack, actions(button("Gone", "gone")))
    await client_of(slack).chat_delete(channel=message.channel.id, ts=message.ts)

    with pytest.raises(NotPossibleError, match="not on the screen"):
        await slack.marketer.click(message, "gone")


async def test_external_select_offers_the_apps_options(slack: Slack, app: AsyncApp) -> None:
    """An external_select asks the app after enough letters, and the submission has the choice."""
    typed: list[str] = []
    submitted: dict[str, Any] = {}

    @app.options("list")
    async def offer(ack: AsyncAck, payload: dict[str, Any]) -> None:
        typed.append(payload["value"])
        await ack(options=[option("Newsletter", "42"), option("News flash", "43")])

    @app.command("/iterable-sync")
    async def handle(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        select = {"type": "external_select", "action_id": "list", "min_query_length": 2}
        await app.client.views_open(trigger_id=body["trigger_id"], view=modal(field("list", select)))

    @app.view("modal")
    async def take(ack: AsyncAck, view: dict[str, Any]) -> None:
        submitted.update(view["state"]["values"])
        await ack()

    maya = slack.marketer
    await maya.command("/iterable-sync")
    view = await maya.open_view()
    nothing = await maya.suggest(view, "list", "n")
    offered = await maya.suggest(view, "list", "new")
    await maya.fill(view, {"list": "42"})
    await maya.submit()

    assert nothing == []
    assert [each["text"]["text"] for each in offered] == ["Newsletter", "News flash"]
    assert typed == ["new"]
    assert submitted["list"]["list"]["selected_option"]["value"] == "42"


async def test_options_that_slack_refuses_are_an_error(slack: Slack, app: AsyncApp) -> None:
    """An option with more than 75 characters is an error."""

    @app.options("list")
    async def offer(ack: AsyncAck) -> None:
        await ack(options=[option("x" * 76, "1")])

    menu = {"type": "external_select", "action_id": "list", "min_query_length": 0}
    message = await post(slack, actions(menu))

    with pytest.raises(NotPossibleError, match="less than 76"):
        await slack.marketer.suggest(message, "list", "")


async def test_message_shortcut_carries_the_message_and_its_files(slack: Slack, app: AsyncApp) -> None:
    """A message shortcut sends the message with its files."""
    payload: dict[str, Any] = {}

    @app.shortcut("sync-to-iterable")
    async def handle(ack: AsyncAck, shortcut: dict[str, Any]) -> None:
        payload.update(shortcut)
        await ack()

    message = await slack.marketer.upload_file("marketing", "vip.csv", b"a,b\n")
    outcome = await slack.marketer.shortcut("sync-to-iterable", message)

    assert outcome.ok
    assert payload["type"] == "message_action"
    assert payload["message"]["files"][0]["name"] == "vip.csv"
    assert payload["channel"]["id"] == "C01MARKETING"


async def test_unknown_shortcut_is_not_in_the_menu(slack: Slack, app: AsyncApp) -> None:
    """A shortcut that is not in the manifest can't be used."""
    with pytest.raises(NotPossibleError, match="no global shortcut"):
        await slack.marketer.shortcut("nothing")
