"""User groups and people by address, over the Web API."""

import pytest
from slack_sdk.errors import SlackApiError

from sandbox.slack import Slack, running
from tests.sandbox.slack.bolt import client_of

SCOPES = ("usergroups:read", "users:read", "users:read.email")


async def test_user_groups() -> None:
    """Both methods show the groups of the workspace; people and disabled groups only on request."""
    async with running(scopes=SCOPES) as slack:
        client = client_of(slack)
        plain = (await client.usergroups_list())["usergroups"]
        assert [(each["handle"], "users" in each, each["date_delete"]) for each in plain] == [
            ("crm", False, 0),
            ("crm-leads", False, 0),
        ]
        slack.world.user_groups["S01LEADS"].is_disabled = True
        (group,) = (await client.usergroups_list(include_users=True, include_count=True))["usergroups"]
        assert (group["users"], group["user_count"]) == (["U01AMIR", "U01OKSANA"], "2")
        assert len((await client.usergroups_list(include_disabled=True))["usergroups"]) == 2
        assert (await client.usergroups_users_list(usergroup="S01CRM"))["users"] == ["U01AMIR", "U01OKSANA"]
        assert (await client.usergroups_users_list(usergroup="S01LEADS"))["users"] == []
        with pytest.raises(SlackApiError) as refused:
            await client.usergroups_users_list(usergroup="S02BOOKS")
        assert refused.value.response["error"] == "no_such_subteam"


async def test_people_by_address() -> None:
    """users.lookupByEmail finds people of the own workspace, and no one else."""
    async with running(scopes=SCOPES) as slack:
        client = client_of(slack)
        assert (await client.users_lookupByEmail(email="Amir@example.com"))["user"]["id"] == "U01AMIR"
        with pytest.raises(SlackApiError) as refused:
            await client.users_lookupByEmail(email="noor@example.com")
        assert refused.value.response["error"] == "users_not_found"


async def test_scope_is_needed(slack: Slack) -> None:
    """Without the scope, Slack names the one that it needs."""
    with pytest.raises(SlackApiError) as refused:
        await client_of(slack).usergroups_list()
    assert (refused.value.response["error"], refused.value.response["needed"]) == ("missing_scope", "usergroups:read")
