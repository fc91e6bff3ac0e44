"""A message as it is sent: within Slack's limits, with ids that tell which message a button is in, and its digest."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bot.ui.blocks import TEXT_MAX, Message
from bot.ui.formatting import cut

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


def as_text(message: Message) -> dict[str, Any]:
    """The text and the blocks of a message of which Slack takes only the text."""
    payload = message.payload()
    lines = [payload["text"], *_texts(payload["blocks"])]
    if len(lines) > 1 and lines[0] == lines[1]:  # what only says a sentence
        del lines[0]
    return {"text": cut("\n".join(lines), TEXT_MAX), "blocks": []}


def words_of(view: Mapping[str, Any]) -> str:
    """What a modal says (mrkdwn), without its inputs."""
    return "\n".join([f"*{view['title']['text']}*", *_texts(view["blocks"])])


def key_of(block_id: str) -> str | None:
    """The key of the message that a row of buttons is in; None for rows that are in no message that follows."""
    return block_id.removeprefix(BLOCK).rpartition("#")[0] if block_id.startswith(BLOCK) else None


def digest_of(payload: dict[str, Any]) -> str:
    """What tells this content from another."""
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()


def _fit(blocks: list[dict[str, Any]]) -> None:
    """Cut the longest texts until all of it fits."""
    while (too_many := sum(len(text["text"]) for text in _objects(blocks)) - MOST_CHARACTERS) > 0:
        longest = max(_objects(blocks), key=lambda text: len(text["text"]))
        length = len(longest["text"])
        if length <= _LEAST:
            return
        longest["text"] = cut(longest["text"], max(_LEAST, length // 2, length - too_many - 1))


def _objects(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The texts that are read, in their order."""
    found: list[dict[str, Any]] = []
    for block in blocks:
        if isinstance(block.get("text"), dict):
            found.append(block["text"])
        found += block.get("fields") or []
        if block["type"] == "context":
            found += [each for each in block["elements"] if each["type"] == "mrkdwn"]
    return found


def _texts(blocks: list[dict[str, Any]]) -> list[str]:
    return [text["text"].replace("*\n", ":* ") for text in _objects(blocks)]
