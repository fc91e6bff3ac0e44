"""The cursors of streamed results on PostgreSQL. Imported when a connection is opened: psycopg is slow to import."""

from psycopg import AsyncServerCursor
from psycopg.rows import TupleRow


class ServerCursor(AsyncServerCursor[TupleRow]):
    """A cursor that the end of its transaction closes on the server, and that may be left open until then.

    The server does so with any cursor that is not WITH HOLD (postgresql.org/docs/current/sql-declare.html). psycopg
    warns of a cursor that is deleted while it is open, and closes it with a statement, which fails if the connection is
    broken. A reader that fails has no better time to close it: afterwards another task may use the connection.
    """

    __slots__ = ()

    def __del__(self) -> None:  # type: ignore[override]
        """Do not warn."""
