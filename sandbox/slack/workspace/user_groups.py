"""User groups: people of a workspace under a handle, such as @crm-approvers."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.slack.workspace.models import Json


@dataclass
class UserGroup:
    """A user group. A disabled one (`is_disabled`) keeps its people, and Slack lists it only on request."""

    id: str
    team_id: str
    handle: str
    name: str
    users: list[str] = field(default_factory=list)
    is_disabled: bool = False

    def as_json(self, *, with_users: bool, with_count: bool) -> Json:
        """Return the user group object (docs.slack.dev/reference/objects/usergroup-object).

        `date_delete` is 0 unless it is disabled; Slack's example has `user_count` as a text.
        """
        group: Json = {
            "id": self.id,
            "team_id": self.team_id,
            "is_usergroup": True,
            "is_subteam": True,
            "name": self.name,
            "description": "",
            "handle": self.handle,
            "is_external": False,
            "date_create": 1446598059,
            "date_update": 1446670362,
            "date_delete": 1446670362 if self.is_disabled else 0,
            "auto_type": None,
            "created_by": "USLACKBOT",
            "updated_by": "USLACKBOT",
            "deleted_by": "USLACKBOT" if self.is_disabled else None,
            "prefs": {"channels": [], "groups": []},
        }
        if with_users:
            group["users"] = list(self.users)
        if with_count:
            group["user_count"] = str(len(self.users))
        return group
