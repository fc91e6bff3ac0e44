"""PostgreSQL's addresses as platforms give them, and engines that work behind a pooler and through a fail-over.

Poolers in transaction mode (PgBouncer, Supabase, Neon, DigitalOcean) give each transaction another connection to the
server, so nothing may be left in one: no prepared statement, no `SET`, no advisory lock of a session, no `LISTEN`
(pgbouncer.org/features.html, "SQL feature map for pooling modes").
"""

import math
import re
import time
from typing import Any
from urllib.parse import quote, unquote

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from core.errors import SettingsError

# How long a server may take to accept a connection, in seconds; libpq waits for ever.
CONNECT_TIMEOUT_S = "10"
# When a connection that broke without a word is noticed: seconds without traffic, and ms without an acknowledgement.
_NOTICED = {"keepalives_idle": "5", "keepalives_interval": "2", "keepalives_count": "3", "tcp_user_timeout": "10000"}
# The workflow engine's own choice (its default for engines that it makes).
WORKFLOW_POOL_SIZE = 20

#: The SQLSTATE of a change that a standby refuses.
READ_ONLY = "25006"

_SCHEME = re.compile(r"postgres(?:ql)?(?:\+\w+)?://", re.IGNORECASE)
# What begins with a host is no part of a password: hosts and ports, perhaps none.
_HOSTS = re.compile(r"[\w.\-:,\[\]%~]*")
_NOT_PORT = re.compile(r":(?!\d+(,|$)|$|,)[^\]]*$")
_WRITE_AS = (
    "Write each sign of the user name and the password that is no letter and no digit in its percent form: @ as %40, "
    "/ as %2F, : as %3A, ? as %3F, # as %23, % as %25."
)


def is_postgresql(address: str) -> bool:
    """Whether an address is one of PostgreSQL: `postgresql://`, or `postgres://` as many platforms write it."""
    return _SCHEME.match(address) is not None


def connection_parameters(address: str) -> dict[str, str]:
    """Take an address apart into what libpq calls connection parameters, each a string.

    Everything of libpq's own form is understood (postgresql.org/docs/current/libpq-connect.html, "Connection URIs"):
    several hosts, sockets, `sslmode`, `options`. A password may also hold signs that have a meaning in addresses, as
    long as it is clear where it ends. Raises SettingsError without any piece of the user name or the password.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    credentials, rest = _split(_SCHEME.sub("", address, count=1))
    user, colon, password = credentials.partition(":")
    plain = f"{_quoted(user)}{colon}{_quoted(password)}@" if credentials else ""
    try:
        found = {name: str(value) for name, value in conninfo_to_dict(f"postgresql://{plain}{rest}").items() if value}
    except psycopg.ProgrammingError as error:
        raise SettingsError(_refusal(str(error))) from None
    found.setdefault("connect_timeout", CONNECT_TIMEOUT_S)
    if "," in found.get("host", ""):  # one of them is the primary, and which one changes
        found.setdefault("target_session_attrs", "read-write")
    return found


def open_engine(address: str) -> AsyncEngine:
    """An engine for our own tables. Raises SettingsError if the address is not one. No I/O."""
    engine = create_async_engine(
        "postgresql+psycopg://",
        connect_args=_arguments(address),
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=10,
    )
    event.listen(engine.sync_engine, "handle_error", _on_error)
    return engine


def open_workflow_engine(address: str, ours: AsyncEngine) -> Engine:
    """An engine for the tables of the workflow engine, which works in threads, beside the one for our own. No I/O."""
    engine = create_engine(
        "postgresql+psycopg://",
        connect_args=_arguments(address),
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=WORKFLOW_POOL_SIZE,
        max_overflow=0,
    )
    former, opened = _FormerPrimary(), _Opened()
    event.listen(engine, "connect", opened.on_connect)
    event.listen(engine, "engine_disposed", opened.on_disposed)
    event.listen(engine, "connect", former.on_connect)
    event.listen(engine, "checkout", former.on_checkout)
    for each in (engine, ours.sync_engine):  # ours meets it first: it is used more
        event.listen(each, "handle_error", former.on_error)
    return engine


def _arguments(address: str) -> dict[str, Any]:
    return {**_NOTICED, **connection_parameters(address), "prepare_threshold": None}


def _on_error(context: ExceptionContext) -> None:
    """A primary that has become a standby is as good as gone: no connection to it is used again."""
    if _is_read_only(context):
        context.is_disconnect = True


class _FormerPrimary:
    """Has connections replaced that are older than the last sight of a primary that has become a standby.

    That error is not called a disconnection here: at one, the workflow engine would wait for ever.
    """

    def __init__(self) -> None:
        self._seen_at = -math.inf

    def on_error(self, context: ExceptionContext) -> None:
        """See whether an error says so."""
        if _is_read_only(context):
            self._seen_at = time.monotonic()

    def on_connect(self, _connection: Any, record: ConnectionPoolEntry) -> None:
        """Note when a connection was opened."""
        record.info["opened_at"] = time.monotonic()

    def on_checkout(self, _connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        """Let the pool open another connection in place of one that is too old."""
        if record.info["opened_at"] <= self._seen_at:
            raise InvalidatePoolError


class _Opened:
    """Closes the connections that threads of the workflow engine still hold when it has ended."""

    def __init__(self) -> None:
        self._connections: list[Any] = []

    def on_connect(self, connection: Any, _record: ConnectionPoolEntry) -> None:
        """Note a connection."""
        self._connections = [each for each in self._connections if not each.closed] + [connection]

    def on_disposed(self, _engine: Engine) -> None:
        """Close what is open."""
        for each in self._connections:
            each.close()


def _is_read_only(context: ExceptionContext) -> bool:
    return getattr(context.original_exception, "sqlstate", None) == READ_ONLY


def _split(rest: str) -> tuple[str, str]:
    """Split an address without its scheme into user and password, "" if there are none, and what follows them."""
    authority = re.split("[/?]", rest, maxsplit=1)[0]
    before_query = rest.partition("?")[0]
    end = authority.rfind("@")
    if end < 0 and _NOT_PORT.search(authority):  # what looks like a port is the beginning of a password
        end = (before_query if "@" in before_query else rest).rfind("@")
    credentials, after = rest[: max(end, 0)], rest[end + 1 :]
    hosts = re.split("[/?]", after, maxsplit=1)[0]
    path, _, query = after[len(hosts) :].partition("?")
    is_clear = _HOSTS.fullmatch(hosts) and not _NOT_PORT.search(hosts) and not re.search("[/@]", path[1:])
    if not is_clear or any("=" not in each for each in query.split("&") if each):
        raise SettingsError(f"ITERABLE_SYNC_DATABASE_URL can't be taken apart. {_WRITE_AS}")
    return credentials, after


def _quoted(part: str) -> str:
    """A user name or a password in percent form, whether or not it was in it; a % that begins none is a sign."""
    return quote(unquote(re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", part)), safe="")


def _refusal(why: str) -> str:
    if named := re.search(r'invalid URI query parameter: "(\w{1,40})"', why):
        return (
            f"ITERABLE_SYNC_DATABASE_URL has the parameter {named[1]}, which PostgreSQL's own clients do not know. "
            "Leave it out, or use theirs: sslmode, sslrootcert, options, connect_timeout."
        )
    return (
        "ITERABLE_SYNC_DATABASE_URL is not a database address. Use postgresql://user:password@host/name, or leave it "
        f"out for SQLite in the data directory. {_WRITE_AS}"
    )
