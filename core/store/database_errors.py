"""Database errors as sentences that say what is wrong and what to do.

A driver's text can contain parts of the address (and so of a password) and values of rows. So the text of PostgreSQL's
driver is never shown, and that of SQLite only for errors whose texts are fixed (sqlite.org/rescode.html).
"""

import os
import re
import sqlite3

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# SQLSTATEs of a server that is not there now, and will be: connections that break (class 08), too many of them, a
# server that stops or starts, a primary that has become a standby; and deadlocks and conflicts between transactions
# (postgresql.org/docs/current/errcodes-appendix.html).
_PASSING = re.compile("08...|53300|57P0[1-3]|25006|40P01|40001")

NOT_PERMITTED = "42501"
NO_SCHEMA = "3F000"


#: What a database raises that does not answer as it should, or whose connections are all in use, and a disk that
#: fails. Loops that poll for work log it and look again.
DATABASE_FAULTS = (DBAPIError, PoolTimeoutError, OSError)


def is_passing(error: BaseException) -> bool:
    """Whether a PostgreSQL server is away for a while: a restart, a broken connection, a fail-over.

    If all connections are in use for long, they wait for the server, so it counts as away, too.
    """
    if isinstance(error, PoolTimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if type(error.orig).__module__.partition(".")[0] != "psycopg":
        return False
    is_refused = state is None and type(error.orig).__name__ in {"OperationalError", "ConnectionTimeout"}
    return error.connection_invalidated or is_refused or (state is not None and _PASSING.fullmatch(state) is not None)


def is_away(error: BaseException) -> bool:
    """Whether the database can't be used at all now, rather than that a statement is wrong."""
    cause = str(getattr(error, "orig", "")).lower()
    gone = ("locked", "readonly", "read-only", "disk is full", "no space", "disk i/o", "unable to open")
    return isinstance(error, OSError) or is_passing(error) or any(words in cause for words in gone)


def describe(error: Exception, role: str | None = None) -> str:
    """Return a sentence that says what is wrong with the database and what to do.

    `role` is who is connected to PostgreSQL, if that is known: the sentence then names what it has to be granted.
    """
    original = getattr(error, "orig", error)
    state = getattr(original, "sqlstate", None)
    if state == NOT_PERMITTED:
        return _not_permitted(str(original), role or "the_role")
    if state == NO_SCHEMA:
        return (
            "PostgreSQL has no schema for the tables. Create the schema that the role's search_path names, and let the "
            f"role use it: {grant('USAGE, CREATE ON SCHEMA its_schema', role or 'the_role')}"
        )
    lowered = str(original).strip().split("\n")[0].lower()
    for words, sentence in _SENTENCES:
        if any(word in lowered for word in words):
            return sentence.format(cause=_cause(original))
    cause = _cause(original)
    return f"The database did not answer as it should ({cause}). Check ITERABLE_SYNC_DATABASE_URL and the server."


def _cause(error: object) -> str:
    """Return what may be shown of a driver's error: SQLite's text if it is fixed, otherwise the type and the code."""
    if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _FIXED_TEXTS:
        return str(error).strip().split("\n")[0]
    if isinstance(error, OSError):  # without the path
        return os.strerror(error.errno) if error.errno else type(error).__name__
    state, name = getattr(error, "sqlstate", None), type(error).__name__
    return f"{name}, SQLSTATE {state}" if state else name


def grant(privilege: str, role: str) -> str:
    """Return the statement that grants a privilege to a PostgreSQL role."""
    return f"GRANT {privilege} TO {identifier(role)};"


def identifier(name: str) -> str:
    """Return a name as an SQL identifier, quoted if necessary."""
    return name if re.fullmatch("[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def _not_permitted(text: str, role: str) -> str:
    # the error shows only the kind and the name of the object: the rest of the text may contain data
    match = re.match(
        r"permission denied for (schema|database|table|sequence|relation|view) (\w+)$", text.split("\n", maxsplit=1)[0]
    )
    kind, name = (match[1], match[2]) if match else ("", "")
    if kind in {"schema", "database"}:
        return (
            f"The role {role} may not create tables in PostgreSQL. Let the owner of the {kind} {name} do this: "
            f"{grant(f'CREATE ON {kind.upper()} {identifier(name)}', role)}"
        )
    if kind:
        return (
            f"The role {role} may not use the {kind} {name} in PostgreSQL. Let its owner do this: "
            f"{grant('ALL ON ALL TABLES IN SCHEMA public', role)}"
        )
    return (
        f"The role {role} may not do this in PostgreSQL. Connect as the role that created the tables, or make this one "
        "their owner."
    )


# Errors of SQLite whose texts contain no values.
_FIXED_TEXTS = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)

# Sentences, chosen by words in the driver's text.
_SENTENCES = (
    (
        ("queuepool limit",),
        (
            "All connections of this process to the database are in use, and none became free for minutes. Check "
            "whether the database server answers, and try again."
        ),
    ),
    (
        ("read-only transaction",),
        (
            "The database takes no changes ({cause}): it is a standby, or set to be read-only. Let it take them, or "
            "set ITERABLE_SYNC_DATABASE_URL to the primary server."
        ),
    ),
    (
        ("readonly", "unable to open", "permission"),
        "The database can't be written ({cause}). Make the data directory writable, or set ITERABLE_SYNC_DATA_DIR.",
    ),
    (
        ("disk i/o",),
        (
            "The disk could not be read or written ({cause}). Free some space, or check its health, and start again: "
            "nothing is lost, and runs resume."
        ),
    ),
    (
        ("full", "no space"),
        "The disk is full. Free some space and start again: nothing is lost, and runs resume.",
    ),
    (
        ("not a database", "malformed"),
        "The database file is damaged ({cause}). Restore it from a backup, or move it away to start with an empty one.",
    ),
    (
        ("locked",),
        "The database is locked by another program. End that program (a backup, a database browser) and try again.",
    ),
)
