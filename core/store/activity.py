"""Whether something happens in the database: while nothing does, loops that look for work look less often.

A process notes its own commits. On PostgreSQL it announces them to the other processes with a notification, at most
one a second, and notes theirs. On SQLite it sees in the log file that another process has written.
"""

import asyncio
import secrets
import time

#: The channel of the notifications.
CHANNEL = "iterable_sync_activity"
#: For so many seconds after a commit, loops look as often as while there is work.
STAYS_S = 3.0


class Activity:
    """The commits of all processes, as far as this one knows of them. Heartbeats and looks that find nothing don't
    count.
    """

    def __init__(self) -> None:
        """No I/O."""
        #: The name of this process in its notifications, which it gets, too.
        self.id = secrets.token_hex(6)
        #: Whether this process learns of the commits of others. If not, it has to look all the time.
        self.is_told = False
        #: Set by a commit of this process, for whoever announces it.
        self.own = asyncio.Event()
        #: How many commits were noted. A loop compares it with what it was before it looked.
        self.count = 0
        self._noted_at = time.monotonic()

    @property
    def is_recent(self) -> bool:
        """Whether anything was committed lately."""
        return time.monotonic() - self._noted_at < STAYS_S

    def note(self) -> None:
        """Note that any process has committed something."""
        self.count += 1
        self._noted_at = time.monotonic()

    def note_own(self) -> None:
        """Note that this process has committed something."""
        self.note()
        self.own.set()
