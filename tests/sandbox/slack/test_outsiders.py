"""People who are not members of the workspace, as Slack shows them to an app."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.slack import Slack
from sandbox.slack.workspace import outsiders
from sandbox.slack.workspace.sample_workspaces import FIRST_TEAM
from tests.sandbox.slack.bolt import app_of, client_of, plain, serving


@pytest.mark.parametrize(
    ("person", "fields"),
    [
        (outsiders.GUEST, {"is_restricted": True, "is_ultra_restricted": False, "is_bot": False}),
        (outsiders.SINGLE_CHANNEL_GUEST, {"is_restricted": True, "is_ultra_restricted": True}),
        (outsiders.BOT, {"is_bot": True}),
        (outsiders.DEACTIVATED, {"deleted": True}),
        (outsiders.STRANGER, {"is_stranger": True, "team_id": outsiders.PARTNER_TEAM}),
    ],
)
async def test_users_info(slack: Slack, person: str, fields: dict[str, Any]) -> None:
    """users.info distinguishes guests, bots, deactivated people and people of other workspaces from members."""
    slack.add_outsiders()
    user = (await client_of(slack).users_info(user=person))["user"]
    assert {name: user[name] for name in fields} == fields


async def test_payloads_of_a_shared_channel(slack: Slack) -> None:
    """A click by a person of another workspace has the app's workspace as its team, and a submission has theirs."""
    slack.add_outsiders()
    app = app_of(slack)
    payloads: list[dict[str, Any]] = []

    @app.action("press")
    async def pressed(ack: Any, body: dict[str, Any], client: Any) -> None:
        await ack()
        payloads.append(body)
        view = {"type": "modal", "callback_id": "m", "title": plain("M"), "submit": plain("S"), "blocks": [BUTTON]}
        await client.views_open(trigger_id=body["trigger_id"], view=view)

    @app.view("m")
    async def submitted(ack: Any, body: dict[str, Any]) -> None:
        await ack()
        payloads.append(body)

    async with serving(app.web_app()) as url:
        slack.use_http(f"{url}/slack/events")
        await client_of(slack).chat_postMessage(channel=outsiders.SHARED_CHANNEL, text="Press", blocks=[BUTTON])
        pia = slack.person("pia")
        await pia.click(pia.messages(outsiders.SHARED_CHANNEL)[-1], "press")
        await pia.submit(await pia.open_view("m"))

    click, submission = payloads
    assert (click["team"]["id"], click["user"]["team_id"]) == (FIRST_TEAM, outsiders.PARTNER_TEAM)
    assert (submission["team"]["id"], submission["view"]["app_installed_team_id"]) == (
        outsiders.PARTNER_TEAM,
        FIRST_TEAM,
    )


BUTTON = {
    "type": "actions",
    "block_id": "b",
    "elements": [{"type": "button", "action_id": "press", "text": plain("Press")}],
}
