"""The table of Iterable's answers: what each means, and how we react.

`core.iterable.responses` tries the rows of `ANSWERS` in order and takes the first that matches. The page
docs/reference/iterable-answers.md is generated from the same rows. A row contains no text for people: message and
remedy come from its error, or from the reason for which a member is rejected (`core.reporting.rejection_reasons`).

Sources: (D) documented by Iterable, in its API description 1.8 or its support pages; (O) observed in public code or
tests of other integrations; (I) our inference.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from core.iterable import errors
from core.iterable.models import FailureReason


class Action(StrEnum):
    """How we react to an answer, as a sentence for people."""

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
    """A kind of answer. An answer matches if it meets every condition that is set.

    `statuses` are ranges of the HTTP status, both ends included. `words` is searched for in `msg`, from which addresses
    were removed. `is_json`: the body is a JSON object. `about_list`: the request was about one list. `has_key`: the
    body has a field of that name. A row without conditions never matches: it exists for the reference page.
    """

    name: str
    action: Action
    error: type[errors.IterableError] | None = None
    statuses: tuple[tuple[int, int], ...] = ()
    codes: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None
    is_json: bool | None = None
    about_list: bool = False
    has_key: str | None = None
    failure: FailureReason | None = None
    source: str = "D"

    def matches(
        self, status: int, code: str | None, words: str, keys: frozenset[str] | None, *, about_list: bool
    ) -> bool:
        """Return whether an answer is of this kind. `keys` are the fields of its body, None if it is no JSON object."""
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

#: The first row that matches wins.
ANSWERS: tuple[Answer, ...] = (
    Answer("too fast", Action.WAIT, errors.RateLimitedError, statuses=((429, 429),)),
    Answer("too fast, by its code", Action.WAIT, errors.RateLimitedError, codes=frozenset({"RateLimitExceeded"})),
    # Iterable does not publish its message for a list of the wrong type, hence the variants.
    Answer(
        "list is not static",
        Action.STOP,
        errors.ListNotStandardError,
        words=_words(r"\bnot (a )?(static|standard)\b"),
        about_list=True,
        source="I",
    ),
    # Seen with the statuses 400 and 500, and with the code Success.
    Answer(
        "list is unknown",
        Action.RETRY_IF_NEW,
        errors.ListNotFoundError,
        words=_words(r"error\.lists\.invalidListId"),
        about_list=True,
        source="O",
    ),
    Answer(
        "list is refused", Action.STOP, errors.ListError, words=_words(r"error\.lists\.\w"), about_list=True, source="I"
    ),
    Answer(
        "list is in use",
        Action.STOP,
        errors.ListInUseError,
        statuses=((409, 409),),
        codes=frozenset({"Conflict"}),
        about_list=True,
    ),
    Answer("not now", Action.RETRY, errors.UnavailableError, statuses=((408, 408), (425, 425)), source="I"),
    # Iterable documents GenericError with 500 for permanent faults, too, such as a user that can't be created.
    Answer("server error", Action.RETRY_THEN_SPLIT, errors.UnavailableError, statuses=((500, 500),), is_json=True),
    Answer("gateway error", Action.RETRY, errors.UnavailableError, statuses=((500, 599),)),
    # Following a redirect could send the key to another host.
    Answer("redirect", Action.STOP, errors.UnexpectedResponseError, statuses=((300, 399),), source="I"),
    Answer("key is refused", Action.STOP_CONNECTION, errors.InvalidApiKeyError, statuses=((401, 401),)),
    Answer("body is too large", Action.SPLIT, errors.RequestTooLargeError, statuses=((413, 413),)),
    Answer("gateway page", Action.RETRY, errors.UnavailableError, statuses=((400, 499),), is_json=False, source="I"),
    # Its `offendingValue` is personal data, so only the names of the fields are read.
    Answer(
        "field has another type",
        Action.SPLIT,
        errors.RequestRejectedError,
        has_key="validationErrors",
        failure=FailureReason.INVALID_DATA,
        source="O",
    ),
    Answer(
        "user id is unknown",
        Action.SPLIT,
        errors.IdentityConflictError,
        words=_words(r"error\.users\.noUserWithIdExists"),
        failure=FailureReason.NOT_FOUND,
        source="O",
    ),
    Answer(
        "person is forgotten",
        Action.SPLIT,
        errors.IdentityConflictError,
        codes=frozenset({"ForgottenUserError"}),
        failure=FailureReason.FORGOTTEN,
    ),
    Answer(
        "identity is taken",
        Action.SPLIT,
        errors.IdentityConflictError,
        codes=frozenset({"EmailAlreadyExists", "UserIdAlreadyExists", "ExternalKeyConflict"}),
        failure=FailureReason.CONFLICT,
    ),
    Answer(
        "person is unknown",
        Action.SPLIT,
        errors.IdentityConflictError,
        codes=frozenset({"UnknownEmailError", "UnknownUserIdError"}),
        failure=FailureReason.NOT_FOUND,
    ),
    Answer(
        "email is invalid",
        Action.SPLIT,
        errors.RequestRejectedError,
        codes=frozenset({"InvalidEmailAddressError"}),
        failure=FailureReason.INVALID_EMAIL,
    ),
    Answer(
        "user id is invalid",
        Action.SPLIT,
        errors.RequestRejectedError,
        codes=frozenset({"InvalidUserIdError"}),
        failure=FailureReason.INVALID_USER_ID,
    ),
    Answer(
        "other conflict",
        Action.SPLIT,
        errors.IdentityConflictError,
        statuses=((409, 409),),
        failure=FailureReason.CONFLICT,
    ),
    Answer("key is refused, by its code", Action.STOP_CONNECTION, errors.InvalidApiKeyError, codes=_KEY_CODES),
    Answer("batch is too large", Action.SPLIT, errors.RequestTooLargeError, codes=frozenset({"BatchTooLarge"})),
    Answer("database error", Action.RETRY, errors.UnavailableError, codes=frozenset({"DatabaseError"})),
    Answer("key may not", Action.STOP_CONNECTION, errors.InvalidApiKeyError, statuses=((403, 403),)),
    Answer(
        "list is not found",
        Action.RETRY_IF_NEW,
        errors.ListNotFoundError,
        statuses=((404, 404),),
        codes=frozenset({"NotFound"}),
        about_list=True,
        source="I",
    ),
    Answer(
        "request is refused",
        Action.SPLIT,
        errors.RequestRejectedError,
        statuses=((400, 400),),
        failure=FailureReason.INVALID_DATA,
    ),
    Answer("not Iterable", Action.STOP, errors.UnexpectedResponseError, statuses=((300, 599),), source="I"),
    Answer("accepted, not applied", Action.RECORD_UNCONFIRMED, statuses=((202, 202),)),
    Answer("success", Action.RECORD, statuses=((200, 299),)),
    # These two never match: the first stands for a missing answer, the second is detected while an answer is parsed.
    Answer("no answer", Action.RETRY, errors.UnreachableError, source="I"),
    Answer("unreadable", Action.RETRY, errors.UnavailableError, source="I"),
)

#: How an unknown code is treated if the status says success.
REFUSED_WITH_SUCCESS = next(answer for answer in ANSWERS if answer.name == "request is refused")

#: The reasons in `failedUpdates` of an answer 200. Each is a pair of lists: `<reason>Emails` and `<reason>UserIds`.
FAILED_UPDATES: Mapping[str, FailureReason] = {
    "forgotten": FailureReason.FORGOTTEN,
    "conflict": FailureReason.CONFLICT,
    "notFound": FailureReason.NOT_FOUND,
    "invalid": FailureReason.INVALID_EMAIL,
    "invalidData": FailureReason.INVALID_DATA,
}


def classify(status: int, code: str | None, words: str, keys: frozenset[str] | None, *, about_list: bool) -> Answer:
    """Return the kind of an answer. The arguments are those of `Answer.matches`."""
    kind = next((row for row in ANSWERS if row.matches(status, code, words, keys, about_list=about_list)), None)
    assert kind is not None, "the last rows match every status"
    return REFUSED_WITH_SUCCESS if kind.error is None and code is not None else kind
