"""A small bot that uses every part of the page, for the tests in a browser."""

from __future__ import annotations

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from tests.sandbox.slack.bolt import actions, button, field, modal, option, plain, section

LISTS = [option("Spring newsletter", "41"), option("Spring sale, VIP", "42"), option("Win-back 90 days", "43")]


def start_modal() -> dict[str, Any]:
    """Return a modal with every kind of input."""
    return modal(
        section("Make an Iterable list equal to an mParticle audience. Nothing is sent before you approve."),
        field(
            "mapping",
            {"type": "external_select", "min_query_length": 1, "placeholder": plain("Type a mapping’s name")},
            label=plain("Mapping"),
        ),
        field(
            "file",
            {"type": "file_input", "filetypes": ["csv", "parquet"], "max_files": 1},
            label=plain("Audience file"),
            optional=True,
            hint=plain("Up to 10 MB here; for larger ones use the message shortcut."),
        ),
        field(
            "mode",
            {
                "type": "radio_buttons",
                "options": [
                    option("Mirror", "mirror") | {"description": plain("Who left the audience leaves the list")},
                    option("Add only", "add") | {"description": plain("No one is removed")},
                ],
                "initial_option": option("Mirror", "mirror")
                | {"description": plain("Who left the audience leaves the list")},
            },
            label=plain("Mode"),
        ),
        field("center", {"type": "static_select", "options": [option("US"), option("EU")]}, label=plain("Data center")),
        field("approvers", {"type": "multi_users_select"}, label=plain("Approvers"), optional=True),
        field("channel", {"type": "conversations_select"}, label=plain("Channel for alerts"), optional=True),
        field(
            "rate",
            {"type": "number_input", "is_decimal_allowed": False, "initial_value": "20", "min_value": "1"},
            label=plain("Requests a second"),
        ),
        field("note", {"type": "plain_text_input", "multiline": True}, label=plain("Comment"), optional=True),
        field(
            "options",
            {"type": "checkboxes", "options": [option("Tell me when it is done", "tell")]},
            label=plain("Also"),
            optional=True,
        ),
        title=plain("Start a sync"),
        submit=plain("Preview"),
        close=plain("Cancel"),
        callback_id="start",
    )


def approval_blocks() -> list[dict[str, Any]]:
    """Return the blocks of a card that asks for approval."""
    return [
        {"type": "header", "text": plain("Sync wants approval: Spring sale, VIP")},
        section("<@U01MAYA> proposes to make the list equal to the audience *VIP buyers &amp; friends*."),
        {
            "type": "section",
            "fields": [
                {"type": "mrkdwn", "text": f"*{name}*\n{value}"}
                for name, value in (
                    ("Added", "1,204"),
                    ("Removed", "87 (3% of the list)"),
                    ("Unchanged", "2,713"),
                    ("Rejected", "12, without an email"),
                )
            ],
        },
        {
            "type": "context",
            "elements": [
                {"type": "mrkdwn", "text": ":warning: Joining a list can start journeys. About *2 minutes* at 20/s."}
            ],
        },
        actions(
            button("Review", "review", style="primary"),
            button(
                "Decline",
                "decline",
                style="danger",
                confirm={
                    "title": plain("Decline this sync?"),
                    "text": {"type": "mrkdwn", "text": "Nothing will be sent. *Maya* gets a message."},
                    "confirm": plain("Decline"),
                    "deny": plain("Go back"),
                    "style": "danger",
                },
            ),
            {
                "type": "overflow",
                "action_id": "more",
                "options": [option("Pause the mapping", "pause"), option("Show history", "history")],
            },
        ),
    ]


