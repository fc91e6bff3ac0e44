"""What to type about an error, by its code. What is wrong is said by the error itself, in words for everybody."""

import re
from collections.abc import Mapping

from core.errors import (
    AnotherListError,
    AudiencesOfOneNameError,
    EarlierRunAwaitingApprovalError,
    EarlierRunFailedError,
    InputError,
    NoApiKeyError,
    SettingsError,
    SeveralAudiencesError,
    SeveralMappingsError,
)

#: The codes of errors that say that what was given can't be used.
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
    }
)
_SAVE = "\n  To save a connection:  iterable-sync connections add"
_REMEDIES: Mapping[str, str] = {
    SeveralAudiencesError.code: " Choose it with --audience, or map it by its id.",
    AudiencesOfOneNameError.code: " Choose it by its id, with --audience.",
    SeveralMappingsError.code: " Choose it with --audience.",
    EarlierRunAwaitingApprovalError.code: (
        "\n  To approve it:  iterable-sync runs resume {run} --yes\n  To drop it:     iterable-sync runs cancel {run}"
    ),
    EarlierRunFailedError.code: "\n  To drop its changes:  iterable-sync runs cancel {run}",
    AnotherListError.code: _SAVE,
    NoApiKeyError.code: _SAVE,
}
# These errors begin with the run that they are about.
_RUN = re.compile(r"Run (\w+)")


def remediation(code: str | None, sentence: str) -> str:
    """What follows an error's sentence on the terminal. A command has a line to itself, so that it can be copied."""
    run = _RUN.match(sentence)
    return _REMEDIES.get(code or "", "").replace("{run}", run[1] if run else "RUN")
