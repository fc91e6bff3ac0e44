"""What the bot may do in a workspace: the scopes that its token needs. `manifest.yml` asks for the same ones."""

from typing import Final

BOT_SCOPES: Final = ("chat:write", "commands", "files:read", "files:write", "users:read")


def missing(granted: str) -> list[str]:
    """The scopes that are not among those granted (as Slack lists them, with commas)."""
    given = {scope.strip() for scope in granted.split(",")}
    return [scope for scope in BOT_SCOPES if scope not in given]
