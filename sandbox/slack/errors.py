"""What the local Slack refuses, in Slack's words."""

from __future__ import annotations

from typing import Any


class SlackError(Exception):
    """An answer with `ok: false`; `error` is Slack's code, `more` what is beside it in the answer."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.error = error
        self.more = more

    def as_json(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"ok": False, "error": self.error, **self.more}
