"""The modal *Start a sync* as typed values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from bot.features.ids import RunBlock
from bot.features.runs.file_links import Attached, file_id_of
from bot.ui.modal_state import UploadedFile, ViewInputs
from bot.ui.more_options import FormMetadata
from core.errors import InputError
from core.models.run import OthersOnList, SyncMode
from core.sources.column_choices import parse_choices

# The separator of two columns.
_SEPARATOR = re.compile(r"[,\n]")
_MAPPING_MISSING = "Choose a mapping. Is there none yet? Close this, and type /iterable-sync map"


class StartMetadata(FormMetadata):
    """The channel that the person is in, and the files of the message if they used the shortcut."""

    channel: str | None = None
    attached: tuple[Attached, ...] = ()


@dataclass(frozen=True, slots=True)
class StartSyncForm:
    """The submitted modal *Start a sync*. `mode` is None for that of the mapping, `adopts` if the list is not
    taken over. `preview_only`: the run shows what would change, and never sends anything.
    """

    metadata: StartMetadata
    mapping_id: int | None
    file: UploadedFile | None
    link: str
    address: str
    attached: str | None
    columns: str
    mode: SyncMode | None
    adopts: OthersOnList | None = None
    preview_only: bool = False

    @classmethod
    def read(cls, view: Mapping[str, Any]) -> Self:
        """Read the submitted modal."""
        inputs, metadata = ViewInputs(view), StartMetadata.load(view)
        mapping, mode = inputs.choice(RunBlock.MAPPING) or "", inputs.choice(RunBlock.MODE)
        others = inputs.choice(RunBlock.ADOPT)
        only = metadata.attached[0].id if len(metadata.attached) == 1 else None
        return cls(
            metadata=metadata,
            mapping_id=int(mapping) if mapping.isdecimal() else None,
            file=UploadedFile.read(inputs, RunBlock.FILE),
            link=inputs.text(RunBlock.LINK),
            address=inputs.text(RunBlock.ADDRESS),
            attached=inputs.choice(RunBlock.ATTACHED) or only,
            columns=inputs.text(RunBlock.COLUMNS),
            mode=SyncMode(mode) if mode in set(SyncMode) else None,
            adopts=OthersOnList(others) if others in set(OthersOnList) else None,
            preview_only=inputs.is_checked(RunBlock.PREVIEW_ONLY),
        )

    @property
    def file_id(self) -> str | None:
        """The id of the file in Slack; None if the audience is elsewhere. Raises InputError for a wrong link."""
        if self.file is not None:
            return self.file.id
        if self.attached is not None:
            return self.attached
        return file_id_of(self.link) if self.link else None

    @property
    def chosen_columns(self) -> dict[str, str]:
        """The columns of a table that the person chose. Raises InputError for another form than `email=E-Mail`."""
        return parse_choices([choice for choice in _SEPARATOR.split(self.columns) if choice.strip()])

    @property
    def source_block(self) -> str:
        """The block id of the input that names the source."""
        inputs = {RunBlock.ATTACHED: self.attached, RunBlock.FILE: self.file, RunBlock.LINK: self.link}
        return next((block for block, value in inputs.items() if value), RunBlock.ADDRESS)

    def problems(self) -> dict[str, str]:
        """Return error messages by block id, as far as no request is needed to find them."""
        errors: dict[str, str] = {}
        if self.mapping_id is None:
            errors[RunBlock.MAPPING] = _MAPPING_MISSING
        try:
            self.chosen_columns  # noqa: B018  # raises if they are malformed
        except InputError as error:
            errors[RunBlock.COLUMNS] = error.message
        if self.metadata.attached:
            return errors
        given = [
            block
            for block, value in (
                (RunBlock.FILE, self.file),
                (RunBlock.LINK, self.link),
                (RunBlock.ADDRESS, self.address),
            )
            if value
        ]
        if not given:
            errors[RunBlock.FILE] = "Upload the audience file. For a file that is already in Slack, press More options."
        elif len(given) > 1:
            errors[given[1]] = "Choose one source: the audience is in one place."
        elif self.link:
            try:
                file_id_of(self.link)
            except InputError as error:
                errors[RunBlock.LINK] = error.message
        return errors
