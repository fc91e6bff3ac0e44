"""What a modal remembers: a typed model in `private_metadata`, and the values that a person put in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Metadata(BaseModel):
    """The base of what a modal carries along (at most 3,000 characters; never a secret)."""

    model_config = ConfigDict(frozen=True)

    def dump(self) -> str:
        """As it stands in `private_metadata`."""
        return self.model_dump_json()

    @classmethod
    def load(cls, view: Mapping[str, Any]) -> Self:
        """Read it from a view."""
        return cls.model_validate_json(view["private_metadata"] or "{}")


class ViewInputs:
    """The values of a modal's inputs, by block id (each block has one element)."""

    def __init__(self, view: Mapping[str, Any]) -> None:
        """Take a view as Slack submits it."""
        self._values: Mapping[str, Mapping[str, Any]] = (view.get("state") or {}).get("values") or {}

    def text(self, block: str) -> str:
        """What was typed, without blanks around it."""
        return str(self._element(block).get("value") or "").strip()

    def choice(self, block: str) -> str | None:
        """The value of the option that was chosen."""
        option = self._element(block).get("selected_option")
        return str(option["value"]) if option else None

    def is_checked(self, block: str) -> bool:
        """Whether any box is ticked."""
        return bool(self._element(block).get("selected_options"))

    def person_ids(self, block: str) -> list[str]:
        """The people who were chosen."""
        return list(self._element(block).get("selected_users") or ())

    def conversation(self, block: str) -> str | None:
        """The channel that was chosen."""
        element = self._element(block)
        found: str | None = element.get("selected_conversation") or element.get("selected_channel")
        return found

    def files(self, block: str) -> list[dict[str, Any]]:
        """The files that were put in, as Slack describes them."""
        return list(self._element(block).get("files") or ())

    def _element(self, block: str) -> Mapping[str, Any]:
        return next(iter(self._values.get(block, {}).values()), {})


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that was put into a modal, by Slack's id and name."""

    id: str
    name: str

    @classmethod
    def read(cls, inputs: ViewInputs, block: str) -> Self | None:
        """Read the one file of an input."""
        files = inputs.files(block)
        return cls(str(files[0]["id"]), str(files[0].get("name") or "")) if files else None
