"""Grants that end: installs with their tokens, triggers, response_urls, codes. And the record of calls."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.slack.workspace.models import Json, Message


@dataclass
class Install:
    """The app in a workspace: its bot user and its token."""

    team_id: str
    bot_user: str
    bot_id: str
    token: str
    scopes: frozenset[str]
    installed_by: str = ""
    gone: str | None = None  # the error for its token after a revocation
    organization: str = ""  # the id of the organization, if it is installed there for several workspaces
    team_ids: set[str] = field(default_factory=set)  # the workspaces of the organization that it may serve
    refresh_token: str = ""  # with token rotation

    def covers(self, team_id: str) -> bool:
        """Whether it is installed in a workspace, itself or through the organization."""
        return team_id in self.team_ids if self.organization else team_id == self.team_id


@dataclass
class Trigger:
    """Permission to open one modal, for three seconds."""

    id: str
    user: str
    expires: float
    channel: str = ""  # where the person was
    used: bool = False


@dataclass
class ResponseUrl:
    """Permission to answer an interaction, five times within half an hour."""

    id: str
    user: str
    channel: str
    expires: float
    origin: Message | None = None
    uses: int = 0


@dataclass
class Code:
    """The code of the install page, to be exchanged for a token once."""

    code: str
    team_id: str
    user: str
    redirect_uri: str
    scopes: frozenset[str]
    expires: float
    organization: str = ""  # installs for an organization


@dataclass
class Call:
    """One Web API request and its answer."""

    method: str
    team_id: str
    args: Json
    answer: Json
    status: int
    at: float
