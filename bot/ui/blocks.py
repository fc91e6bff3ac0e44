"""Builders for Block Kit, on top of slack-sdk's models: they apply Slack's limits. Callers escape mrkdwn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ConfirmObject,
    ContextBlock,
    DividerBlock,
    HeaderBlock,
    InputBlock,
    InputInteractiveElement,
    InteractiveElement,
    MarkdownTextObject,
    Option,
    OverflowMenuElement,
    PlainTextObject,
    SectionBlock,
)
from slack_sdk.models.views import View

from bot.ui.charts import CHART_BLOCK, chart_text
from bot.ui.formatting import SECTION_MAX, cut
from bot.ui.modal_state import Metadata

#: Slack's limits: https://docs.slack.dev/reference/block-kit/blocks
MOST_BLOCKS_OF_A_MESSAGE = 50
MOST_BLOCKS_OF_A_VIEW = 100
MOST_FIELDS = 10
MOST_MENU_CHOICES = 5
FIELD_MAX = 2000
TITLE_MAX = 24
OPTION_MAX = 75
# Slack may truncate longer texts of notifications.
TEXT_MAX = 3000


@dataclass(frozen=True, slots=True)
class Message:
    """A message: blocks, and the text (mrkdwn) for notifications and screen readers."""

    text: str
    blocks: Sequence[Block] = field(default_factory=tuple)

    def payload(self) -> dict[str, Any]:
        """Return the arguments of chat.postMessage and chat.update."""
        blocks = [block.to_dict() for block in self.blocks[:MOST_BLOCKS_OF_A_MESSAGE]]
        return {"text": cut(self.text, TEXT_MAX), "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def text_message(text: str) -> Message:
    """Return a message that is one paragraph (mrkdwn)."""
    return Message(text, [section(text)])


def mrkdwn(text: str, length: int = SECTION_MAX) -> MarkdownTextObject:
    """Return a mrkdwn text, cut to the limit."""
    return MarkdownTextObject(text=cut(text, length))


def section(text: str, *, accessory: Any = None, block_id: str | None = None) -> SectionBlock:
    """Return a paragraph (mrkdwn)."""
    return SectionBlock(text=mrkdwn(text), accessory=accessory, block_id=block_id)


def fields(pairs: Sequence[tuple[str, str]]) -> list[SectionBlock]:
    """Return names with values (mrkdwn) in two columns."""
    texts = [f"*{name}*\n{value}" for name, value in pairs]
    return [
        SectionBlock(fields=[mrkdwn(text, FIELD_MAX) for text in texts[first : first + MOST_FIELDS]])
        for first in range(0, len(texts), MOST_FIELDS)
    ]


def context(*texts: str) -> ContextBlock:
    """Return a line of small print (mrkdwn)."""
    return ContextBlock(elements=[mrkdwn(text, FIELD_MAX) for text in texts])


def header(text: str) -> HeaderBlock:
    """Return a heading (plain text)."""
    return HeaderBlock(text=cut(text, 150))


def divider() -> DividerBlock:
    """Return a horizontal line."""
    return DividerBlock()


def actions(*elements: InteractiveElement, block_id: str | None = None) -> ActionsBlock:
    """Return a row of buttons."""
    return ActionsBlock(elements=list(elements), block_id=block_id)


def button(
    text: str,
    action: str,
    value: str = "",
    *,
    style: str | None = None,
    confirm: ConfirmObject | None = None,
    label: str | None = None,
    url: str | None = None,
) -> ButtonElement:
    """Return a button. Screen readers read `label` instead of the text; the text comes first if `label` lacks it
    (WCAG 2.5.3)."""
    if label and text.casefold() not in label.casefold():
        label = f"{text}: {label}"
    return ButtonElement(
        text=PlainTextObject(text=text),
        action_id=action,
        value=value or None,
        style=style,
        confirm=confirm,
        accessibility_label=cut(label, 75) if label else None,
        url=url,
    )


def menu(action: str, *choices: tuple[str, str, object]) -> OverflowMenuElement:
    """Return a menu behind three dots. Each choice is a text, the action id of a button, and its value: choosing it is
    as if that button was pressed (bot.slack.menu_choices)."""
    options = [option(text, f"{chosen}:{value}") for text, chosen, value in choices[:MOST_MENU_CHOICES]]
    return OverflowMenuElement(action_id=action, options=options)


def confirmation(title: str, text: str, yes: str, no: str = "Cancel") -> ConfirmObject:
    """Return a question that Slack asks before it sends the click of a button."""
    return ConfirmObject(title=cut(title, 100), text=mrkdwn(text, 300), confirm=cut(yes, 30), deny=cut(no, 30))


def option(text: str, value: str, description: str | None = None) -> Option:
    """Return an option of a menu or of radio buttons."""
    described = PlainTextObject(text=cut(description, OPTION_MAX)) if description else None
    return Option(text=PlainTextObject(text=cut(text, OPTION_MAX)), value=value, description=described)


def field_of(
    label: str,
    block_id: str,
    element: InputInteractiveElement,
    *,
    hint: str | None = None,
    optional: bool = False,
    dispatch: bool = False,
) -> InputBlock:
    """Return a labelled input of a modal. With `dispatch`, each change sends an action."""
    return InputBlock(
        label=PlainTextObject(text=label),
        block_id=block_id,
        element=element,
        hint=PlainTextObject(text=hint) if hint else None,
        optional=optional,
        dispatch_action=dispatch,
    )


def modal(
    title: str,
    blocks: Sequence[Block],
    *,
    callback: str | None = None,
    submit: str | None = None,
    close: str = "Close",
    metadata: Metadata | None = None,
) -> dict[str, Any]:
    """Return a modal, as views.open and views.update take it."""
    view = View(
        type="modal",
        title=PlainTextObject(text=cut(title, TITLE_MAX)),
        blocks=list(blocks[:MOST_BLOCKS_OF_A_VIEW]),
        callback_id=callback,
        submit=PlainTextObject(text=submit) if submit else None,
        close=PlainTextObject(text=close),
        private_metadata=metadata.dump() if metadata else None,
    )
    content: dict[str, Any] = view.to_dict()
    return content


def notice(title: str, text: str) -> dict[str, Any]:
    """Return a modal with one paragraph and without inputs."""
    return modal(title, [section(text)])


def as_text(message: Message) -> dict[str, Any]:
    """Return the arguments of a message without its structure: all its texts as one text."""
    payload = message.payload()
    lines = [payload["text"], *_texts(payload["blocks"])]
    if len(lines) > 1 and lines[0] == lines[1]:  # The first block only repeats the text.
        del lines[0]
    return {"text": cut("\n".join(lines), TEXT_MAX), "blocks": []}


def words_of(view: Mapping[str, Any]) -> str:
    """Return the words of a modal (mrkdwn), without its inputs."""
    return "\n".join([f"*{view['title']['text']}*", *_texts(view["blocks"])])


def text_objects(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the text objects of blocks, in reading order."""
    texts: list[dict[str, Any]] = []
    for block in blocks:
        if isinstance(block.get("text"), dict):
            texts.append(block["text"])
        texts += block.get("fields") or []
        if block["type"] == "context":
            texts += [each for each in block["elements"] if each["type"] == "mrkdwn"]
    return texts


def _texts(blocks: list[dict[str, Any]]) -> list[str]:
    texts = []
    for block in blocks:
        if block["type"] == CHART_BLOCK:
            texts.append(chart_text(block))
        texts += [text["text"].replace("*\n", ":* ") for text in text_objects([block])]
    return texts
