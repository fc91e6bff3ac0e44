"""The slash command: its name."""

from typing import Final

COMMAND: Final = "/iterable-sync"
