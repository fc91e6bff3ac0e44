"""Audiences that are files in Slack: their addresses, and how they are fetched.

The address `slack-file:<team>/<file id>` is stored with the run; the file is downloaded by whoever plans it.
"""

from pathlib import Path

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.clients import Clients
from bot.slack.errors import word_of
from core.errors import InputError
from core.fetch import FetchError, name_of, save

#: The scheme of such an address.
SLACK_FILE = "slack-file"

_SILENCE_S = 60.0


def address_of(team_id: str, file_id: str) -> str:
    """The address of a file in a workspace."""
    return f"{SLACK_FILE}:{team_id}/{file_id}"


class SlackFiles:
    """Downloads files with the token of the workspace that they are in."""

    def __init__(self, clients: Clients) -> None:
        """Take the clients. No I/O."""
        self._clients = clients

    async def fetch(self, address: str, directory: Path) -> Path:
        """Download a file. Raises InputError where it can't be had, FetchError where it can't be had now."""
        team_id, _, file_id = address.removeprefix(f"{SLACK_FILE}:").partition("/")
        client = await self._clients.of(team_id)
        if client is None or client.token is None:
            raise InputError("The bot is not installed in the workspace that has the file. Install it there again.")
        try:
            file = (await client.files_info(file=file_id))["file"]
        except SlackApiError as error:
            word = word_of(error)
            if word in ("file_not_found", "file_deleted", "access_denied"):
                raise InputError(
                    "The file is not there any more, or the bot may not see it. Put it into Slack again, in a channel "
                    "that the bot is in."
                ) from error
            raise FetchError(f"Slack did not give the file ({word}). Retry in a moment.") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise FetchError("Slack could not be reached for the file. Retry in a moment.") from error
        path = directory / name_of(file.get("name") or file_id)
        return await _download(file["url_private_download"], client.token, path)


async def _download(url: str, token: str, path: Path) -> Path:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENCE_S)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, headers=headers) as response:
            if response.status != 200:
                raise FetchError(f"Slack did not give the file (it answers {response.status}). Retry in a moment.")
            # Without the scope files:read Slack answers 200 and a page to log in at.
            if response.content_type == "text/html":
                raise InputError("Slack does not let the bot read files. Install the app again, with its manifest.")
            return await save(response, path)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise FetchError("Slack could not be reached for the file. Retry in a moment.") from error
