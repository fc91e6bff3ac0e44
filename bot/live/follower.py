"""The follower: brings what Slack shows to what the database says, again and again."""

from bot.services import Services

# How often it looks without being woken, in seconds.
LOOK_EVERY_S = 1.0


class Follower:
    """Posts and edits the messages of runs and alerts. Run one in each process: only one of them works at a time."""

    def __init__(self, services: Services) -> None:
        """Take the services. No I/O."""
        self._services = services

    async def run(self) -> None:
        """Follow until the engine is stopping; then show the last state once more."""
        stopping = self._services.engine.stopping
        while not stopping.is_set():
            await self._services.wake.wait(LOOK_EVERY_S)
