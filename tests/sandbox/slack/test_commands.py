"""Slash commands over Socket Mode."""

from __future__ import annotations

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from sandbox.slack import Slack


async def test_acknowledgement_text_is_shown_to_the_person_only(slack: Slack, app: AsyncApp) -> None:
    """The text of an acknowledgement is an ephemeral message."""

    @app.command("/iterable-sync")
    async def handle(ack: AsyncAck, command: dict[str, Any]) -> None:
        await ack(f"You said {command['text']}")

    outcome = await slack.marketer.command("/iterable-sync  status ")

    assert outcome.ok
    assert outcome.message is not None
    assert outcome.message.text == "You said status"
    assert outcome.message in slack.marketer.messages("marketing")
    assert outcome.message not in slack.approver.messages("marketing")


async def test_payload_has_what_slack_sends(slack: Slack, app: AsyncApp) -> None:
    """The payload of a command has the team, channel, person, command and response URL."""
    payload: dict[str, Any] = {}

    @app.command("/iterable-sync")
    async def handle(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        payload.update(body)

    await slack.operator.command("/iterable-sync help", channel="sync-alerts")

    assert payload["user_id"] == slack.operator.id
    assert payload["channel_name"] == "sync-alerts"
    assert payload["is_enterprise_install"] == "false"
    assert payload["response_url"].startswith("http://127.0.0.1:")
    assert payload["trigger_id"]


async def test_missing_acknowledgement_times_out(slack: Slack, app: AsyncApp) -> None:
    """If a listener never acknowledges, the person sees operation_timeout."""

    @app.command("/iterable-sync")
    async def handle() -> None:
        """Say nothing."""

    outcome = await slack.marketer.command("/iterable-sync")

    assert outcome.error == "operation_timeout"
    assert "operation_timeout" in slack.marketer.messages("marketing")[-1].text


async def test_without_a_connection_the_command_fails_at_once(slack: Slack) -> None:
    """Without a connection, a command fails with dispatch_failed."""
    outcome = await slack.marketer.command("/iterable-sync")

    assert outcome.error == "dispatch_failed"


async def test_unknown_command_never_reaches_the_app(slack: Slack, app: AsyncApp) -> None:
    """Slack refuses a command that is not in the manifest."""
    outcome = await slack.marketer.command("/nonsense")

    assert not outcome.sent
    assert "not a command" in outcome.shown


async def test_commands_do_not_work_in_threads(slack: Slack, app: AsyncApp) -> None:
    """A command that is typed in a thread is refused."""
    parent = await slack.marketer.say("hello", "marketing")

    outcome = await slack.marketer.command("/iterable-sync", thread=parent)

    assert not outcome.sent


async def test_in_channel_answer_shows_the_command_too(slack: Slack, app: AsyncApp) -> None:
    """An in_channel answer shows the command to everyone."""

    @app.command("/iterable-sync")
    async def handle(ack: AsyncAck) -> None:
        await ack(text="3 runs", response_type="in_channel")

    await slack.marketer.command("/iterable-sync status")

    assert [each.text for each in slack.approver.messages("marketing")] == ["/iterable-sync status", "3 runs"]


async def test_response_url_takes_five_posts(slack: Slack, app: AsyncApp) -> None:
    """A response URL refuses the sixth answer."""
    statuses: list[int] = []

    @app.command("/iterable-sync")
    async def handle(ack: AsyncAck, respond: AsyncRespond) -> None:
        await ack()
        for number in range(6):
            answer = await respond(f"part {number}")
            statuses.append(answer.status_code)
        slack.world.changed()

    await slack.marketer.command("/iterable-sync")
    await slack.wait_for(lambda: len(statuses) == 6)

    assert statuses == [200] * 5 + [404]


async def test_response_url_ends_after_half_an_hour(slack: Slack, app: AsyncApp) -> None:
    """A response URL that is 31 minutes old is refused."""
    responds: list[AsyncRespond] = []

    @app.command("/iterable-sync")
    async def handle(ack: AsyncAck, respond: AsyncRespond) -> None:
        await ack()
        responds.append(respond)

    await slack.marketer.command("/iterable-sync")
    slack.advance(31 * 60)
    answer = await responds[0]("late")

    assert answer.status_code == 404
