"""User groups: usergroups.list and usergroups.users.list (both docs.slack.dev/reference/methods/..., scope
usergroups:read)."""

from __future__ import annotations

from sandbox.slack.errors import SlackError
from sandbox.slack.web_api.request import ApiRequest
from sandbox.slack.workspace.models import Json


def list_(request: ApiRequest) -> Json:
    """usergroups.list: disabled groups, the number of people and the people only on request; no pages."""
    groups = [
        group.as_json(with_users=request.flag("include_users"), with_count=request.flag("include_count"))
        for group in request.world.user_groups.values()
        if group.team_id == request.team_id and (request.flag("include_disabled") or not group.is_disabled)
    ]
    return {"usergroups": groups}


def users_list(request: ApiRequest) -> Json:
    """usergroups.users.list: the people of one group; no_such_subteam if the workspace has none with this id."""
    group = request.world.user_groups.get(request.needed("usergroup"))
    if group is None or group.team_id != request.team_id:
        raise SlackError("no_such_subteam")
    if group.is_disabled and not request.flag("include_disabled"):
        return {"users": []}
    return {"users": list(group.users)}
