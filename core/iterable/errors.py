"""The errors of requests to Iterable.

Each class says with `is_transient` whether a later attempt may help; code that retries reads nothing else. A message
contains no API key, no address, and nothing from Iterable's `msg`, which may quote addresses.
"""

from typing import Any, ClassVar

from core.errors import SyncError
from core.iterable.models import FailureReason


class IterableError(SyncError):
    """The base of all errors that Iterable, or the network on the way to it, causes.

    `status` is the HTTP status, `api_code` the word in the answer's `code` field, and `list_id` the list that the
    request was about. Each is None if there was none.
    """

    code = "iterable_error"
    #: What is wrong, and what a person can do. Together they are the default message. `{list_id}` and `{answer}`
    #: (status and code in parentheses, or nothing) are replaced.
    says: ClassVar[str] = "Iterable's answer{answer} was not understood."
    remedy: ClassVar[str] = ""

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        api_code: str | None = None,
        list_id: int | None = None,
    ) -> None:
        self.status = status
        self.api_code = api_code
        parts = (None if status is None else f"HTTP {status}", api_code)
        details = ", ".join(part for part in parts if part is not None)
        answer = f" ({details})" if details else ""
        default = f"{self.says} {self.remedy}".strip()
        super().__init__(message or default.format(list_id=list_id, answer=answer), list_id=list_id)


class InvalidApiKeyError(IterableError):
    """Iterable refuses the API key: no run of the connection can continue."""

    code = "key_refused"
    concerns_whole_connection = True
    says = "Iterable refuses the API key{answer}."
    remedy = (
        "Check that it is a server-side key of this project, that it has not been deleted, and that the data center "
        "(US or EU) is the project's."
    )


class ListError(IterableError):
    """Iterable does not accept the list: its mapping can't be synced."""

    code = "list_refused"
    says = "Iterable does not accept list {list_id}{answer}."
    remedy = "Check in Iterable that it exists and that it is a static list, or choose another list."


class ListNotFoundError(ListError):
    """The list does not exist in the key's project, was deleted, or was created too recently to be known."""

    code = "list_gone"
    says = "List {list_id} does not exist in the Iterable project of this API key{answer}."
    remedy = "Check the list's id in Iterable, or choose another list."


class ListNotStandardError(ListError):
    """The list is not static. People can be subscribed to lists of type Standard only."""

    code = "list_not_standard"
    says = "List {list_id} is not a static list{answer}. Iterable lets only static lists be changed."
    remedy = "Choose a list of type Standard, or create one."


class ListInUseError(ListError):
    """Iterable can't change the list now, because something else uses it."""

    code = "list_in_use"
    says = "Iterable can't change list {list_id} now{answer}, because it is in use."
    remedy = "Find out in Iterable what uses the list, and try again when that has ended."


class RequestRejectedError(IterableError):
    """Iterable refused the request. If it contained several members, one of them may be the cause.

    `failure` is the reason to report if the member was sent alone. `fields` are the data fields that have another type
    in Iterable.
    """

    code = "request_refused"
    says = "Iterable refused the request{answer}."
    remedy = "Sending the same request again will not help."

    def __init__(
        self,
        message: str = "",
        *,
        failure: FailureReason = FailureReason.INVALID_DATA,
        fields: tuple[str, ...] = (),
        **details: Any,
    ) -> None:
        super().__init__(message, **details)
        self.failure = failure
        self.fields = fields


class IdentityConflictError(RequestRejectedError):
    """A person's new identity belongs to another person or is forgotten, or Iterable does not know the old one."""

    code = "identity_conflict"
    says = (
        "Iterable can't give the person that identity{answer}: it belongs to someone else, it has been forgotten, or "
        "the person is unknown."
    )
    remedy = ""


class RequestTooLargeError(IterableError):
    """The request's body is larger than Iterable accepts: send it in parts."""

    code = "request_too_large"
    says = "The request is larger than Iterable accepts{answer}."
    remedy = "Send it in smaller parts."


class UnexpectedResponseError(IterableError):
    """The answer does not come from Iterable's API, or not from the version that we know."""

    code = "unexpected_answer"
    says = "The answer{answer} does not look like one of Iterable's API."
    remedy = "Check the data center, and ITERABLE_SYNC_ITERABLE_URL if it is set."


class UnreachableError(IterableError):
    """No answer came: the host can't be reached, the connection broke, or the request timed out."""

    code = "unreachable"
    is_transient = True
    says = "Iterable can't be reached."
    remedy = "Check the network and try again; a run resumes where it stopped."


class UntrustedCertificateError(IterableError):
    """The host's certificate is not trusted: every request fails until the certificates are configured."""

    code = "untrusted_certificate"
    concerns_whole_connection = True
    default_message = "The certificate of Iterable's host is not trusted. Set SSL_CERT_FILE."


class UnavailableError(IterableError):
    """Iterable, or a gateway before it, is failing at the moment: 5xx, or an answer that is not JSON.

    `retry_after` is the wait in seconds that the answer asks for. `may_concern_member`: the answer comes from Iterable
    itself, so one of the members may be the cause. `words` is Iterable's message, without anything that could be an
    address, an id or a key.
    """

    code = "unavailable"
    is_transient = True
    says = "Iterable is having problems{answer}, even after several attempts. Nothing was lost."
    remedy = ""

    def __init__(
        self,
        message: str = "",
        *,
        retry_after: float | None = None,
        may_concern_member: bool = False,
        words: str | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message, **details)
        self.retry_after = retry_after
        self.may_concern_member = may_concern_member
        self.words = words


class RateLimitedError(IterableError):
    """429: requests come faster than Iterable accepts. Callers see it only if nothing else has come for a long time.

    `retry_after` is the wait in seconds that the answer asks for.
    """

    code = "throttled"
    is_transient = True
    says = (
        "Iterable has refused every request for a long time because there were too many{answer}. Something else may be "
        "using up the project's limit."
    )
    remedy = "Lower the connection's rate, or try again later; a run resumes where it stopped."

    def __init__(self, message: str = "", *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after = retry_after


#: The codes of the errors that stop every run of the connection.
WHOLE_CONNECTION_CODES = frozenset({InvalidApiKeyError.code})
#: The codes of errors that a change to the list in Iterable, or its restoration, corrects.
LIST_CODES = frozenset(kind.code for kind in (ListError, ListNotFoundError, ListNotStandardError, ListInUseError))
