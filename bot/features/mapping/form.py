"""The modals of this feature as typed values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from bot.features.ids import MappingBlock
from bot.features.mapping.audience_select import AudienceChoice
from bot.features.mapping.list_select import ListChoice
from bot.ui.modal_state import Metadata, UploadedFile, ViewInputs
from bot.ui.more_options import FormMetadata
from core.connections.mapping_lifecycle import check_audience
from core.errors import InputError
from core.store.mappings import AdditionLimits, RemovalPolicy

_DIGITS_MAX = 9
_MODES = ("auto", "mirror", "add")


class MapMetadata(FormMetadata):
    """The connection whose lists are offered, and the channel that the person is in.

    `lists_audiences`: the audience is chosen from those of mParticle.
    """

    connection_id: int
    channel: str | None = None
    lists_audiences: bool = False

    @property
    def suggested_channel(self) -> str | None:
        """The channel for updates, unless the person chooses another: that which they are in."""
        return self.channel if self.channel and not self.channel.startswith("D") else None


class ReviewMetadata(Metadata):
    """The mapping to decide on, its connection, and whether a list has to be chosen."""

    mapping_id: int
    connection_id: int
    needs_list: bool = False


@dataclass(frozen=True, slots=True)
class MapForm:
    """The submitted modal *Map an audience*. `audience` is None if the file names it.

    `audience_id`: the audience was chosen from those of mParticle.
    """

    metadata: MapMetadata
    audience: str | None
    audience_id: str | None
    file: UploadedFile | None
    choice: ListChoice | None
    mode: str
    removals: RemovalPolicy
    channel: str | None
    max_added: str = ""
    max_added_percent: str = ""

    @classmethod
    def read(cls, view: Mapping[str, Any]) -> Self:
        """Read the submitted modal."""
        inputs, metadata = ViewInputs(view), MapMetadata.load(view)
        listed = AudienceChoice.read(inputs.choice(MappingBlock.LISTED_AUDIENCE.of(metadata.connection_id)))
        return cls(
            metadata=metadata,
            audience=listed.typed_name if metadata.lists_audiences else inputs.text(MappingBlock.AUDIENCE) or None,
            audience_id=listed.audience_id if metadata.lists_audiences else None,
            file=UploadedFile.read(inputs, MappingBlock.FILE),
            choice=ListChoice.read(inputs.choice(MappingBlock.LIST.of(metadata.connection_id))),
            mode=_one_of(_MODES, inputs.choice(MappingBlock.MODE)),
            removals=RemovalPolicy(inputs.choice(MappingBlock.REMOVALS) or RemovalPolicy.REMOVE),
            channel=inputs.conversation(MappingBlock.CHANNEL)
            if inputs.has(MappingBlock.CHANNEL)
            else metadata.suggested_channel,
            max_added=inputs.text(MappingBlock.MAX_ADDED),
            max_added_percent=inputs.text(MappingBlock.MAX_ADDED_SHARE),
        )

    @property
    def audience_block(self) -> str:
        """The block id of the input for the audience."""
        if self.metadata.lists_audiences:
            return MappingBlock.LISTED_AUDIENCE.of(self.metadata.connection_id)
        return MappingBlock.AUDIENCE

    @property
    def list_block(self) -> str:
        """The block id of the input for the list."""
        return MappingBlock.LIST.of(self.metadata.connection_id)

    def problems(self) -> dict[str, str]:
        """Return error messages by block id, as far as no request is needed to find them."""
        errors: dict[str, str] = {}
        if self.audience is not None:
            try:
                check_audience(self.audience)
            except InputError as error:
                errors[self.audience_block] = error.message
        elif self.audience_id is None and self.file is None:
            errors[self.audience_block] = "Choose the audience by its name or id, or upload its file below."
        if self.choice is None:
            errors[self.list_block] = "Choose a list. Type its name, or a new name to create it."
        if self.max_added and not _is_number(self.max_added):
            errors[MappingBlock.MAX_ADDED] = "Enter a whole number of people, such as 1000."
        if self.max_added_percent and not _is_number(self.max_added_percent):
            errors[MappingBlock.MAX_ADDED_SHARE] = "Enter a whole percentage, such as 50."
        return errors

    @property
    def addition_limits(self) -> AdditionLimits:
        """The numbers of additions above which a sync needs approval. Valid if there are no problems."""
        number = int(self.max_added) if self.max_added else None
        share = int(self.max_added_percent) / 100 if self.max_added_percent else None
        return AdditionLimits(number, share)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX


def _one_of(allowed: tuple[str, ...], value: str | None) -> str:
    return value if value in allowed else allowed[0]
