"""The modal *Freeze*, and the answers to `freeze` and `unfreeze`. Pure functions."""

from typing import Any

from slack_sdk.models.blocks import Block
from slack_sdk.models.blocks.block_elements import PlainTextInputElement, RadioButtonsElement, StaticSelectElement

from bot.features.freezes.form import NEVER, FreezeMetadata
from bot.features.ids import FreezeAction, FreezeBlock, FreezeCallback
from bot.features.mapping_lookup import MappingRef
from bot.ui.blocks import Message, actions, button, context, field_of, modal, notice, option, section
from bot.ui.formatting import plural
from bot.ui.list_words import freeze_words, until_words
from core.store.freezes import Freeze
from core.store.mappings import FreezeHolds

TITLE = "Freeze"
_UNTIL_MAX = 40
_HOLDS = {
    FreezeHolds.BOTH: ("Everything", "Nothing is sent to Iterable"),
    FreezeHolds.REMOVALS: ("Removals", "Syncs that remove people wait. Live changes still add people."),
    FreezeHolds.ADDITIONS: ("Additions", "Syncs that add people wait. Live changes still remove people."),
}
_CAMPAIGNS = {
    NEVER: "Don't freeze",
    "15": "From 15 minutes before",
    "30": "From 30 minutes before",
    "60": "From 1 hour before",
    "120": "From 2 hours before",
    "1440": "From 1 day before",
}


def freeze_form(ref: MappingRef | None, freeze: Freeze | None = None) -> dict[str, Any]:
    """Return the modal in which a mapping is frozen (None: all mappings)."""
    blocks: list[Block] = [section(ref.label if ref is not None else "*All mappings of this workspace*")]
    if freeze is not None:
        blocks.append(section(f":double_vertical_bar: {freeze_words(freeze)}."))
    blocks += [_until(is_optional=ref is not None), _holds(ref)]
    if ref is not None:
        blocks.append(_campaigns(ref))
    blocks.append(
        context("Syncs still prepare previews and ask for approval. Waiting changes are sent when the freeze ends.")
    )
    metadata = FreezeMetadata(mapping_id=ref.mapping.id if ref is not None else None)
    return modal(TITLE, blocks, callback=FreezeCallback.FREEZE, submit="Save", close="Cancel", metadata=metadata)


def _until(*, is_optional: bool) -> Block:
    element = PlainTextInputElement(
        action_id=FreezeBlock.UNTIL, max_length=_UNTIL_MAX, placeholder="2h, 17:00, monday, 2026-12-31 9:00"
    )
    hint = "In your time zone."
    if is_optional:
        hint += " Leave blank to change only the freeze before campaigns."
    return field_of("Freeze until", FreezeBlock.UNTIL, element, hint=hint, optional=is_optional)


def _holds(ref: MappingRef | None) -> Block:
    options = {holds: option(name, holds.value, what) for holds, (name, what) in _HOLDS.items()}
    chosen = ref.mapping.freeze_holds if ref is not None else FreezeHolds.BOTH
    element = RadioButtonsElement(
        action_id=FreezeBlock.HOLDS, options=list(options.values()), initial_option=options[chosen]
    )
    return field_of("What waits", FreezeBlock.HOLDS, element)


def _campaigns(ref: MappingRef) -> Block:
    seconds = ref.mapping.freeze_before_s
    chosen = NEVER if seconds is None else str(round(seconds / 60))
    names = _CAMPAIGNS if chosen in _CAMPAIGNS else {**_CAMPAIGNS, chosen: f"From {chosen} minutes before"}
    options = {value: option(name, value) for value, name in names.items()}
    element = StaticSelectElement(
        action_id=FreezeBlock.CAMPAIGNS, options=list(options.values()), initial_option=options[chosen]
    )
    hint = "Starts automatically before Iterable sends a campaign to this list, and ends when it is sent."
    return field_of("Before campaigns", FreezeBlock.CAMPAIGNS, element, hint=hint)


def failed(sentence: str) -> dict[str, Any]:
    """Return the modal after an error (mrkdwn)."""
    return notice(TITLE, sentence)


def working() -> dict[str, Any]:
    """Return the modal that is shown while the freeze is stored."""
    return notice(TITLE, "Saving…")


def saved(sentence: str) -> dict[str, Any]:
    """Return the modal after the freeze was stored (mrkdwn)."""
    return notice(TITLE, sentence)


def frozen_sentence(ref: MappingRef | None, freeze: Freeze | None) -> str:
    """Return what is frozen now, in sentences (mrkdwn)."""
    what = ref.label if ref is not None else "All mappings"
    if freeze is None:
        return f"Saved: {what}."
    verb = "is" if ref is not None else "are"
    kind = "" if freeze.holds is FreezeHolds.BOTH else f" for {freeze.holds.value}"
    until = until_words(freeze)
    return f":double_vertical_bar: {what} {verb} frozen{kind} {until}. Syncs wait, then continue automatically."


def before_campaigns_sentence(ref: MappingRef) -> str:
    """Return whether a mapping is frozen before campaigns (mrkdwn)."""
    seconds = ref.mapping.freeze_before_s
    if seconds is None:
        return "Campaigns don't freeze it."
    return f"Campaigns freeze it from {plural(round(seconds / 60), 'minute')} before they are sent."


def frozen(ref: MappingRef | None, freeze: Freeze | None) -> Message:
    """Return the answer after a freeze, with a button that ends it."""
    text = frozen_sentence(ref, freeze)
    value = str(ref.mapping.id) if ref is not None else ""
    label = f"Unfreeze {ref.plain}" if ref is not None else "Unfreeze all mappings"
    return Message(text, [section(text, accessory=button("Unfreeze", FreezeAction.UNFREEZE, value, label=label))])


def unfrozen(ref: MappingRef | None, other: Freeze | None) -> Message:
    """Return the answer after a freeze was ended. `other` is a freeze that still holds the mapping back."""
    what = f"{ref.label} is" if ref is not None else "All mappings are"
    if other is not None:
        text = f"{ref.label if ref is not None else 'It'} still waits. {freeze_words(other)}."
        return Message(text, [section(text)])
    text = f"{what} no longer frozen. Waiting changes are sent now."
    return Message(text, [section(text)])


def until_when(ref: MappingRef | None) -> Message:
    """Return the question until when to freeze, with a button that opens the form."""
    what = ref.label if ref is not None else "all mappings"
    text = f"Freeze {what} until when?"
    value = str(ref.mapping.id) if ref is not None else ""
    open_form = button("Choose", FreezeAction.OPEN, value, style="primary", label="Choose until when to freeze")
    example = "/iterable-sync freeze all until monday"
    return Message(text, [section(text), context(f"Or type it: `{example}`"), actions(open_form)])
