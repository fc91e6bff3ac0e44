"""Database errors as sentences: what is wrong, and what to do.

A driver repeats what it was given: parts of the address, which can be parts of a password, and values of rows. So the
text of PostgreSQL's driver is never shown. Those of SQLite that are shown are fixed (sqlite.org/rescode.html).
"""

import os
import sqlite3


def describe(error: Exception) -> str:
    """Return a sentence for an error of the database: what is wrong and what to do."""
    original = getattr(error, "orig", error)
    lowered = str(original).strip().split("\n")[0].lower()
    for words, sentence in _SENTENCES:
        if any(each in lowered for each in words):
            return sentence.format(cause=_cause(original))
    cause = _cause(original)
    return f"The database did not answer as it should ({cause}). Check ITERABLE_SYNC_DATABASE_URL and the server."


def _cause(error: object) -> str:
    """What may be shown of a driver's error: SQLite's text if it is a fixed one; otherwise the type and the code."""
    if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _FIXED_TEXTS:
        return str(error).strip().split("\n")[0]
    if isinstance(error, OSError):  # without the path
        return os.strerror(error.errno) if error.errno else type(error).__name__
    state, name = getattr(error, "sqlstate", None), type(error).__name__
    return f"{name}, SQLSTATE {state}" if state else name


# Errors of SQLite whose texts hold no values.
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

# By words in what the database says: what is wrong, and what to do.
_SENTENCES = (
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
            "The disk could not be read or written ({cause}). Free some space, or see what is wrong with it, and start "
            "again: nothing is lost, and a run goes on."
        ),
    ),
    (
        ("full", "no space"),
        "The disk is full. Free some space and start again: nothing is lost, and a run goes on.",
    ),
    (
        ("not a database", "malformed"),
        "The database file is damaged ({cause}). Restore it from a backup, or move it away to begin anew.",
    ),
    (
        ("locked",),
        "The database is locked by another program. End that program (a backup, a database browser) and try again.",
    ),
)
