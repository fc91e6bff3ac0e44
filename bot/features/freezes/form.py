"""The modal *Freeze* as typed values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from bot.features.ids import FreezeBlock
from bot.ui.modal_state import Metadata, ViewInputs
from core.store.mappings import FreezeHolds

#: The value of the choice that mappings are not frozen before campaigns.
NEVER = "never"


class FreezeMetadata(Metadata):
    """The mapping to freeze (None: all)."""

    mapping_id: int | None = None


@dataclass(frozen=True, slots=True)
class FreezeForm:
    """The submitted modal. `until` is as typed, "" for no freeze by hand; `minutes` is None for no freeze before
    campaigns."""

    metadata: FreezeMetadata
    until: str
    holds: FreezeHolds
    minutes: int | None

    @classmethod
    def read(cls, view: Mapping[str, Any]) -> Self:
        """Read the submitted modal."""
        inputs = ViewInputs(view)
        minutes = inputs.choice(FreezeBlock.CAMPAIGNS) or NEVER
        return cls(
            metadata=FreezeMetadata.load(view),
            until=inputs.text(FreezeBlock.UNTIL),
            holds=FreezeHolds(inputs.choice(FreezeBlock.HOLDS) or FreezeHolds.BOTH),
            minutes=int(minutes) if minutes.isdecimal() else None,
        )
