"""What can go wrong, by what a person can do about it.

Every error that reaches a person is one of these. The message is a sentence: what is wrong, where, and what to do, in
words that are true wherever they are read. Which button to press or command to type is added by whoever shows the
error, chosen by its code. Facts that a program needs (which run, which list) are attributes: nothing reads them out of
the message. No message holds an API key or an address. Errors that Iterable causes are in `core.iterable.errors`,
under the same base.
"""

from typing import ClassVar

NOT_KEPT = (
    "What run {} did in detail is not kept any more: changes are kept for 30 days. Sync the audience again instead."
)


class SyncError(Exception):
    """The base of every error that is meant for a person.

    `message` is one sentence or two; `code` is a stable word for programs (reports, alerts, tests). `run_id`,
    `mapping_id`, `connection_id`, `list_id` and `audience` are what the error is about, as far as that is known.
    """

    code: ClassVar[str] = "error"
    #: Whether every mapping of the connection fails in the same way: one alert for the connection is enough.
    concerns_whole_connection: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        run_id: str | None = None,
        mapping_id: int | None = None,
        connection_id: int | None = None,
        list_id: int | None = None,
        audience: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.run_id = run_id
        self.mapping_id = mapping_id
        self.connection_id = connection_id
        self.list_id = list_id
        self.audience = audience


class InputError(SyncError):
    """What was given can't be used: a file, an option, an id. Nothing has been sent.

    `path`, `line` and `column` (both counted from 1) say where, as far as that is known; the message begins with them.
    """

    code = "bad_input"

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        line: int | None = None,
        column: int | None = None,
        run_id: str | None = None,
        mapping_id: int | None = None,
        connection_id: int | None = None,
        list_id: int | None = None,
        audience: str | None = None,
    ) -> None:
        self.path = path
        self.line = line
        self.column = column
        place = path or ""
        if line is not None:
            place += f", line {line}" if place else f"line {line}"
        if column is not None:
            place += f", column {column}"
        super().__init__(
            f"{place}: {message}" if place else message,
            run_id=run_id,
            mapping_id=mapping_id,
            connection_id=connection_id,
            list_id=list_id,
            audience=audience,
        )


class NotFoundError(InputError):
    """There is no run, mapping, connection, list or alert of that id or name (or none that this workspace may see)."""


class PermissionDeniedError(InputError):
    """The person may not do this."""


class ConflictError(InputError):
    """The thing is not in a state that permits this: it has ended, was decided already, or a name is taken."""


class ValidationError(InputError):
    """A value can't be what it is for: an empty name, a negative rate, a key without characters."""


class SettingsError(SyncError):
    """The environment, the data directory or the database is not as the program needs it."""

    code = "bad_settings"


class StorageError(SettingsError):
    """The database, or the disk, failed while the program was at work: something may have been sent."""

    code = "storage"


class UnexpectedError(SyncError):
    """A fault of this program stopped a run."""

    code = "unexpected"


class NotAccountedForError(SyncError):
    """The numbers of a run do not add up: some row of its source is in none of them."""

    code = "not_accounted_for"


class SeveralAudiencesError(InputError):
    """A file holds several audiences, and none was chosen."""

    code = "several_audiences"


class AmbiguousColumnsError(InputError):
    """A table has several columns for one identity, and it was not said which one is meant."""

    code = "ambiguous_columns"


class ColumnNotFoundError(InputError):
    """A table has no column of the name that was chosen."""

    code = "column_not_found"


class AudiencesOfOneNameError(InputError):
    """A file holds several audiences of the chosen name."""

    code = "audiences_of_one_name"


class EarlierRunAwaitingApprovalError(ConflictError):
    """A run of the same mapping (`run_id`) waits for approval, and comes first."""

    code = "earlier_run_waits"


class EarlierRunFailedError(SyncError):
    """A run of the same mapping (`run_id`) is unfinished, comes first, and has failed again."""

    code = "earlier_run_failed"


class AnotherListError(ConflictError):
    """The id of a list (`list_id`) belongs to another list now."""

    code = "another_list"


class SeveralMappingsError(ConflictError):
    """A list (`list_id`) has several mappings, and none was chosen."""

    code = "several_mappings"


class NoApiKeyError(SettingsError):
    """A connection has no API key of its own, and the environment has none."""

    code = "no_api_key"
