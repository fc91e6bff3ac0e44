"""Messages over the Web API: channels, updates and contents."""

from __future__ import annotations

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError

from sandbox.slack import Slack, running
from tests.sandbox.slack.bolt import client_of, section


async def test_message_appears_in_its_channel(slack: Slack) -> None:
    """chat.postMessage answers with ok, channel, ts and message."""
    answer = await client_of(slack).chat_postMessage(channel="C01MARKETING", text="Hello")

    assert [each.ts for each in slack.messages("marketing")] == [answer["ts"]]
    assert answer["message"]["text"] == "Hello"
    assert answer["channel"] == "C01MARKETING"


async def test_message_to_a_person_opens_the_direct_message(slack: Slack) -> None:
    """A user id as channel is answered with the id of the direct message."""
    answer = await client_of(slack).chat_postMessage(channel=slack.marketer.id, text="For you")

    assert answer["channel"] == slack.marketer.direct_message.id
    assert answer["channel"].startswith("D")


@pytest.mark.parametrize(
    ("channel", "error"),
    [
        ("C0NOWHERE", "channel_not_found"),
        ("C01CRM", "channel_not_found"),
        ("C02CAMPAIGNS", "channel_not_found"),
        ("C01GENERAL", "not_in_channel"),
        ("C01OLD", "is_archived"),
    ],
)
async def test_places_where_the_bot_can_not_post(slack: Slack, channel: str, error: str) -> None:
    """Unknown, private, foreign, unjoined and archived channels have their errors."""
    with pytest.raises(SlackApiError) as refused:
        await client_of(slack).chat_postMessage(channel=channel, text="Hello")

    assert refused.value.response["error"] == error


async def test_invited_bot_may_post(slack: Slack) -> None:
    """After /invite the bot can post in the channel."""
    await slack.marketer.command("/invite @iterable-sync", channel="general")

    answer = await client_of(slack).chat_postMessage(channel="C01GENERAL", text="Hello")

    assert answer["ok"]


async def test_public_scope_needs_no_invitation() -> None:
    """chat:write.public lets the bot post in public channels that it has not joined."""
    async with running(scopes=("chat:write", "chat:write.public")) as slack:
        answer = await client_of(slack).chat_postMessage(channel="C01GENERAL", text="Hello")

    assert answer["ok"]


async def test_reply_goes_to_the_thread_of_its_first_message(slack: Slack) -> None:
    """Replies belong to their thread, even if they name a reply."""
    client = client_of(slack)
    parent = await client.chat_postMessage(channel="C01MARKETING", text="Parent")
    reply = await client.chat_postMessage(channel="C01MARKETING", text="One", thread_ts=parent["ts"])
    await client.chat_postMessage(channel="C01MARKETING", text="Two", thread_ts=reply["ts"])

    first = slack.messages("marketing")[0]
    assert [each.text for each in slack.messages("marketing", thread=first)] == ["Parent", "One", "Two"]


async def test_update_without_blocks_removes_them(slack: Slack) -> None:
    """chat.update with text alone removes the blocks."""
    client = client_of(slack)
    posted = await client.chat_postMessage(channel="C01MARKETING", text="x", blocks=[section("Block")])
    await client.chat_update(channel="C01MARKETING", ts=posted["ts"], text="Only text")

    assert slack.messages("marketing")[0].blocks == []
    assert slack.render(slack.messages("marketing")[0]) == "Only text"


async def test_update_needs_a_channel_id_and_an_own_message(slack: Slack) -> None:
    """Updating a person's message is cant_update_message, and a missing one message_not_found."""
    client = client_of(slack)
    message = await slack.marketer.say("Mine", "marketing")

    with pytest.raises(SlackApiError, match="cant_update_message"):
        await client.chat_update(channel="C01MARKETING", ts=message.ts, text="Yours")
    with pytest.raises(SlackApiError, match="message_not_found"):
        await client.chat_update(channel="C01MARKETING", ts="1.000001", text="Unknown")
    with pytest.raises(SlackApiError, match="channel_not_found"):
        await client.chat_update(channel=slack.marketer.id, ts=message.ts, text="Wrong id")


async def test_long_text_is_cut_when_posted_and_refused_when_updated(slack: Slack) -> None:
    """A new message is cut after 40,000 characters, and a longer update is msg_too_long."""
    client = client_of(slack)
    posted = await client.chat_postMessage(channel="C01MARKETING", text="x" * 40_001)

    assert len(slack.messages("marketing")[0].text) == 40_000
    with pytest.raises(SlackApiError, match="msg_too_long"):
        await client.chat_update(channel="C01MARKETING", ts=posted["ts"], text="x" * 40_001)


async def test_message_needs_content(slack: Slack) -> None:
    """A message without text and blocks is no_text."""
    with pytest.raises(SlackApiError, match="no_text"):
        await client_of(slack).api_call("chat.postMessage", json={"channel": "C01MARKETING"})


async def test_ephemeral_message_is_for_one_person(slack: Slack) -> None:
    """chat.postEphemeral shows a message to its reader, who must be a member of the channel."""
    client = client_of(slack)
    await client.chat_postEphemeral(channel="C01MARKETING", user=slack.marketer.id, text="Psst")

    assert [each.text for each in slack.marketer.messages("marketing")] == ["Psst"]
    assert slack.approver.messages("marketing") == []
    with pytest.raises(SlackApiError, match="user_not_in_channel"):
        await client.chat_postEphemeral(channel="C01MARKETING", user="U02NOOR", text="Psst")


async def test_permalink_leads_to_the_page(slack: Slack) -> None:
    """A message's permalink redirects to the message on the page."""
    client = client_of(slack)
    posted = await client.chat_postMessage(channel="C01MARKETING", text="Hello")
    link = (await client.chat_getPermalink(channel="C01MARKETING", message_ts=posted["ts"]))["permalink"]

    async with aiohttp.ClientSession() as session, session.get(link, allow_redirects=False) as answer:
        assert answer.headers["Location"] == f"/#C01MARKETING/{posted['ts']}"


async def test_conversations_and_people_are_listed_in_pages(slack: Slack) -> None:
    """conversations.list and users.list have cursors, and private channels need membership."""
    client = client_of(slack)
    first = await client.conversations_list(limit=2, exclude_archived=True)
    rest = await client.conversations_list(
        limit=2, exclude_archived=True, cursor=first["response_metadata"]["next_cursor"]
    )
    names = [each["name"] for each in [*first["channels"], *rest["channels"]]]
    people = await client.users_list()

    assert names == ["marketing", "sync-alerts", "general"]
    assert {"maya", "amir", "oksana", "ada", "iterable-sync"} == {each["name"] for each in people["members"]}


async def test_people_and_conversations_by_id(slack: Slack) -> None:
    """users.info says who is an admin, and the conversations methods know direct messages."""
    client = client_of(slack)
    user = (await client.users_info(user=slack.admin.id))["user"]
    opened = (await client.conversations_open(users=slack.admin.id))["channel"]
    channel = (await client.conversations_info(channel="C01MARKETING"))["channel"]
    members = (await client.conversations_members(channel="C01MARKETING"))["members"]

    assert (user["is_admin"], user["profile"].get("email")) == (True, None)
    assert opened["id"] == slack.admin.direct_message.id
    assert channel["is_member"] is True
    assert slack.marketer.id in members
