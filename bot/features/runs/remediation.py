"""What to do about a failed run, by error code: the words after "What you can do:" (mrkdwn)."""

from collections.abc import Mapping

from core.errors import (
    AmbiguousColumnsError,
    AnotherListError,
    AudiencesOfOneNameError,
    ColumnNotFoundError,
    EarlierRunAwaitingApprovalError,
    EarlierRunFailedError,
    InputError,
    NoApiKeyError,
    SettingsError,
    SeveralAudiencesError,
)
from core.iterable import (
    InvalidApiKeyError,
    ListError,
    ListNotFoundError,
    ListNotStandardError,
    RateLimitedError,
    UnavailableError,
    UnexpectedResponseError,
    UnreachableError,
)
from core.sources.fetch import FetchError

_RESUMES = "it resumes where it left off."
_ANOTHER_LIST = (
    "ask whoever manages the lists in Iterable. If the list is back, press *Retry now*. If not, map the audience to "
    "another list with `/iterable-sync map`, and *Pause* this mapping."
)
_ONE_OF_SEVERAL = (
    "map the right one by its id with `/iterable-sync map`, or press *Upload a different file* and choose one with "
    "that audience alone."
)

_COLUMNS = (
    "press *Upload a different file*, choose the same file, and enter under *More options* > *Columns* which one "
    "counts, for example "
    "`email=E-Mail`. Later syncs of the mapping use that column too."
)

_ADVICE: Mapping[str, str] = {
    UnavailableError.code: f"nothing is wrong with your audience. Retry in a few minutes - {_RESUMES}",
    UnreachableError.code: f"nothing is wrong with your audience. Retry in a few minutes - {_RESUMES}",
    RateLimitedError.code: (
        "wait until other tools use this Iterable project less, or have an admin lower *Requests a second* of the "
        f"connection. Then press *Retry now* - {_RESUMES}"
    ),
    InvalidApiKeyError.code: (
        f"an admin presses *Replace key* and enters a new one from Iterable. Then press *Retry now* - {_RESUMES}"
    ),
    ListError.code: _ANOTHER_LIST,
    ListNotFoundError.code: _ANOTHER_LIST,
    ListNotStandardError.code: _ANOTHER_LIST,
    UnexpectedResponseError.code: (
        "have an admin check the connection's data center (*Edit* on the Home page). Then press *Retry now* - "
        f"{_RESUMES}"
    ),
    InputError.code: "correct the file as described above, then press *Upload a different file*.",
    AmbiguousColumnsError.code: (
        "press *Choose columns*, and say which one counts. The sync then starts again. Later syncs of the mapping use "
        "that column too."
    ),
    ColumnNotFoundError.code: _COLUMNS,
    SeveralAudiencesError.code: _ONE_OF_SEVERAL,
    AudiencesOfOneNameError.code: _ONE_OF_SEVERAL,
    EarlierRunAwaitingApprovalError.code: (
        "have an approver decide on that run, in its message or on the Home page, or cancel it with "
        f"`/iterable-sync cancel` and its id. Then press *Retry now* - {_RESUMES}"
    ),
    EarlierRunFailedError.code: (
        "look at that run first; its message says what to do. Or cancel it with `/iterable-sync cancel` and its id. "
        f"Then press *Retry now* - {_RESUMES}"
    ),
    AnotherListError.code: (
        "have an admin connect the other project with `/iterable-sync connect`, and map the audience there with "
        "`/iterable-sync map`."
    ),
    NoApiKeyError.code: f"an admin presses *Replace key* on the Home page. Then press *Retry now* - {_RESUMES}",
    FetchError.code: "nothing was lost. Retry in a few minutes - the audience is fetched again.",
    SettingsError.code: f"contact whoever operates this program. When it is fixed, press *Retry now* - {_RESUMES}",
}
_OTHERWISE = (
    f"press *Retry now* - {_RESUMES} If it fails again, contact whoever operates this program, with the id of the run "
    "below."
)


def remediation(code: str | None) -> str:
    """Return what to do about an error."""
    return _ADVICE.get(code or "", _OTHERWISE)
