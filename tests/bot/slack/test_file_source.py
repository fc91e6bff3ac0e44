"""Downloading audience files from Slack: the bot's token goes to Slack, and nowhere else."""

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
async def stranger() -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """A server that is not Slack's, and the headers of the requests that reach it."""
    seen: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(dict(request.headers))
        return web.Response(text="email\np1@example.com\n", content_type="text/csv")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


async def shared(slack: Slack) -> File:
    """A file that Maya has shared in a channel."""
    return (await slack.marketer.upload_file("marketing", "a.csv", b"email\np1@example.com\n")).files[0]


async def fetched(slack: Slack, file: File, folder: Path) -> Path:
    """The file, downloaded by the bot."""
    files = SlackFiles(Clients(slack.api_url, slack.bot_token, None))
    return await files.fetch(address_of(TEAM, file.id), folder)


async def test_external_file_is_refused(tmp_path: Path) -> None:
    """Of a file that is not in Slack, a sentence says what to do, and nobody gets the token."""
    async with local_slack() as slack, stranger() as (url, seen):
        file = await shared(slack)
        file.external_type, file.url = "gdrive", f"{url}/a.csv"
        with pytest.raises(InputError, match="not stored in Slack"):
            await fetched(slack, file, tmp_path)
    assert seen == []


async def test_address_that_is_not_slacks(tmp_path: Path) -> None:
    """Whatever Slack says about a file, the token is not sent to another host."""
    async with local_slack() as slack, stranger() as (url, seen):
        file = await shared(slack)
        file.url = f"{url}/a.csv"
        with pytest.raises(InputError, match="not stored in Slack"):
            await fetched(slack, file, tmp_path)
    assert seen == []


async def test_redirect_is_not_followed(tmp_path: Path) -> None:
    """A redirect of Slack's host leads nowhere."""
    async with local_slack() as slack, stranger() as (url, seen):
        file = await shared(slack)
        file.moved_to = f"{url}/a.csv"
        with pytest.raises(InputError, match="sends its files from another address"):
            await fetched(slack, file, tmp_path)
    assert seen == []


async def test_without_the_scope(tmp_path: Path) -> None:
    """If the bot may not read files, or is sent to a login page, a sentence says to install it again, at once."""
    async with local_slack() as slack:
        file = await shared(slack)
        file.moved_to = f"{slack.world.base_url}/login?redir=a"
        with pytest.raises(InputError, match="does not let the bot read files"):
            await fetched(slack, file, tmp_path)
        install = slack.world.installs[TEAM]
        install.scopes -= {"files:read"}
        with pytest.raises(InputError, match="does not let the bot read files"):
            await fetched(slack, file, tmp_path)


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
    """Slack's are the host of the Web API, and over HTTPS those below it."""
    assert is_at_slack(URL(url), api_url) is expected
