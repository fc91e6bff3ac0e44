"""The commands that help after an error, by its code. The error itself says what is wrong."""

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
    ProjectTypeUnknownError,
    SecretKeyMissingError,
    SettingsError,
    SeveralAudiencesError,
    SeveralMappingsError,
)

#: Error codes that mean bad input.
BAD_INPUT = frozenset(
    {
        InputError.code,
        SettingsError.code,
        SeveralAudiencesError.code,
        AudiencesOfOneNameError.code,
        EarlierRunAwaitingApprovalError.code,
        AnotherListError.code,
        SeveralMappingsError.code,
        NoApiKeyError.code,
        AmbiguousColumnsError.code,
        ColumnNotFoundError.code,
        ProjectTypeUnknownError.code,
        SecretKeyMissingError.code,
    }
)
_SAVE = "\n  To save a connection:  iterable-sync connections add NAME\n  To use a saved one:     --connection NAME"
#: Follows what is said about a project type that is not known.
CHOOSE_TYPE = "\n  To choose it:  iterable-sync connections project-type NAME TYPE"
#: Follows what is said about a secret key that is missing.
LOST_KEY = "\n  If it is lost:  iterable-sync rekey --lost"
_REMEDIES: Mapping[str, str] = {
    SeveralAudiencesError.code: " Choose it with --audience, or map it by its id.",
    AudiencesOfOneNameError.code: " Choose it by its id, with --audience.",
    SeveralMappingsError.code: " Choose it with --audience.",
    EarlierRunAwaitingApprovalError.code: (
        "\n  To approve it:  iterable-sync runs resume {run} --yes\n  To drop it:     iterable-sync runs cancel {run}"
    ),
    EarlierRunFailedError.code: "\n  To drop its changes:  iterable-sync runs cancel {run}",
    AmbiguousColumnsError.code: " Choose it with --column, for example --column email=NAME.",
    AnotherListError.code: _SAVE,
    NoApiKeyError.code: _SAVE,
    ProjectTypeUnknownError.code: CHOOSE_TYPE,
    SecretKeyMissingError.code: LOST_KEY,
}


def remediation(code: str | None, run_id: str | None = None) -> str:
    """Return the text that follows an error message; `run_id` is the run that the error is about.

    Each command is on a line of its own, ready to copy.
    """
    return _REMEDIES.get(code or "", "").replace("{run}", run_id or "RUN")
