"""Iterable's answers: what each means, what we do then, what we say, and what a person can do. One table for all.

`core.iterable.responses` goes through `ANSWERS` in order and takes the first that fits. The page
docs/reference/iterable-answers.md is generated from the same rows. A row has no words of its own for people: what we
say and what a person can do are those of its error, or of the reason for which a member is rejected
(`core.reporting.rejection_reasons`).

Sources: (D) documented by Iterable, in its API description 1.8 or its support pages; (O) observed in public code or
tests of other integrations; (I) our inference.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from core.iterable.errors import (
    IdentityConflictError,
    InvalidApiKeyError,
    IterableError,
    ListError,
    ListInUseError,
    ListNotFoundError,
    ListNotStandardError,
    RateLimitedError,
    RequestRejectedError,
    RequestTooLargeError,
    UnavailableError,
    UnexpectedResponseError,
    UnreachableError,
)
from core.iterable.models import FailureReason


class Action(StrEnum):
    """What we do when Iterable has answered, as a sentence for people."""

    RECORD = "Record the outcome of each member."
    RECORD_UNCONFIRMED = "Count the members, and send them again in the next sync."
    WAIT = "Wait as long as Iterable asks, slow down, and send the request again."
    RETRY = "Send the request again, with a growing delay. If that does not help, stop; the sync can be resumed."
    RETRY_THEN_SPLIT = (
        "Send the request again, with a growing delay. If others succeed meanwhile, send it in parts and reject the "
        "member that fails alone; if all fail, stop; the sync can be resumed."
    )
    RETRY_IF_NEW = (
        "Send the request again for 90 seconds if the list is younger than 5 minutes. Otherwise stop the sync."
    )
    SPLIT = "Send the request in parts, and reject the member that is refused alone."
    STOP = "Stop the sync. What was done stays done."
    STOP_CONNECTION = "Stop all syncs of the connection, with one alert."


@dataclass(frozen=True, slots=True)
class Answer:
    """A kind of answer. It fits if all that it names fits; what is left empty fits always.

    `statuses` are ranges of the HTTP status, both ends included. `words` are searched in `msg` (addresses are left
    out). `is_json` asks whether the body is a JSON object, `about_list` whether the request was about one list,
    `has_key` whether the body has a field of that name. A row that names nothing never fits: it is for people.
    """

    name: str
    action: Action
    error: type[IterableError] | None = None
    statuses: tuple[tuple[int, int], ...] = ()
    codes: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None
    is_json: bool | None = None
    about_list: bool = False
    has_key: str | None = None
    failure: FailureReason | None = None
    source: str = "D"

    def fits(self, status: int, code: str | None, words: str, keys: frozenset[str] | None, *, about_list: bool) -> bool:
        """Whether an answer is of this kind. `keys` are the fields of its body, None if that is no JSON object."""
        if not (self.statuses or self.codes or self.words or self.has_key):
            return False
        return (
            (not self.statuses or any(low <= status <= high for low, high in self.statuses))
            and (not self.codes or code in self.codes)
            and (self.words is None or self.words.search(words) is not None)
            and (self.is_json is None or self.is_json is (keys is not None))
            and (about_list or not self.about_list)
            and (self.has_key is None or self.has_key in (keys or ()))
        )


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_KEY_CODES = frozenset(
    {
        "BadApiKey",
        "BadAuthorizationHeader",
        "Forbidden",
        "InvalidJwtPayload",
        "JwtUserIdentifiersMismatched",
        "Unauthorized",
    }
)

#: In the order in which they are tried.
ANSWERS: tuple[Answer, ...] = (
    Answer("too fast", Action.WAIT, RateLimitedError, statuses=((429, 429),)),
    Answer("too fast, by its code", Action.WAIT, RateLimitedError, codes=frozenset({"RateLimitExceeded"})),
    # Iterable's words for a list of the wrong type are not published, hence the variants.
    Answer(
        "list is not static",
        Action.STOP,
        ListNotStandardError,
        words=_words(r"\bnot (a )?(static|standard)\b"),
        about_list=True,
        source="I",
    ),
    # Seen with the statuses 400 and 500, and with the code Success.
    Answer(
        "list is unknown",
        Action.RETRY_IF_NEW,
        ListNotFoundError,
        words=_words(r"error\.lists\.invalidListId"),
        about_list=True,
        source="O",
    ),
    Answer("list is refused", Action.STOP, ListError, words=_words(r"error\.lists\.\w"), about_list=True, source="I"),
    Answer(
        "list is in use",
        Action.STOP,
        ListInUseError,
        statuses=((409, 409),),
        codes=frozenset({"Conflict"}),
        about_list=True,
    ),
    Answer("not now", Action.RETRY, UnavailableError, statuses=((408, 408), (425, 425)), source="I"),
    # GenericError with 500 is documented for permanent faults, too, such as a user that can't be created.
    Answer("server error", Action.RETRY_THEN_SPLIT, UnavailableError, statuses=((500, 500),), is_json=True),
    Answer("gateway error", Action.RETRY, UnavailableError, statuses=((500, 599),)),
    # Following a redirect could hand the key to another host.
    Answer("redirect", Action.STOP, UnexpectedResponseError, statuses=((300, 399),), source="I"),
    Answer("key is refused", Action.STOP_CONNECTION, InvalidApiKeyError, statuses=((401, 401),)),
    Answer("body is too large", Action.SPLIT, RequestTooLargeError, statuses=((413, 413),)),
    Answer("gateway page", Action.RETRY, UnavailableError, statuses=((400, 499),), is_json=False, source="I"),
    # `offendingValue` in it is personal data: only the names of the fields are read.
    Answer(
        "field has another type",
        Action.SPLIT,
        RequestRejectedError,
        has_key="validationErrors",
        failure=FailureReason.INVALID_DATA,
        source="O",
    ),
    Answer(
        "user id is unknown",
        Action.SPLIT,
        IdentityConflictError,
        words=_words(r"error\.users\.noUserWithIdExists"),
        failure=FailureReason.NOT_FOUND,
        source="O",
    ),
    Answer(
        "person is forgotten",
        Action.SPLIT,
        IdentityConflictError,
        codes=frozenset({"ForgottenUserError"}),
        failure=FailureReason.FORGOTTEN,
    ),
    Answer(
        "identity is taken",
        Action.SPLIT,
        IdentityConflictError,
        codes=frozenset({"EmailAlreadyExists", "UserIdAlreadyExists", "ExternalKeyConflict"}),
        failure=FailureReason.CONFLICT,
    ),
    Answer(
        "person is unknown",
        Action.SPLIT,
        IdentityConflictError,
        codes=frozenset({"UnknownEmailError", "UnknownUserIdError"}),
        failure=FailureReason.NOT_FOUND,
    ),
    Answer(
        "email is invalid",
        Action.SPLIT,
        RequestRejectedError,
        codes=frozenset({"InvalidEmailAddressError"}),
        failure=FailureReason.INVALID_EMAIL,
    ),
    Answer(
        "user id is invalid",
        Action.SPLIT,
        RequestRejectedError,
        codes=frozenset({"InvalidUserIdError"}),
        failure=FailureReason.INVALID_USER_ID,
    ),
    Answer(
        "other conflict", Action.SPLIT, IdentityConflictError, statuses=((409, 409),), failure=FailureReason.CONFLICT
    ),
    Answer("key is refused, by its code", Action.STOP_CONNECTION, InvalidApiKeyError, codes=_KEY_CODES),
    Answer("batch is too large", Action.SPLIT, RequestTooLargeError, codes=frozenset({"BatchTooLarge"})),
    Answer("database error", Action.RETRY, UnavailableError, codes=frozenset({"DatabaseError"})),
    Answer("key may not", Action.STOP_CONNECTION, InvalidApiKeyError, statuses=((403, 403),)),
    Answer(
        "list is not found",
        Action.RETRY_IF_NEW,
        ListNotFoundError,
        statuses=((404, 404),),
        codes=frozenset({"NotFound"}),
        about_list=True,
        source="I",
    ),
    Answer(
        "request is refused",
        Action.SPLIT,
        RequestRejectedError,
        statuses=((400, 400),),
        failure=FailureReason.INVALID_DATA,
    ),
    Answer("not Iterable", Action.STOP, UnexpectedResponseError, statuses=((300, 599),), source="I"),
    Answer("accepted, not applied", Action.RECORD_UNCONFIRMED, statuses=((202, 202),)),
    Answer("success", Action.RECORD, statuses=((200, 299),)),
    # These two never fit: the first has no answer, the second is found when the answer is read.
    Answer("no answer", Action.RETRY, UnreachableError, source="I"),
    Answer("unreadable", Action.RETRY, UnavailableError, source="I"),
)

#: A code that no row knows, under a status of success.
REFUSED_WITH_SUCCESS = next(answer for answer in ANSWERS if answer.name == "request is refused")

#: The reasons in `failedUpdates` of an answer 200, each a pair of lists: `<reason>Emails` and `<reason>UserIds`.
FAILED_UPDATES: Mapping[str, FailureReason] = {
    "forgotten": FailureReason.FORGOTTEN,
    "conflict": FailureReason.CONFLICT,
    "notFound": FailureReason.NOT_FOUND,
    "invalid": FailureReason.INVALID_EMAIL,
    "invalidData": FailureReason.INVALID_DATA,
}


def classify(status: int, code: str | None, words: str, keys: frozenset[str] | None, *, about_list: bool) -> Answer:
    """Return the kind of an answer; the arguments are those of `Answer.fits`."""
    found = next((each for each in ANSWERS if each.fits(status, code, words, keys, about_list=about_list)), None)
    assert found is not None, "the last rows fit every status"
    return REFUSED_WITH_SUCCESS if found.error is None and code is not None else found
