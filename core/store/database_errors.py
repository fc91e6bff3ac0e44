"""Database errors as sentences: what is wrong, and what to do."""


def describe(error: Exception) -> str:
    """Return a sentence for an error of the database: what is wrong and what to do."""
    cause = str(getattr(error, "orig", error)).strip().split("\n")[0]
    lowered = cause.lower()
    for words, sentence in _SENTENCES:
        if any(each in lowered for each in words):
            return sentence.format(cause=cause)
    return f"The database did not answer as it should ({cause}). Check ITERABLE_SYNC_DATABASE_URL and the server."


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
