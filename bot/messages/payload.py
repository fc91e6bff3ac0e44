"""The payload of a message: cut to Slack's limits, with block ids that contain the message's key, and its digest."""

import hashlib
import json
from typing import Any

from bot.ui.blocks import Message, as_text, text_objects
from bot.ui.formatting import cut

#: The prefix of a block id; the key of the message follows.
BLOCK = "post:"
# Slack rejects messages with more than some 13,000 characters in all blocks together (measured).
MOST_CHARACTERS = 12_000
# Texts are not cut below this length.
_LEAST = 200


def payload_of(message: Message, key: str, *, plain: bool = False) -> dict[str, Any]:
    """Return the arguments of chat.postMessage and chat.update; with `plain`, text without blocks."""
    payload = message.payload()
    if plain:
        return payload | as_text(message)
    _fit(payload["blocks"])
    for number, block in enumerate(payload["blocks"]):
        if block["type"] == "actions" and not block.get("block_id"):
            block["block_id"] = f"{BLOCK}{key}#{number}"
    return payload


def key_of(block_id: str) -> str | None:
    """Return the message key in a block id; None for blocks outside of reconciled messages."""
    return block_id.removeprefix(BLOCK).rpartition("#")[0] if block_id.startswith(BLOCK) else None


def digest_of(payload: dict[str, Any]) -> str:
    """Return a digest of the content."""
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()


def _fit(blocks: list[dict[str, Any]]) -> None:
    """Cut the longest texts until the message fits."""
    while (too_many := sum(len(text["text"]) for text in text_objects(blocks)) - MOST_CHARACTERS) > 0:
        longest = max(text_objects(blocks), key=lambda text: len(text["text"]))
        length = len(longest["text"])
        if length <= _LEAST:
            return
        longest["text"] = cut(longest["text"], max(_LEAST, length // 2, length - too_many - 1))
