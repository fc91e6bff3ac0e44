"""The modal *Alert rules* as typed values, and its view."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from slack_sdk.models.blocks import Block
from slack_sdk.models.blocks.block_elements import PlainTextInputElement

from bot.features.ids import AlertBlock, AlertCallback
from bot.features.mapping_lookup import MappingRef
from bot.ui.blocks import context, field_of, modal, notice, section
from bot.ui.modal_state import Metadata, ViewInputs
from bot.ui.rule_words import RULE_NAMES
from core.errors import ValidationError
from core.notifications.rule_settings import check_threshold
from core.store.alert_rules import Rule, RuleSetting, Settings

OFF = "off"
_OF_LIVE = (Rule.BACKLOG, Rule.DRIFT)
_OF_FILES = tuple(rule for rule in Rule if rule is not Rule.BACKLOG)


class RulesMetadata(Metadata):
    """The mapping whose rules are shown."""

    mapping_id: int


@dataclass(frozen=True, slots=True)
class RulesForm:
    """The submitted modal: what was typed for each rule."""

    metadata: RulesMetadata
    typed: dict[Rule, str]

    @classmethod
    def read(cls, view: Mapping[str, Any]) -> Self:
        """Read the submitted modal."""
        inputs = ViewInputs(view)
        typed = {rule: inputs.text(AlertBlock.RULE.of(rule)) for rule in Rule if inputs.has(AlertBlock.RULE.of(rule))}
        return cls(RulesMetadata.load(view), typed)

    def settings(self) -> dict[Rule, RuleSetting | None]:
        """Return the settings (None: the default). Raises ValidationError if a text is neither a number nor "off"."""
        return {rule: _setting(text) for rule, text in self.typed.items()}

    def problems(self) -> dict[str, str]:
        """Return error messages by block id."""
        errors = {}
        for rule, text in self.typed.items():
            try:
                _setting(text)
            except ValidationError as error:
                errors[AlertBlock.RULE.of(rule)] = error.message
        return errors


def rules_of(ref: MappingRef) -> tuple[Rule, ...]:
    """Return the rules that concern a mapping."""
    return _OF_LIVE if ref.mapping.is_live else _OF_FILES


def rules_modal(metadata: RulesMetadata, ref: MappingRef, settings: Settings) -> dict[str, Any]:
    """Return the modal with a rule of the mapping in each input."""
    blocks: list[Block] = [
        section(ref.label),
        context("By default, a rule compares with the earlier syncs. Type a limit of your own, or *off*."),
    ]
    for rule in rules_of(ref):
        name, unit = RULE_NAMES[rule]
        element = PlainTextInputElement(
            action_id=AlertBlock.RULE.of(rule),
            max_length=20,
            initial_value=_text(settings.of_mapping.get(rule)) or None,
            placeholder=_placeholder(settings.of_connection.get(rule)),
        )
        blocks.append(field_of(f"{name} ({unit})", AlertBlock.RULE.of(rule), element, optional=True))
    return modal("Alert rules", blocks, callback=AlertCallback.RULES, submit="Save", close="Cancel", metadata=metadata)


def working() -> dict[str, Any]:
    """Return the modal that is shown while the rules are saved."""
    return notice("Alert rules", "Saving…")


def failed(sentence: str) -> dict[str, Any]:
    """Return the modal after an error (mrkdwn)."""
    return notice("Not saved", sentence)


def saved_sentence(ref: MappingRef, changed: list[Rule], settings: Settings) -> str:
    """Return what was changed, in sentences (mrkdwn)."""
    if not changed:
        return f"No changes to the alert rules of {ref.label}."
    lines = [f"• {RULE_NAMES[rule][0]}: {_shown(rule, settings.get(rule))}" for rule in changed]
    return "\n".join([f"Saved the alert rules of {ref.label}.", *lines])


def saved(sentence: str) -> dict[str, Any]:
    """Return the modal after the rules were saved."""
    return notice("Alert rules", sentence)


def _setting(text: str) -> RuleSetting | None:
    if not text:
        return None
    if text.casefold() == OFF:
        return RuleSetting(is_on=False)
    try:
        return RuleSetting(threshold=check_threshold(float(text.rstrip("% ").replace(",", "."))))
    except ValueError:
        raise ValidationError('Type a number or "off", or leave it blank to use the default.') from None


def _text(setting: RuleSetting | None) -> str:
    if setting is None:
        return ""
    return OFF if not setting.is_on else "" if setting.threshold is None else f"{setting.threshold:g}"


def _placeholder(of_connection: RuleSetting | None) -> str:
    inherited = _text(of_connection)
    return f"As set for the connection: {inherited}" if inherited else "Default"


def _shown(rule: Rule, setting: RuleSetting) -> str:
    if not setting.is_on:
        return OFF
    return "the default" if setting.threshold is None else f"{setting.threshold:g} {RULE_NAMES[rule][1]}"
