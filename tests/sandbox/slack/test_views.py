"""views.open, push and update: triggers, hashes, external ids, stacks, limits."""

from __future__ import annotations

import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError

from sandbox.slack import Slack
from tests.sandbox.slack.bolt import Opener, client_of, field, fresh_trigger, modal, plain, section

TEXT = {"type": "plain_text_input"}


async def test_trigger_works_once(slack: Slack) -> None:
    """The second use of a trigger is exchanged_trigger_id."""
    trigger = fresh_trigger(slack)
    await client_of(slack).views_open(trigger_id=trigger, view=modal())

    with pytest.raises(SlackApiError, match="exchanged_trigger_id"):
        await client_of(slack).views_open(trigger_id=trigger, view=modal())


async def test_trigger_lasts_three_seconds(slack: Slack) -> None:
    """A trigger that is older than three seconds is expired_trigger_id."""
    trigger = fresh_trigger(slack)
    slack.advance(3.1)

    with pytest.raises(SlackApiError, match="expired_trigger_id"):
        await client_of(slack).views_open(trigger_id=trigger, view=modal())


async def test_update_keeps_typed_values(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """views.update keeps the value of an input with the same block_id and action_id, and drops others."""
    view = await opened(modal(field("kept", TEXT), field("lost", TEXT)))
    await slack.marketer.fill(view, {"kept/value": "a", "lost/value": "b"})
    await client_of(slack).views_update(
        view_id=view.id, view=modal(field("kept", TEXT), field("other", TEXT)), hash=view.hash
    )

    assert view.values["kept"]["value"]["value"] == "a"
    assert view.values["other"]["value"]["value"] is None
    assert "lost" not in view.values


async def test_stale_hash_is_refused(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """views.update with an old hash is hash_conflict."""
    view = await opened(modal())
    old = view.hash
    await client_of(slack).views_update(view_id=view.id, view=modal(section("New")), hash=old)

    with pytest.raises(SlackApiError, match="hash_conflict"):
        await client_of(slack).views_update(view_id=view.id, view=modal(), hash=old)


async def test_closed_view_is_not_found(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """A closed modal can't be updated."""
    view = await opened(modal())
    await slack.marketer.close()

    with pytest.raises(SlackApiError, match="not_found"):
        await client_of(slack).views_update(view_id=view.id, view=modal())


async def test_view_is_found_by_its_external_id(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """views.update finds an open modal by its external_id."""
    view = await opened(modal(external_id="run-1"))
    await client_of(slack).views_update(external_id="run-1", view=modal(section("New"), external_id="run-1"))

    assert "New" in slack.render(view)


async def test_external_id_is_unique(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """A second open view with the same external_id is refused."""
    await opened(modal(external_id="run-1"))
    other = slack.world.new_trigger(slack.approver.user).id

    with pytest.raises(SlackApiError, match="duplicate_external_id"):
        await client_of(slack).views_open(trigger_id=other, view=modal(external_id="run-1"))


async def test_input_needs_a_submit_button(slack: Slack) -> None:
    """A modal with an input and no submit button is refused with the place."""
    view = modal()
    del view["submit"]

    with pytest.raises(SlackApiError) as error:
        await client_of(slack).views_open(trigger_id=fresh_trigger(slack), view=view)

    assert error.value.response["error"] == "invalid_arguments"
    assert "[json-pointer:/view]" in error.value.response["response_metadata"]["messages"][0]


async def test_large_view_is_refused(slack: Slack) -> None:
    """A view of more than 250 kB is view_too_large."""
    blocks = [section("x" * 3000) for _ in range(90)]

    with pytest.raises(SlackApiError, match="view_too_large"):
        await client_of(slack).views_open(trigger_id=fresh_trigger(slack), view=modal(*blocks, title=plain("Large")))


async def test_fourth_view_is_too_many(slack: Slack, app: AsyncApp, opened: Opener) -> None:
    """At most three modals can be stacked."""
    await opened(modal(section("1")))
    client = client_of(slack)
    for text in ("2", "3"):
        await client.views_push(trigger_id=fresh_trigger(slack), view=modal(section(text)))

    with pytest.raises(SlackApiError, match="push_limit_reached"):
        await client.views_push(trigger_id=fresh_trigger(slack), view=modal(section("4")))
