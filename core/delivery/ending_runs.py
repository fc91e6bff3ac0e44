"""The runs of a process that have few requests left and have made room for the next runs of their Iterable project.

All processes together execute up to four runs of a project at once (core/store/run_queue.py). If a run kept its room
until it has ended, the rate limit would be unused while the next runs are planned. So it makes room about as long
before as planning takes, and the next run is planned while the last requests leave.
"""

import asyncio

from core.models.run import Run

# So many seconds before its last request leaves, at the connection's rate, a run makes room for another one.
LAST_S = 2.0
# How many runs of a connection that have made room a process executes at most. With more, planning would delay the
# requests that are due, and a connection with many very small runs could fill the process.
ENDING_AT_ONCE = 2
# A process claims a run this many seconds after it has made room. Other processes, which PostgreSQL notifies, may have
# claimed one before: so the runs of a project are planned by several processes, and not by the one that sends.
HEAD_START_S = 0.1


class EndingRuns:
    """These runs. `made_room` is set when another run may be claimed."""

    def __init__(self, made_room: asyncio.Event) -> None:
        """Begin with none."""
        self._made_room = made_room
        self._connections: dict[str, int] = {}  # by run id

    @property
    def ids(self) -> frozenset[str]:
        """The ids of these runs."""
        return frozenset(self._connections)

    def add(self, run: Run, requests_left: int) -> bool:
        """Add a run if it has few requests left and not too many others have. Returns whether it may make room.

        Without a rate limit planning is the bound, so nothing would be gained.
        """
        of_connection = list(self._connections.values()).count(run.connection_id)
        if not run.rate or requests_left > run.rate * LAST_S or of_connection >= ENDING_AT_ONCE:
            return False
        self._connections[run.id] = run.connection_id
        return True

    def announce(self) -> None:
        """Set `made_room`, a little later."""
        asyncio.get_running_loop().call_later(HEAD_START_S, self._made_room.set)

    def remove(self, run_id: str) -> None:
        """Remove a run whose upload has ended, if it was added."""
        self._connections.pop(run_id, None)
