"""PostgreSQL: the addresses that hosting platforms give, and engines that survive poolers and fail-overs.

A pooler in transaction mode (PgBouncer, Supabase, Neon, DigitalOcean) may give each transaction a different connection
to the server. So nothing may depend on session state: no prepared statement, no `SET`, no session-level advisory lock,
no `LISTEN` (pgbouncer.org/features.html, "SQL feature map for pooling modes"). core/store/job_queue.py listens
only if there is no pooler.
"""

import re
from typing import Any
from urllib.parse import quote, unquote

from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from core.errors import SettingsError

# Within how many seconds a server must accept a connection; libpq's default is to wait forever.
CONNECT_TIMEOUT_S = "10"
# Detects a connection that broke silently: seconds without traffic, and ms without an acknowledgement.
_KEEPALIVE = {"keepalives_idle": "5", "keepalives_interval": "2", "keepalives_count": "3", "tcp_user_timeout": "10000"}
#: Connections of a process to the database, without those of the heartbeat and the notifications. No task takes a
#: second connection while it has one, so a small number only makes tasks wait.
POOL_SIZE = 5
#: How long a task waits for a connection of the pool, in seconds.
POOL_TIMEOUT_S = 300

#: The SQLSTATE of a write that a standby refuses.
READ_ONLY = "25006"

_SCHEME = re.compile(r"postgres(?:ql)?(?:\+\w+)?://", re.IGNORECASE)
# Hosts with ports, or nothing: text that starts like this is not part of a password.
_HOSTS = re.compile(r"[\w.\-:,\[\]%~]*")
_NOT_PORT = re.compile(r":(?!\d+(,|$)|$|,)[^\]]*$")
_WRITE_AS = (
    "Percent-encode each character of the user name and the password that is not a letter or a digit: @ as %40, "
    "/ as %2F, : as %3A, ? as %3F, # as %23, % as %25."
)


def is_postgresql(address: str) -> bool:
    """Return whether an address is a PostgreSQL URL: `postgresql://`, or `postgres://` as many platforms write it."""
    return _SCHEME.match(address) is not None


def connection_parameters(address: str) -> dict[str, str]:
    """Parse a PostgreSQL URL into libpq's connection parameters: names and string values.

    All of libpq's URL syntax is supported (postgresql.org/docs/current/libpq-connect.html, "Connection URIs"): several
    hosts, sockets, `sslmode`, `options`. A password may contain reserved characters as long as its end is unambiguous.
    Raises SettingsError, whose text contains no part of the user name or the password.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    credentials, rest = _split(_SCHEME.sub("", address, count=1))
    user, colon, password = credentials.partition(":")
    encoded = f"{_quoted(user)}{colon}{_quoted(password)}@" if credentials else ""
    try:
        conninfo = conninfo_to_dict(f"postgresql://{encoded}{rest}")
    except psycopg.ProgrammingError as error:
        raise SettingsError(_refusal(str(error))) from None
    parameters = {name: str(value) for name, value in conninfo.items() if value}
    parameters.setdefault("connect_timeout", CONNECT_TIMEOUT_S)
    if "," in parameters.get("host", ""):  # one of the hosts is the primary, and a fail-over changes which
        parameters.setdefault("target_session_attrs", "read-write")
    return parameters


def open_engine(address: str, connections: int = POOL_SIZE) -> AsyncEngine:
    """Create an engine with that many connections at most. No I/O. Raises SettingsError if the address is invalid."""
    engine = create_async_engine(
        "postgresql+psycopg://",
        connect_args=connection_arguments(address),
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
    )
    event.listen(engine.sync_engine, "connect", _on_connect)
    event.listen(engine.sync_engine, "handle_error", _on_error)
    return engine


def connection_arguments(address: str) -> dict[str, Any]:
    """Return the arguments with which psycopg connects. Raises SettingsError if the address is invalid."""
    return {**_KEEPALIVE, **connection_parameters(address), "prepare_threshold": None}


def _on_connect(connection: Any, _record: Any) -> None:
    from core.store.server_cursors import ServerCursor

    connection.driver_connection.server_cursor_factory = ServerCursor


def _on_error(context: ExceptionContext) -> None:
    """Treat a primary that has become a standby as disconnected, so that its connections are not used again."""
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
        context.is_disconnect = True


def _split(rest: str) -> tuple[str, str]:
    """Split a URL without its scheme into the credentials ("" if there are none) and the rest, from the host on.

    Raises SettingsError if the end of the password is ambiguous.
    """
    authority = re.split("[/?]", rest, maxsplit=1)[0]
    before_query = rest.partition("?")[0]
    end = authority.rfind("@")
    if end < 0 and _NOT_PORT.search(authority):  # what looks like a port is the start of a password
        end = (before_query if "@" in before_query else rest).rfind("@")
    credentials, after = rest[: max(end, 0)], rest[end + 1 :]
    hosts = re.split("[/?]", after, maxsplit=1)[0]
    path, _, query = after[len(hosts) :].partition("?")
    is_clear = _HOSTS.fullmatch(hosts) and not _NOT_PORT.search(hosts) and not re.search("[/@]", path[1:])
    if not is_clear or any("=" not in parameter for parameter in query.split("&") if parameter):
        raise SettingsError(f"ITERABLE_SYNC_DATABASE_URL can't be parsed. {_WRITE_AS}")
    return credentials, after


def _quoted(part: str) -> str:
    """Percent-encode a user name or a password, encoded already or not; a % that starts no escape stands for itself."""
    return quote(unquote(re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", part)), safe="")


def _refusal(cause: str) -> str:
    if match := re.search(r'invalid URI query parameter: "(\w{1,40})"', cause):
        return (
            f"ITERABLE_SYNC_DATABASE_URL has the parameter {match[1]}, which PostgreSQL's own clients do not know. "
            "Remove it, or use one that they know: sslmode, sslrootcert, options, connect_timeout."
        )
    return (
        "ITERABLE_SYNC_DATABASE_URL is not a database address. Use postgresql://user:password@host/name, or leave it "
        f"out for SQLite in the data directory. {_WRITE_AS}"
    )
