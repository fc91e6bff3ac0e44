"""The person, workspace and channel of a Slack payload, whatever its type."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: The key that the access gate sets in a payload: whether the person is not a member of the workspace.
OUTSIDER = "iterable_sync_outsider"


@dataclass(frozen=True, slots=True)
class Actor:
    """A person who acted in Slack. `channel` is None in a modal and on the home page.

    `trigger_id` opens a modal, once and within 3 s. `is_outsider`: they are not a member of the workspace (a guest, a
    bot, ...), and may only act on connections that name them.
    """

    person: str
    team_id: str
    channel: str | None
    trigger_id: str
    is_outsider: bool = False

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Actor":
        """Read a slash command, an interaction or a shortcut, which the access gate has let through."""
        outsider = bool(body.get(OUTSIDER))
        if "command" in body:
            return cls(body["user_id"], body["team_id"], body.get("channel_id"), body.get("trigger_id", ""), outsider)
        container = body.get("container") or {}
        channel = (body.get("channel") or {}).get("id") or container.get("channel_id")
        user, team = body["user"], body.get("team") or {}
        return cls(user["id"], team.get("id") or user["team_id"], channel, body.get("trigger_id", ""), outsider)


def team_of(body: Mapping[str, Any], context_team_id: str | None) -> str:
    """Return the workspace of a request; empty if it has none.

    If the app is installed for an organization, the authorization of an event names no workspace, so that Bolt's
    context has none. The event does.
    """
    return str(context_team_id or body.get("team_id") or "")


def value_of(body: Mapping[str, Any]) -> str:
    """Return the value of the button that the person clicked."""
    return str(body["actions"][0].get("value") or "")
