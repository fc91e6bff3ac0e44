"""The words of a message or view, without its markup: for fallback texts and logs."""

from collections.abc import Mapping
from typing import Any

from bot.ui.blocks import TEXT_MAX, Message
from bot.ui.formatting import cut


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


def text_objects(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
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
    return [text["text"].replace("*\n", ":* ") for text in text_objects(blocks)]
