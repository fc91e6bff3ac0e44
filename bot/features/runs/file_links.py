"""Audience files that are in Slack already: given by a link, an id, or a message."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from core.errors import InputError

#: The number of files of a message that the modal offers.
MOST_ATTACHED = 10

# https://x.slack.com/files/U0123/F0123/name.csv and https://files.slack.com/files-pri/T0123-F0123/name.csv
_LINK = re.compile(r"https?://[^/\s]+/files(?:/[UWB][A-Z0-9]+/|-pri/T[A-Z0-9]+-)(F[A-Z0-9]{5,})(?:[/?#]\S*)?")
_ID = re.compile(r"F[A-Z0-9]{5,}")
_MESSAGE = re.compile(r"https?://[^/\s]+/archives/\S+")
# The modes of files that were deleted, or that a free plan hides.
_GONE = ("tombstone", "hidden_by_limit")


class Attached(BaseModel):
    """A file of a message."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    size: int = 0


def file_id_of(text: str) -> str:
    """Return the id of a file from its link, or from the id itself. Raises InputError if it is neither."""
    typed = text.strip().strip("<>").split("|")[0]
    match = _LINK.fullmatch(typed)
    if match is not None:
        return match[1]
    if _ID.fullmatch(typed):
        return typed
    if _MESSAGE.fullmatch(typed):
        raise InputError("This is the link of a message. Open the file's own menu (⋮) and choose Copy link to file.")
    raise InputError("This is not the link of a file in Slack. Open the file's menu (⋮) and choose Copy link to file.")


def attached(message: Mapping[str, Any]) -> list[Attached]:
    """Return the files of a message that the bot can read."""
    return list(_readable(message.get("files") or ()))[:MOST_ATTACHED]


def _readable(files: Iterable[Mapping[str, Any]]) -> Iterable[Attached]:
    for each in files:
        if each.get("mode") not in _GONE and not each.get("is_external"):
            name = each.get("name") or each.get("title") or each["id"]
            yield Attached(id=each["id"], name=str(name)[:100], size=int(each.get("size") or 0))
