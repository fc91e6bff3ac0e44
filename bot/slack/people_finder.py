"""Finds people in Slack by address, and user groups by handle: for people who are named outside of Slack."""

from collections.abc import Sequence
from functools import partial

from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.api_errors import ERRORS, classify
from bot.slack.clients import Clients
from bot.slack.user_groups import UserGroupDirectory
from core.connections.people_lookup import PeopleUnknownError
from core.engine import Engine
from core.errors import ValidationError


def register(engine: Engine, clients: Clients, groups: UserGroupDirectory) -> None:
    """Let an engine find people and user groups in Slack."""
    engine.people_finder = partial(find_people, clients, groups)


async def find_people(
    clients: Clients, groups: UserGroupDirectory, team_id: str | None, texts: Sequence[str]
) -> list[str]:
    """Return the id of each person (an email address) or user group (@handle) in a workspace.

    Raises ValidationError if there is none, and PeopleUnknownError if Slack does not say.
    """
    client = await clients.for_team(team_id)
    if client is None:
        raise ValidationError("The app is not installed in a workspace, so no one can be looked up there.")
    return [
        await (_group(client, groups, team_id, each) if each.startswith("@") else _person(client, each))
        for each in texts
    ]


async def _person(client: AsyncWebClient, address: str) -> str:
    """Ask users.lookupByEmail (scope users:read.email)."""
    try:
        return str((await client.users_lookupByEmail(email=address))["user"]["id"])
    except ERRORS as error:
        word = classify(error).word
        if word == "users_not_found":
            raise ValidationError("No one in the Slack workspace has one of the email addresses.") from error
        raise PeopleUnknownError(
            f"Slack does not look people up by their email address at the moment ({word}). If it is missing_scope, "
            "install the app again with manifest-usergroups.yml, or name people by their ids in Slack."
        ) from error


async def _group(client: AsyncWebClient, groups: UserGroupDirectory, team_id: str | None, handle: str) -> str:
    known = await groups.groups(client, team_id or "")
    ids = [each.id for each in known.values() if f"@{each.handle}".casefold() == handle.casefold()]
    if not ids:
        raise ValidationError(f"There is no user group {handle[:60]} in the Slack workspace.")
    return ids[0]
