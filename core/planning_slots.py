"""How many runs plan at once in a process: planning needs memory, and large audiences must not delay small ones."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

# Up to this size of its files (bytes), an audience is small: it is planned in a second or two.
SMALL_BYTES = 4 * 1024 * 1024
# Plans at once: of small audiences, and of others.
SMALL_AT_ONCE, LARGE_AT_ONCE = 4, 2


class PlanningSlots:
    """Slots for planning. Small audiences have slots of their own, so they never wait for large ones."""

    def __init__(self) -> None:
        """Make the slots of a process. No I/O."""
        self._small = asyncio.Semaphore(SMALL_AT_ONCE)
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    @asynccontextmanager
    async def hold(self, size: int | None) -> AsyncIterator[None]:
        """Hold a slot for the length of the block. `size` is that of the audience's files in bytes, if it is known."""
        is_small = size is not None and size <= SMALL_BYTES
        async with self._small if is_small else self._large:
            yield


def size_of(paths: Sequence[Path]) -> int:
    """Return the size of files in bytes; those that are gone count as nothing: reading them says what is wrong."""
    return sum(path.stat().st_size for path in paths if path.is_file())
