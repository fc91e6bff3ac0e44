"""Files: three steps for an upload, one for a download."""

from __future__ import annotations

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError

from sandbox.slack import File, Slack, running
from tests.sandbox.slack.bolt import client_of


async def download(file: File, token: str | None) -> tuple[int, str, bytes]:
    """Download a file. Returns status, content type and content."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession() as session, session.get(file.url, headers=headers) as answer:
        return answer.status, answer.content_type, await answer.read()


async def test_upload_shares_a_file_in_a_thread(slack: Slack) -> None:
    """files_upload_v2 posts a message with the file in a thread."""
    client = client_of(slack)
    parent = await client.chat_postMessage(channel="C01MARKETING", text="Run 1")
    await client.files_upload_v2(
        content="email,reason\n",
        filename="rejected.csv",
        channel="C01MARKETING",
        thread_ts=parent["ts"],
        initial_comment="Rejected",
    )
    message = slack.messages("marketing")[-1]

    assert message.thread_ts == parent["ts"]
    assert message.text == "Rejected"
    assert message.files[0].content == b"email,reason\n"


async def test_upload_needs_membership(slack: Slack) -> None:
    """A file can't be shared in a channel that the bot has not joined."""
    with pytest.raises(SlackApiError, match="not_in_channel"):
        await client_of(slack).files_upload_v2(content="x", filename="x.csv", channel="C01GENERAL")


async def test_download_with_the_token(slack: Slack) -> None:
    """The bot's token downloads a file that a person uploaded."""
    message = await slack.marketer.upload_file("marketing", "vip.csv", b"a,b\n1,2\n")

    status, kind, content = await download(message.files[0], slack.bot_token)

    assert (status, kind, content) == (200, "text/csv", b"a,b\n1,2\n")


async def test_download_without_the_token_is_a_login_page(slack: Slack) -> None:
    """A download without a token is redirected to an HTML page with status 200."""
    message = await slack.marketer.upload_file("marketing", "vip.csv", b"a,b\n")

    status, kind, content = await download(message.files[0], None)

    assert (status, kind) == (200, "text/html")
    assert content.lower().startswith(b"<!doctype html")


async def test_download_without_the_scope_is_a_login_page() -> None:
    """A download with a token without files:read is redirected to the same page."""
    async with running(scopes=("chat:write",)) as slack:
        message = await slack.marketer.upload_file("marketing", "vip.csv", b"a,b\n")

        status, kind, _ = await download(message.files[0], slack.bot_token)

    assert (status, kind) == (200, "text/html")


async def test_file_in_a_private_channel_is_out_of_reach(slack: Slack) -> None:
    """files.info does not find a file of a private channel without the bot."""
    message = await slack.operator.upload_file("crm-leads", "secret.csv", b"a\n")

    with pytest.raises(SlackApiError, match="file_not_found"):
        await client_of(slack).files_info(file=message.files[0].id)


async def test_info_of_a_file(slack: Slack) -> None:
    """files.info returns the file's name, size and download address."""
    message = await slack.marketer.upload_file("marketing", "vip.csv", b"a,b\n")

    file = (await client_of(slack).files_info(file=message.files[0].id))["file"]

    assert (file["name"], file["size"], file["filetype"]) == ("vip.csv", 4, "csv")
    assert file["url_private_download"] == message.files[0].url


async def test_external_file(slack: Slack) -> None:
    """files.info returns the foreign address of an external file."""
    message = await slack.marketer.upload_file("marketing", "vip.csv", b"a,b\n")
    message.files[0].external_type, message.files[0].url = "gdrive", "https://drive.example/vip.csv"

    file = (await client_of(slack).files_info(file=message.files[0].id))["file"]

    assert (file["mode"], file["is_external"], file["external_type"]) == ("external", True, "gdrive")
    assert file["url_private"] == "https://drive.example/vip.csv"
