"""Modals over Socket Mode: filling in, submitting, every response_action, closing."""

from __future__ import annotations

from typing import Any

import pytest
from slack_bolt.async_app import AsyncAck, AsyncApp

from sandbox.slack import NotPossibleError, Slack
from tests.sandbox.slack.bolt import Opener, client_of, field, fresh_trigger, modal, option, section

TEXT = {"type": "plain_text_input"}


async def test_submission_carries_the_state_and_closes_the_modal(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """The app gets the typed text, and an empty acknowledgement closes the modal."""
    submitted: dict[str, Any] = {}

    @app.view("modal")
    async def take(ack: AsyncAck, view: dict[str, Any]) -> None:
        submitted.update(view)
        await ack()

    view = await opened(modal(field("name", TEXT), private_metadata="kept"))
    await slack.marketer.fill(view, {"name/value": "Spring <sale> & more"})
    outcome = await slack.marketer.submit()

    assert outcome.ok
    assert slack.marketer.views == []
    assert submitted["state"]["values"]["name"]["value"]["value"] == "Spring <sale> & more"
    assert submitted["private_metadata"] == "kept"


async def test_every_input_has_its_own_shape_of_state(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """Each kind of input has Slack's shape of state."""
    states: dict[str, Any] = {}

    @app.view("modal")
    async def take(ack: AsyncAck, view: dict[str, Any]) -> None:
        states.update({block: state["value"] for block, state in view["state"]["values"].items()})
        await ack()

    options = [option("One"), option("Two")]
    view = await opened(
        modal(
            field("menu", {"type": "static_select", "options": options}),
            field("several", {"type": "multi_static_select", "options": options}),
            field("radio", {"type": "radio_buttons", "options": options, "initial_option": options[0]}),
            field("checks", {"type": "checkboxes", "options": options}),
            field("person", {"type": "users_select"}),
            field("people", {"type": "multi_users_select"}),
            field("channel", {"type": "conversations_select"}),
            field("rate", {"type": "number_input", "is_decimal_allowed": False}),
            field("day", {"type": "datepicker"}),
            field("note", {"type": "plain_text_input"}, optional=True),
        )
    )
    await slack.marketer.fill(
        view,
        {
            "menu/value": "Two",
            "several/value": ["one", "two"],
            "checks/value": ["two"],
            "person/value": slack.approver,
            "people/value": [slack.approver.id, slack.operator.id],
            "channel/value": slack.channel("sync-alerts"),
            "rate/value": 20,
            "day/value": "2026-03-01",
        },
    )
    await slack.marketer.submit()

    assert states["menu"]["selected_option"]["value"] == "two"
    assert [each["value"] for each in states["several"]["selected_options"]] == ["one", "two"]
    assert states["radio"]["selected_option"]["value"] == "one"
    assert [each["value"] for each in states["checks"]["selected_options"]] == ["two"]
    assert states["person"]["selected_user"] == slack.approver.id
    assert states["people"]["selected_users"] == [slack.approver.id, slack.operator.id]
    assert states["channel"]["selected_conversation"] == "C01ALERTS"
    assert states["rate"]["value"] == "20"
    assert states["day"]["selected_date"] == "2026-03-01"
    assert states["note"]["value"] is None


async def test_required_input_is_checked_before_sending(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """An empty required input keeps the submission from the app."""
    await opened(modal(field("name", TEXT)))

    outcome = await slack.marketer.submit()

    assert outcome.errors.keys() == {"name"}
    assert not outcome.sent


async def test_errors_are_shown_at_their_inputs(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """response_action errors keeps the modal open, with the texts at their inputs."""

    @app.view("modal")
    async def take(ack: AsyncAck) -> None:
        await ack(response_action="errors", errors={"name": "That name is taken."})

    view = await opened(modal(field("name", TEXT)))
    await slack.marketer.fill(view, {"value": "x"})
    outcome = await slack.marketer.submit()

    assert outcome.errors == {"name": "That name is taken."}
    assert "! That name is taken." in slack.render(view)


async def test_errors_for_an_unknown_block_are_a_mistake(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """Errors for an unknown block are a fault of the app."""

    @app.view("modal")
    async def take(ack: AsyncAck) -> None:
        await ack(response_action="errors", errors={"nothing": "?"})

    view = await opened(modal(field("name", TEXT)))
    await slack.marketer.fill(view, {"value": "x"})
    outcome = await slack.marketer.submit()

    assert "no inputs" in outcome.error
    assert view.problem


async def test_update_changes_the_modal_in_place(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """response_action update replaces the content and keeps the id."""

    @app.view("modal")
    async def take(ack: AsyncAck) -> None:
        await ack(response_action="update", view=modal(section("Second step"), callback_id="second"))

    view = await opened(modal(section("First")))
    await slack.marketer.submit()

    assert slack.marketer.view is view
    assert view.callback_id == "second"


async def test_push_and_close_go_through_the_stack(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """A pushed modal has the id of the one below, which is shown again after it is closed."""

    @app.view("modal")
    async def take(ack: AsyncAck) -> None:
        await ack(response_action="push", view=modal(section("On top"), callback_id="top"))

    below = await opened(modal(section("Below")))
    await slack.marketer.submit()
    top = slack.marketer.view
    await slack.marketer.close()

    assert (top.previous_id, top.root_id) == (below.id, below.id)
    assert slack.marketer.views == [below]


async def test_clear_closes_everything(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """response_action clear closes all modals."""

    @app.view("modal")
    async def take(ack: AsyncAck) -> None:
        await ack(response_action="clear")

    await opened(modal(section("One")))
    await client_of(slack).views_push(trigger_id=fresh_trigger(slack), view=modal(section("Two")))
    await slack.marketer.submit()

    assert slack.marketer.views == []


async def test_invalid_view_in_an_acknowledgement(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """An invalid view in an acknowledgement leaves the modal open with an error."""

    @app.view("modal")
    async def take(ack: AsyncAck) -> None:
        await ack(response_action="update", view={"type": "modal", "blocks": []})

    view = await opened(modal(section("First")))
    outcome = await slack.marketer.submit()

    assert "invalid_arguments" in outcome.error
    assert view.problem


async def test_submission_without_acknowledgement_keeps_the_modal(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """A timeout is shown in the modal, and the typed text is kept."""
    view = await opened(modal(field("name", TEXT)))
    await slack.marketer.fill(view, {"value": "typed"})
    outcome = await slack.marketer.submit()

    assert outcome.error == "operation_timeout"
    assert slack.marketer.view.values["name"]["value"]["value"] == "typed"


async def test_closing_notifies_the_app(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """With notify_on_close the app gets view_closed; closing all modals names the root with is_cleared."""
    payload: dict[str, Any] = {}

    @app.view_closed("modal")
    async def closed(ack: AsyncAck, body: dict[str, Any]) -> None:
        payload.update(body)
        await ack()

    root = await opened(modal(section("Root"), notify_on_close=True))
    await client_of(slack).views_push(trigger_id=fresh_trigger(slack), view=modal(section("Top")))
    await slack.marketer.close(everything=True)

    assert payload["is_cleared"] is True
    assert payload["view"]["id"] == root.id


async def test_dispatching_input_sends_its_changes(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """An input with dispatch_action sends block_actions when it changes."""
    values: list[str] = []

    @app.action("value")
    async def changed(ack: AsyncAck, action: dict[str, Any]) -> None:
        values.append(action["selected_option"]["value"])
        await ack()

    menu = {"type": "static_select", "options": [option("US"), option("EU")]}
    view = await opened(modal(field("center", menu, dispatch_action=True)))
    await slack.marketer.fill(view, {"value": "eu"})

    assert values == ["eu"]


async def test_current_conversation_is_the_first_choice(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """default_to_current_conversation chooses the channel of the command."""
    element = {"type": "conversations_select", "default_to_current_conversation": True}
    view = await opened(modal(field("channel", element)))

    assert view.values["channel"]["value"]["selected_conversation"] == "C01MARKETING"


async def test_file_goes_into_a_modal(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """A file of a file_input has a download address."""
    state: dict[str, Any] = {}

    @app.view("modal")
    async def take(ack: AsyncAck, view: dict[str, Any]) -> None:
        state.update(view["state"]["values"]["file"]["value"])
        await ack()

    view = await opened(modal(field("file", {"type": "file_input", "filetypes": ["csv"], "max_files": 1})))
    await slack.marketer.fill(view, {"value": slack.marketer.file("vip.csv", b"email\n")})
    await slack.marketer.submit()

    assert state["files"][0]["name"] == "vip.csv"
    assert state["files"][0]["url_private_download"]


async def test_file_input_takes_ten_megabytes(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """A file_input refuses a file above 10 MB."""
    view = await opened(modal(field("file", {"type": "file_input"})))

    with pytest.raises(NotPossibleError, match="10 MB"):
        await slack.marketer.fill(view, {"value": slack.marketer.file("big.csv", b"x" * (10 * 1024**2 + 1))})
