"""Faults during a run: requests that fail, and an event at one of them."""

from collections.abc import Callable
from dataclasses import dataclass

from core.iterable import RetryPolicy
from sandbox.iterable import Fault

HASTY = RetryPolicy(
    max_attempts=2,
    backoff_initial_s=0.0005,
    backoff_max_s=0.001,
    retry_after=0.01,
    throttle_timeout_s=0.2,
    request_timeout_s=5.0,
)


class Crash(Fault):
    """A fault that lets requests pass until the nth, at which the process dies with all that it sends."""

    def __init__(self, call: Callable[[], None], nth: int, applied: bool) -> None:
        super().__init__("reset", applied=applied)
        self._call, self._turn, self._over = call, nth, False

    def strikes(self, method: str, path: str, body: bytes) -> bool:
        """Whether the process is dead. Only the request at which it dies may still arrive."""
        self.matched += 1
        if self.matched == self._turn:
            self._call()
            return True
        self.applied = self.applied and self.matched <= self._turn
        return self.matched > self._turn


class Trip(Fault):
    """A fault that lets every request pass, and calls a function at the nth."""

    def __init__(self, call: Callable[[], None], nth: int) -> None:
        super().__init__("slow")
        self._call, self._turn = call, nth

    def strikes(self, method: str, path: str, body: bytes) -> bool:
        """Count the request, and let it pass."""
        self.matched += 1
        if self.matched == self._turn:
            self._call()
        return False


@dataclass(frozen=True)
class Trouble:
    """The faults during a run: requests that fail by chance, and an event at the nth request or commit."""

    chance: float = 0.0
    path: str = "/api/"
    seed: int = 0
    event: str = "nothing"
    nth: int = 1

    @property
    def faults(self) -> list[Fault]:
        """The requests that fail by chance."""
        chance, path = self.chance, self.path
        return [
            Fault("reset", path=path, probability=chance / 2),
            Fault("reset", path=path, probability=chance / 2, applied=True),
            Fault("error", path=path, probability=chance / 2, status=503),
            Fault("truncated", path=path, probability=chance / 4),
        ]

    @property
    def is_quiet(self) -> bool:
        """Whether there are no faults."""
        return not self.chance and self.event == "nothing"


QUIET = Trouble()
