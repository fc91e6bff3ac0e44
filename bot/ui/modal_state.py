"""The state of a modal: a typed model in `private_metadata`, and the values of its inputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Metadata(BaseModel):
    """The base class of a modal's state (at most 3,000 characters; never a secret)."""

    model_config = ConfigDict(frozen=True)

    def dump(self) -> str:
        """Return the value for `private_metadata`."""
        return self.model_dump_json()

    @classmethod
    def load(cls, view: Mapping[str, Any]) -> Self:
        """Read the state from a view."""
        return cls.model_validate_json(view["private_metadata"] or "{}")


class ViewInputs:
    """The values of a modal's inputs by block id. Each block has one element."""

    def __init__(self, view: Mapping[str, Any]) -> None:
        """Take a view from a submission."""
        self._values: Mapping[str, Mapping[str, Any]] = (view.get("state") or {}).get("values") or {}

    def text(self, block: str) -> str:
        """Return the typed text, stripped."""
        return str(self._element(block).get("value") or "").strip()

    def choice(self, block: str) -> str | None:
        """Return the value of the chosen option, or None."""
        option = self._element(block).get("selected_option")
        return str(option["value"]) if option else None

    def time(self, block: str) -> str | None:
        """Return the chosen time of day (HH:MM), or None."""
        selected: str | None = self._element(block).get("selected_time")
        return selected

    def choices(self, block: str) -> list[str]:
        """Return the values of the chosen options."""
        return [str(option["value"]) for option in self._element(block).get("selected_options") or ()]

    def has(self, block: str) -> bool:
        """Return whether the modal has this input."""
        return block in self._values

    def is_checked(self, block: str, before: bool = False) -> bool:
        """Return whether any checkbox is ticked; `before` if the modal does not have the input."""
        return bool(self._element(block).get("selected_options")) if self.has(block) else before

    def person_ids(self, block: str) -> list[str]:
        """Return the ids of the chosen people."""
        return list(self._element(block).get("selected_users") or ())

    def person(self, block: str) -> str | None:
        """Return the id of the chosen person, or None."""
        selected: str | None = self._element(block).get("selected_user")
        return selected

    def conversation(self, block: str) -> str | None:
        """Return the id of the chosen channel, or None."""
        element = self._element(block)
        selected: str | None = element.get("selected_conversation") or element.get("selected_channel")
        return selected

    def files(self, block: str) -> list[dict[str, Any]]:
        """Return Slack's descriptions of the uploaded files."""
        return list(self._element(block).get("files") or ())

    def _element(self, block: str) -> Mapping[str, Any]:
        return next(iter(self._values.get(block, {}).values()), {})


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that a person uploaded in a modal."""

    id: str
    name: str

    @classmethod
    def read(cls, inputs: ViewInputs, block: str) -> Self | None:
        """Read the only file of an input, or None."""
        files = inputs.files(block)
        return cls(str(files[0]["id"]), str(files[0].get("name") or "")) if files else None
