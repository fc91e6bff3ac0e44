"""The modals of this feature as typed values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

from bot.features.ids import MappingBlock
from bot.ui.modal_state import Metadata, ViewInputs
from core.connections.mapping_settings import MappingEdit
from core.store.mappings import AudienceMapping, RemovalPolicy

_DIGITS_MAX = 9


class ManagementMetadata(Metadata):
    """The mapping, and the channel that the person is in."""

    mapping_id: int
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class EditForm:
    """The submitted modal *Edit a mapping*. An empty text returns to the default."""

    metadata: ManagementMetadata
    name: str
    channel: str | None
    max_added: str
    max_added_percent: str
    max_removed_percent: str
    shows_limits: bool
    mode: str | None = None
    removals: str | None = None

    @classmethod
    def read(cls, view: Mapping[str, Any]) -> Self:
        """Read the submitted modal."""
        inputs = ViewInputs(view)
        return cls(
            metadata=ManagementMetadata.load(view),
            name=inputs.text(MappingBlock.NAME),
            channel=inputs.conversation(MappingBlock.CHANNEL),
            max_added=inputs.text(MappingBlock.MAX_ADDED),
            max_added_percent=inputs.text(MappingBlock.MAX_ADDED_SHARE),
            max_removed_percent=inputs.text(MappingBlock.MAX_REMOVED_SHARE),
            shows_limits=inputs.has(MappingBlock.MAX_ADDED),
            mode=inputs.choice(MappingBlock.MODE),
            removals=inputs.choice(MappingBlock.REMOVALS),
        )

    def problems(self) -> dict[str, str]:
        """Return error messages by block id, as far as no request is needed to find them."""
        errors: dict[str, str] = {}
        if self.max_added and not _is_number(self.max_added):
            errors[MappingBlock.MAX_ADDED] = "Enter a whole number of people, such as 1000."
        if self.max_added_percent and not _is_number(self.max_added_percent):
            errors[MappingBlock.MAX_ADDED_SHARE] = "Enter a whole percentage, such as 50."
        if self.max_removed_percent and not (
            _is_number(self.max_removed_percent) and int(self.max_removed_percent) <= 100
        ):
            errors[MappingBlock.MAX_REMOVED_SHARE] = "Enter a whole percentage from 0 to 100, such as 20."
        return errors

    def changes(self, mapping: AudienceMapping) -> MappingEdit:
        """Return the settings that differ from those of the mapping. Valid if there are no problems."""
        wanted: MappingEdit = {"name": self.name or None, "channel": self.channel}
        if self.mode is not None:
            wanted["mode"] = self.mode
        if self.removals is not None:
            wanted["removal_policy"] = RemovalPolicy(self.removals)
        if not self.shows_limits:
            return _differing(mapping, wanted)
        wanted |= {
            "max_added": int(self.max_added) if self.max_added else None,
            "max_added_share": int(self.max_added_percent) / 100 if self.max_added_percent else None,
            "max_removed_share": int(self.max_removed_percent) / 100 if self.max_removed_percent else None,
        }
        if self.max_added_percent == percent_text(mapping.max_added_share):
            del wanted["max_added_share"]
        if self.max_removed_percent == percent_text(mapping.max_removed_share):
            del wanted["max_removed_share"]
        return _differing(mapping, wanted)


def percent_text(share: float | None) -> str:
    """Return a share as the form shows it: in whole percent, empty for the default."""
    return "" if share is None else f"{100 * share:.0f}"


def _differing(mapping: AudienceMapping, wanted: MappingEdit) -> MappingEdit:
    return cast(MappingEdit, {name: value for name, value in wanted.items() if getattr(mapping, name) != value})


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX
