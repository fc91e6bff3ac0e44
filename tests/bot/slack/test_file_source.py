"""Downloading audience files from Slack: the bot's token goes only to Slack."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from yarl import URL

from bot.slack.clients import Clients
from bot.slack.file_source import SlackFiles, address_of, is_at_slack
from core.errors import InputError
from sandbox.slack import File, Slack
from tests.bot.slack.harness import TEAM, local_slack

REAL = "https://slack.com/api/"


@asynccontextmanager
async def foreign_server() -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """Run a server that is not Slack's, and yield its address and the headers of its requests."""
    headers: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        headers.append(dict(request.headers))
        return web.Response(text="email\np1@example.com\n", content_type="text/csv")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", headers
    finally:
        await runner.cleanup()


async def share_file(slack: Slack) -> File:
    """Share a file in a channel as Maya."""
    return (await slack.marketer.upload_file("marketing", "a.csv", b"email\np1@example.com\n")).files[0]


async def fetch(slack: Slack, file: File, folder: Path) -> Path:
    """Download the file as the bot."""
    files = SlackFiles(Clients(slack.api_url, slack.bot_token, None))
    return await files.fetch(address_of(TEAM, file.id), folder)


@pytest.mark.parametrize(
    ("attribute", "external_type", "sentence"),
    [
        ("url", "gdrive", "not stored in Slack"),
        ("url", "", "not stored in Slack"),
        ("moved_to", "", "sends its files from another address"),
    ],
    ids=["external file", "foreign address", "redirect"],
)
async def test_file_at_another_host(tmp_path: Path, attribute: str, external_type: str, sentence: str) -> None:
    """A file at another host is refused with what to do, and that host does not get the bot's token."""
    async with local_slack() as slack, foreign_server() as (url, headers):
        file = await share_file(slack)
        file.external_type = external_type
        setattr(file, attribute, f"{url}/a.csv")
        with pytest.raises(InputError, match=sentence):
            await fetch(slack, file, tmp_path)
    assert headers == []


async def test_without_the_scope(tmp_path: Path) -> None:
    """If the scope is missing, or Slack redirects to a login page, the error says to reinstall the app."""
    async with local_slack() as slack:
        file = await share_file(slack)
        file.moved_to = f"{slack.world.base_url}/login?redir=a"
        with pytest.raises(InputError, match="does not let the bot read files"):
            await fetch(slack, file, tmp_path)
        install = slack.world.installs[TEAM]
        install.scopes -= {"files:read"}
        with pytest.raises(InputError, match="does not let the bot read files"):
            await fetch(slack, file, tmp_path)


@pytest.mark.parametrize(
    ("url", "api_url", "expected"),
    [
        ("https://files.slack.com/files-pri/T1-F1/download/a.csv", REAL, True),
        ("https://slack.com/a.csv", REAL, True),
        ("http://files.slack.com/a.csv", REAL, False),
        ("https://files.slack.com:8443/a.csv", REAL, False),
        ("https://files.slack.com.example.com/a.csv", REAL, False),
        ("https://notslack.com/a.csv", REAL, False),
        ("https://slack.com@example.com/a.csv", REAL, False),
        ("https://drive.google.com/a.csv", REAL, False),
        ("file:///etc/passwd", REAL, False),
        ("", REAL, False),
        ("http://127.0.0.1:99/a.csv", "http://127.0.0.1:99/api/", True),
        ("http://127.0.0.1:98/a.csv", "http://127.0.0.1:99/api/", False),
        ("https://files.slack.com/a.csv", "http://127.0.0.1:99/api/", False),
    ],
)
def test_addresses(url: str, api_url: str, expected: bool) -> None:
    """Slack's hosts are the host of the Web API and, over HTTPS, those below slack.com."""
    assert is_at_slack(URL(url), api_url) is expected