def gallery_blocks() -> list[dict[str, Any]]:
    """Return the blocks that only messages can have."""
    cell = [{"type": "raw_text", "text": "Reason"}, {"type": "raw_text", "text": "People"}]
    rows = [
        [{"type": "raw_text", "text": name}, {"type": "raw_number", "value": number, "text": str(number)}]
        for name, number in (("No email", 9), ("Malformed address", 2), ("Forgotten in Iterable", 1))
    ]
    details = {
        "type": "rich_text",
        "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "1,204 of 1,204 sent"}]}],
    }
    return [
        {
            "type": "plan",
            "title": "Sync of VIP buyers",
            "tasks": [
                {"task_id": "1", "title": "Read the audience", "status": "complete"},
                {"task_id": "2", "title": "Add people", "status": "in_progress", "details": details},
                {"task_id": "3", "title": "Remove people", "status": "pending"},
            ],
        },
        {"type": "table", "rows": [cell, *rows], "column_settings": [{"align": "left"}, {"align": "right"}]},
        {
            "type": "rich_text",
            "elements": [
                {
                    "type": "rich_text_list",
                    "style": "bullet",
                    "elements": [
                        {
                            "type": "rich_text_section",
                            "elements": [
                                {"type": "text", "text": "Bold", "style": {"bold": True}},
                                {"type": "text", "text": " and "},
                                {"type": "text", "text": "code", "style": {"code": True}},
                            ],
                        }
                    ],
                }
            ],
        },
        {
            "type": "data_visualization",
            "title": "List sizes",
            "chart": {
                "type": "line",
                "series": [
                    {"name": name, "data": [{"label": "Mon", "value": first}, {"label": "Tue", "value": second}]}
                    for name, first, second in (("VIP buyers", 4_700, 4_900), ("Win-back", 1_200, 800))
                ],
                "axis_config": {"categories": ["Mon", "Tue"]},
            },
        },
        {"type": "markdown", "text": "**Next steps**\n\n1. Ask for emails\n2. Run again"},
        {
            "type": "container",
            "title": plain("Details"),
            "subtitle": plain("Run 7f3a"),
            "is_collapsible": True,
            "child_blocks": [section("62 requests, 1 retry, `0.4 s` on average")],
        },
    ]


def home_view() -> dict[str, Any]:
    """Return a home tab."""
    return {
        "type": "home",
        "blocks": [
            {"type": "header", "text": plain("Connections")},
            section("*Production*, US. Key ends in `9f2c`. Healthy.", accessory=button("Edit", "edit")),
            {"type": "divider"},
            {"type": "header", "text": plain("Mappings")},
            section("*VIP buyers* → Spring sale, VIP\nLast run: 2 hours ago, 1,204 added, 87 removed"),
            actions(button("Run now", "run", style="primary"), button("History", "history"), block_id="home"),
            {
                "type": "card",
                "title": {"type": "mrkdwn", "text": "*Waiting for approval*"},
                "body": {"type": "mrkdwn", "text": "Win-back 90 days, proposed by <@U01MAYA>"},
                "actions": [button("Review", "review", style="primary")],
            },
        ],
    }


def register_story(app: AsyncApp) -> None:
    """Register all listeners on the app."""

    @app.command("/iterable-sync")
    async def command(ack: AsyncAck, body: dict[str, Any]) -> None:
        text = body["text"]
        if text == "status":
            await ack("No run in progress. Last one: *VIP buyers*, 2 hours ago.")
            return
        await ack()
        if text == "gallery":
            await app.client.chat_postMessage(channel=body["channel_id"], text="Progress", blocks=gallery_blocks())
        else:
            await app.client.views_open(trigger_id=body["trigger_id"], view=start_modal())

    @app.options("value")
    async def offer(ack: AsyncAck, payload: dict[str, Any]) -> None:
        typed = payload["value"].lower()
        await ack(options=[each for each in LISTS if typed in each["text"]["text"].lower()])

    @app.view("start")
    async def start(ack: AsyncAck, view: dict[str, Any]) -> None:
        mode = view["state"]["values"]["mode"]["value"]["selected_option"]["value"]
        if mode == "add":
            await ack(response_action="errors", errors={"mode": "This mapping was approved as a mirror."})
            return
        await ack()
        await app.client.chat_postMessage(channel="C01MARKETING", text="Approval", blocks=approval_blocks())

    @app.action("review")
    async def review(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        view = modal(
            {"type": "alert", "level": "warning", "text": plain("87 people leave the list: 3% of it.")},
            section("*1,204 added*, for example `a***@example.com`"),
            field("comment", {"type": "plain_text_input"}, label=plain("Comment"), optional=True),
            title=plain("Review"),
            submit=plain("Approve"),
            callback_id="review",
        )
        await app.client.views_open(trigger_id=body["trigger_id"], view=view)

    @app.view("review")
    async def approve(ack: AsyncAck) -> None:
        await ack()

    @app.action("decline")
    async def decline(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await app.client.chat_update(
            channel=body["channel"]["id"],
            ts=body["message"]["ts"],
            text="Declined",
            blocks=[section(f"Declined by <@{body['user']['id']}>.")],
        )

    @app.event("app_home_opened")
    async def home(event: dict[str, Any]) -> None:
        await app.client.views_publish(user_id=event["user"], view=home_view())

    @app.shortcut("sync-to-iterable")
    async def shortcut(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await app.client.views_open(trigger_id=body["trigger_id"], view=start_modal())
