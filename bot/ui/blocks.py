"""Block Kit, as this bot uses it: slack-sdk's typed models with our habits (plain defaults, limits, escaping left to
the caller where text is mrkdwn)."""

from collections.abc import Sequence
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
    PlainTextObject,
    SectionBlock,
)
from slack_sdk.models.views import View

from bot.ui.formatting import SECTION_MAX, cut
from bot.ui.modal_state import Metadata

#: What Slack takes.
MOST_BLOCKS_OF_A_MESSAGE = 50
MOST_BLOCKS_OF_A_VIEW = 100
MOST_FIELDS = 10
FIELD_MAX = 2000
TITLE_MAX = 24
OPTION_MAX = 75
# Above this Slack may truncate the text that notifications and screen readers get.
TEXT_MAX = 3000


@dataclass(frozen=True, slots=True)
class Message:
    """A message: what screen readers and notifications get (mrkdwn), and what is seen."""

    text: str
    blocks: Sequence[Block] = field(default_factory=tuple)

    def payload(self) -> dict[str, Any]:
        """The arguments of chat.postMessage and chat.update."""
        blocks = [block.to_dict() for block in self.blocks[:MOST_BLOCKS_OF_A_MESSAGE]]
        return {"text": cut(self.text, TEXT_MAX), "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def mrkdwn(text: str, length: int = SECTION_MAX) -> MarkdownTextObject:
    """A mrkdwn text, cut to what fits."""
    return MarkdownTextObject(text=cut(text, length))


def section(text: str, *, accessory: Any = None, block_id: str | None = None) -> SectionBlock:
    """A paragraph (mrkdwn)."""
    return SectionBlock(text=mrkdwn(text), accessory=accessory, block_id=block_id)


def fields(pairs: Sequence[tuple[str, str]]) -> list[SectionBlock]:
    """Names with their values (mrkdwn) in two columns."""
    texts = [f"*{name}*\n{value}" for name, value in pairs]
    return [
        SectionBlock(fields=[mrkdwn(text, FIELD_MAX) for text in texts[first : first + MOST_FIELDS]])
        for first in range(0, len(texts), MOST_FIELDS)
    ]


def context(*texts: str) -> ContextBlock:
    """A line in small print (mrkdwn)."""
    return ContextBlock(elements=[mrkdwn(text, FIELD_MAX) for text in texts])


def header(text: str) -> HeaderBlock:
    """A heading (plain text)."""
    return HeaderBlock(text=cut(text, 150))


def divider() -> DividerBlock:
    """A line between parts."""
    return DividerBlock()


def actions(*elements: InteractiveElement, block_id: str | None = None) -> ActionsBlock:
    """A row of buttons."""
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
    """A button. `label` is what a screen reader says where the text alone does not say what it is about."""
    return ButtonElement(
        text=PlainTextObject(text=text),
        action_id=action,
        value=value or None,
        style=style,
        confirm=confirm,
        accessibility_label=cut(label, 75) if label else None,
        url=url,
    )


def confirmation(title: str, text: str, yes: str, no: str = "Keep as it is") -> ConfirmObject:
    """A question before a button does what can't be undone."""
    return ConfirmObject(title=cut(title, 100), text=mrkdwn(text, 300), confirm=cut(yes, 30), deny=cut(no, 30))


def option(text: str, value: str, description: str | None = None) -> Option:
    """One of several to choose from."""
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
    """A labelled input of a modal. `dispatch`: a change is told at once."""
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
    """A modal, as views.open and its relatives take it."""
    view = View(
        type="modal",
        title=PlainTextObject(text=cut(title, TITLE_MAX)),
        blocks=list(blocks[:MOST_BLOCKS_OF_A_VIEW]),
        callback_id=callback,
        submit=PlainTextObject(text=submit) if submit else None,
        close=PlainTextObject(text=close),
        private_metadata=metadata.dump() if metadata else None,
    )
    made: dict[str, Any] = view.to_dict()
    return made


def notice(title: str, text: str) -> dict[str, Any]:
    """A modal that only says something."""
    return modal(title, [section(text)])
