"""A message as it is sent: within Slack's limits, with ids that tell which message a button is in, and its digest."""

import hashlib
import json
from typing import Any

from bot.ui.blocks import Message
from bot.ui.formatting import cut
from bot.ui.plain_text import as_text, text_objects

#: What the id of a row of buttons begins with; the key of its message follows.
BLOCK = "post:"
# Slack refuses messages whose blocks have more than some 13,000 characters in all, whatever each of them has.
MOST_CHARACTERS = 12_000
# A text is not cut to less than this.
_LEAST = 200


def payload_of(message: Message, key: str, *, plain: bool = False) -> dict[str, Any]:
    """The arguments of chat.postMessage and chat.update; `plain` as text alone."""
    payload = message.payload()
    if plain:
        return payload | as_text(message)
    _fit(payload["blocks"])
    for number, block in enumerate(payload["blocks"]):
        if block["type"] == "actions" and not block.get("block_id"):
            block["block_id"] = f"{BLOCK}{key}#{number}"
    return payload


def key_of(block_id: str) -> str | None:
    """The key of the message that a row of buttons is in; None for rows that are in no message that follows."""
    return block_id.removeprefix(BLOCK).rpartition("#")[0] if block_id.startswith(BLOCK) else None


def digest_of(payload: dict[str, Any]) -> str:
    """What tells this content from another."""
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()


def _fit(blocks: list[dict[str, Any]]) -> None:
    """Cut the longest texts until all of it fits."""
    while (too_many := sum(len(text["text"]) for text in text_objects(blocks)) - MOST_CHARACTERS) > 0:
        longest = max(text_objects(blocks), key=lambda text: len(text["text"]))
        length = len(longest["text"])
        if length <= _LEAST:
            return
        longest["text"] = cut(longest["text"], max(_LEAST, length // 2, length - too_many - 1))
