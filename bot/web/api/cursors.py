"""Cursors: the place in a list where the next page begins, as an opaque text."""

import base64
import binascii
import math
from dataclasses import dataclass
from typing import Self

from core.errors import ValidationError

# A larger number is no id or time of ours, and the database could not compare it.
_LARGEST = 1e15


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last object of a page, by what the list is ordered by: a number (a time or an id), and an id."""

    number: float
    id: str = ""

    @property
    def text(self) -> str:
        """The text that clients send back."""
        return base64.urlsafe_b64encode(f"{self.number!r} {self.id}".encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str | None) -> Self | None:
        """Return the cursor of a text (None: None). Raises ValidationError if it is no cursor of ours."""
        if text is None:
            return None
        try:
            number, _, last_id = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(" ")
            cursor = cls(float(number), last_id)
        except (binascii.Error, ValueError) as error:
            raise ValidationError("This cursor is invalid. Use `next` of the previous page.") from error
        if not (math.isfinite(cursor.number) and abs(cursor.number) <= _LARGEST) or "\0" in last_id:
            raise ValidationError("This cursor is invalid. Use `next` of the previous page.")
        return cursor
