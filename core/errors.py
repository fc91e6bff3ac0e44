"""What can go wrong, by what a person can do about it.

Every error that reaches a person is one of these. The message is a sentence: what is wrong, where, and what
to do, in words that are true wherever it is read: what to press or to type is said by who shows it, by the
error's code. None of them ever holds an API key or an address. Errors that Iterable causes are in
`core.iterable.errors`, under the same base.
"""

NOT_KEPT = (
    "What run {} did in detail is not kept any more: changes are kept for 30 days. Sync the audience again instead."
)


class SyncError(Exception):
    """The base of every error that is meant for a person.

    `message` is one sentence or two; `code` is a stable word for programs (reports, alerts, tests).
    """

    code = "error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InputError(SyncError):
    """What was given can't be used: a file, an option, an id. Nothing has been sent.

    `path`, `line` and `column` (both counted from 1) say where, as far as that is known; they are put in front
    of the message.
    """

    code = "bad_input"

    def __init__(
        self, message: str, *, path: str | None = None, line: int | None = None, column: int | None = None
    ) -> None:
        self.path = path
        self.line = line
        self.column = column
        place = path or ""
        if line is not None:
            place += f", line {line}" if place else f"line {line}"
        if column is not None:
            place += f", column {column}"
        super().__init__(f"{place}: {message}" if place else message)


class SettingsError(SyncError):
    """The environment, the data directory or the database is not as the program needs it."""

    code = "bad_settings"


class StorageError(SettingsError):
    """The database, or the disk, failed while the program was at work: something may have been sent."""

    code = "storage"


class SeveralAudiencesError(InputError):
    """A file holds several audiences, and it was not said which one is meant."""

    code = "several_audiences"


class AudiencesOfOneNameError(InputError):
    """A file holds several audiences of the name that was said."""

    code = "audiences_of_one_name"


class EarlierRunAwaitingApprovalError(InputError):
    """A run of the same mapping waits for approval, and comes first."""

    code = "earlier_run_waits"


class EarlierRunFailedError(SyncError):
    """A run of the same mapping is unfinished, comes first, and has failed again."""

    code = "earlier_run_failed"


class AnotherListError(InputError):
    """A list's id belongs to another list now."""

    code = "another_list"


class SeveralMappingsError(InputError):
    """A list has several mappings, and it was not said which one is meant."""

    code = "several_mappings"


class NoApiKeyError(SettingsError):
    """A connection has no API key of its own, and the environment has none."""

    code = "no_api_key"
