"""What to do about a failed run, by error code: the words after "What to do:" (mrkdwn)."""

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

_RESUMES = "it resumes where it stopped, and nothing is done twice."
_ANOTHER_LIST = (
    "ask whoever keeps the lists in Iterable. If the list is there again, press *Retry*; if not, map the audience to "
    "another list with `/iterable-sync map`, and *Pause* this mapping."
)
_ONE_OF_SEVERAL = (
    "map the right one by its id, with `/iterable-sync map`, or press *Upload a different file* and choose one that "
    "holds that audience alone."
)

_COLUMNS = (
    "press *Upload a different file*, give the same one, and write under *Columns* which one counts, for example "
    "`email=E-Mail`. Later syncs of the mapping use that column too."
)

_ADVICE: Mapping[str, str] = {
    UnavailableError.code: f"nothing is wrong with your audience. Wait some minutes, then press *Retry*: {_RESUMES}",
    UnreachableError.code: f"nothing is wrong with your audience. Wait some minutes, then press *Retry*: {_RESUMES}",
    RateLimitedError.code: (
        "wait until what else uses this Iterable project has ended, or have an admin lower *Requests a second* of the "
        f"connection. Then press *Retry*: {_RESUMES}"
    ),
    InvalidApiKeyError.code: (
        f"an admin presses *Replace key* and enters a new one from Iterable. Then press *Retry*: {_RESUMES}"
    ),
    ListError.code: _ANOTHER_LIST,
    ListNotFoundError.code: _ANOTHER_LIST,
    ListNotStandardError.code: _ANOTHER_LIST,
    UnexpectedResponseError.code: (
        f"have an admin check the connection's data center (*Edit* on the Home page). Then press *Retry*: {_RESUMES}"
    ),
    InputError.code: (
        "put right what is said above, then press *Upload a different file*. *Retry* reads the same one once more."
    ),
    AmbiguousColumnsError.code: (
        "press *Choose columns*, and say which one counts. The sync then starts again. Later syncs of the mapping use "
        "that column too."
    ),
    ColumnNotFoundError.code: _COLUMNS,
    SeveralAudiencesError.code: _ONE_OF_SEVERAL,
    AudiencesOfOneNameError.code: _ONE_OF_SEVERAL,
    EarlierRunAwaitingApprovalError.code: (
        "have an approver decide on that run, in its message or on the Home page, or drop it with "
        f"`/iterable-sync cancel` and its id. Then press *Retry*: {_RESUMES}"
    ),
    EarlierRunFailedError.code: (
        "see to that run first; its message says what to do. What it had left is dropped with `/iterable-sync cancel` "
        f"and its id. Then press *Retry*: {_RESUMES}"
    ),
    AnotherListError.code: (
        "have an admin connect the other project with `/iterable-sync connect`, and map the audience there with "
        "`/iterable-sync map`."
    ),
    NoApiKeyError.code: f"an admin presses *Replace key* on the Home page. Then press *Retry*: {_RESUMES}",
    FetchError.code: "nothing was lost. Wait some minutes, then press *Retry*: the audience is fetched again.",
    SettingsError.code: f"tell whoever operates this program. When that is mended, press *Retry*: {_RESUMES}",
}
_OTHERWISE = (
    f"press *Retry*: {_RESUMES} If it fails again, tell whoever operates this program, with the id of the run below."
)


def remediation(code: str | None) -> str:
    """Return what to do about an error."""
    return _ADVICE.get(code or "", _OTHERWISE)
