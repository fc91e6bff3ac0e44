"""Errors, by what a person can do about them.

Every error that reaches a person is one of these. The message says what is wrong, where it is and what to do, in words
that suit both Slack and the terminal. The caller that shows the error adds the button or the command, chosen by the
code. Facts that a program needs (which run, which list) are attributes; nothing parses the message. No message contains
an API key or an address. Errors from Iterable are in `core.iterable.errors`, under the same base.
"""

from typing import ClassVar, TypedDict, Unpack

NOT_KEPT = "The changes of run {} are no longer kept: they have expired. Sync the audience again instead."


class ErrorContext(TypedDict, total=False):
    """What an error is about, if known."""

    run_id: str | None
    mapping_id: int | None
    connection_id: int | None
    list_id: int | None
    audience: str | None


class SyncError(Exception):
    """The base of all errors that are shown to a person.

    `message` is one or two sentences; `code` is a stable word for programs (reports, alerts, tests). `run_id`,
    `mapping_id`, `connection_id`, `list_id` and `audience` say what the error is about, if known.
    """

    code: ClassVar[str] = "error"
    #: Whether a later attempt may succeed without a person.
    is_transient: ClassVar[bool] = False
    #: Whether every mapping of the connection fails in the same way: one alert for the connection is enough.
    concerns_whole_connection: ClassVar[bool] = False

    def __init__(self, message: str, **context: Unpack[ErrorContext]) -> None:
        super().__init__(message)
        self.message = message
        self.run_id = context.get("run_id")
        self.mapping_id = context.get("mapping_id")
        self.connection_id = context.get("connection_id")
        self.list_id = context.get("list_id")
        self.audience = context.get("audience")


class InputError(SyncError):
    """The input can't be used: a file, an option, an id. Nothing was sent.

    `path`, `line` and `column` (both counted from 1) say where the error is, if known; the message begins with them.
    """

    code = "bad_input"

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        line: int | None = None,
        column: int | None = None,
        **context: Unpack[ErrorContext],
    ) -> None:
        self.path = path
        self.line = line
        self.column = column
        place = path or ""
        if line is not None:
            place += f", line {line}" if place else f"line {line}"
        if column is not None:
            place += f", column {column}"
        super().__init__(f"{place}: {message}" if place else message, **context)


class NotFoundError(InputError):
    """No run, mapping, connection, list or alert has this id or name, or the workspace may not see it."""


class PermissionDeniedError(InputError):
    """The person may not do this."""


class ConflictError(InputError):
    """The current state does not permit the action: a run has ended, was decided already, or a name is taken."""


class ValidationError(InputError):
    """A value is invalid: an empty name, a negative rate, an empty key."""


class SettingsError(SyncError):
    """The environment, the data directory or the database can't be used."""

    code = "bad_settings"


class SecretKeyMissingError(SettingsError):
    """The generated secret key is gone, and the database has secrets that only it can decrypt."""

    code = "secret_key_missing"


class StorageError(SettingsError):
    """The database or the disk failed during the work. Something may have been sent."""

    code = "storage"
    is_transient = True


class UnexpectedError(SyncError):
    """A bug in this program stopped a run."""

    code = "unexpected"


class NotAccountedForError(SyncError):
    """The numbers of a run do not add up: no counter includes some row of its source."""

    code = "not_accounted_for"


class SeveralAudiencesError(InputError):
    """A file contains several audiences, and none was chosen."""

    code = "several_audiences"


class AmbiguousColumnsError(InputError):
    """A table has several columns for one identity, and none was chosen.

    `candidates` has the names of these columns, by what they would be chosen for (`email`, `customer_id`, `mpid`).
    """

    code = "ambiguous_columns"

    def __init__(self, message: str, candidates: dict[str, list[str]], *, path: str | None = None) -> None:
        super().__init__(message, path=path)
        self.candidates = candidates


class ColumnNotFoundError(InputError):
    """A table has no column of the name that was chosen."""

    code = "column_not_found"


class AudiencesOfOneNameError(InputError):
    """A file contains several audiences of the chosen name."""

    code = "audiences_of_one_name"


class EarlierRunAwaitingApprovalError(ConflictError):
    """An earlier run of the same mapping (`run_id`) waits for approval and has to end first."""

    code = "earlier_run_waits"


class EarlierRunFailedError(SyncError):
    """An earlier, unfinished run of the same mapping (`run_id`) has to end first and has failed again."""

    code = "earlier_run_failed"
    is_transient = True


class AnotherListError(ConflictError):
    """The id of a list (`list_id`) now belongs to another list."""

    code = "another_list"


class SeveralMappingsError(ConflictError):
    """A list (`list_id`) has several mappings, and none was chosen."""

    code = "several_mappings"


class ProjectTypeUnknownError(SettingsError):
    """Iterable does not tell the type of a project, and no person has chosen it."""

    code = "project_type_unknown"


class NoApiKeyError(SettingsError):
    """A connection has no API key of its own, and the environment has none."""

    code = "no_api_key"
