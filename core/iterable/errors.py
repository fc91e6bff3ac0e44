"""What can go wrong between us and Iterable.

Each class says at its definition whether the fault is passing: trying again later may help. Retrying code asks
for `passing` and for nothing else. A message never holds an API key, an address, or words of Iterable's answer
(its `msg` may quote addresses).
"""

from typing import Any, ClassVar

from core.errors import SyncError
from core.iterable.models import FailureReason


class IterableError(SyncError):
    """The base of every error that Iterable, or the way to it, causes.

    `status` is the HTTP status, `api_code` the word in the answer's `code` field and `list_id` the list that the
    request was about, each None where there was none.
    """

    code = "iterable_error"
    is_transient: ClassVar[bool] = False
    #: What is wrong, and what a person can do: together the message, where none is given. `{list_id}` and `{answer}`
    #: (status and code in parentheses, or nothing) are filled in.
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
        known = ", ".join(str(part) for part in (status, api_code) if part is not None)
        answer = f" ({known})" if known else ""
        default = f"{self.says} {self.remedy}".strip()
        super().__init__(message or default.format(list_id=list_id, answer=answer), list_id=list_id)


class InvalidApiKeyError(IterableError):
    """The API key is not accepted: the connection is broken, for every run that uses it."""

    code = "key_refused"
    concerns_whole_connection = True
    says = "Iterable refuses the API key{answer}."
    remedy = (
        "Check that it is a server-side key of this project, that it has not been deleted, and that the data center "
        "(US or EU) is the project's."
    )


class ListError(IterableError):
    """The list can't be used: the mapping is broken."""

    code = "list_refused"
    says = "Iterable does not accept list {list_id}{answer}."
    remedy = "Check in Iterable that it exists and that it is a static list, or choose another list."


class ListNotFoundError(ListError):
    """The list does not exist in the key's project, or was deleted; or it was just created and is not known yet."""

    code = "list_gone"
    says = "List {list_id} does not exist in the Iterable project of this API key{answer}."
    remedy = "Check the list's id in Iterable, or choose another list."


class ListNotStandardError(ListError):
    """The list is not static: only lists of type Standard can be subscribed to."""

    code = "list_not_standard"
    says = "List {list_id} is not a static list{answer}, and Iterable lets only those be changed."
    remedy = "Choose a list of type Standard, or create one."


class ListInUseError(ListError):
    """Iterable does not change the list now, because something else uses it."""

    code = "list_in_use"
    says = "Iterable does not change list {list_id} now{answer}, because it is in use."
    remedy = "Look in Iterable for what uses the list, and try again when that has ended."


class RequestRejectedError(IterableError):
    """The request was refused as it is; where it carries several members, one of them may be the cause.

    `failure` is what that means for a member that was sent alone, `fields` the data fields that have another type.
    """

    code = "request_refused"
    says = "Iterable refused the request{answer}."
    remedy = "Sending the same again will not help."

    def __init__(
        self,
        message: str = "",
        *,
        failure: FailureReason = FailureReason.INVALID_DATA,
        fields: tuple[str, ...] = (),
        **about: Any,
    ) -> None:
        super().__init__(message, **about)
        self.failure = failure
        self.fields = fields


class IdentityConflictError(RequestRejectedError):
    """A person's new identity belongs to another person, is forgotten, or the old one is unknown."""

    code = "identity_conflict"
    says = (
        "Iterable can't give the person that identity{answer}: it is somebody else's, it has been forgotten, or the "
        "person is not known."
    )
    remedy = ""


class RequestTooLargeError(IterableError):
    """The request's body is larger than Iterable takes: send it in parts."""

    code = "request_too_large"
    says = "The request is larger than Iterable accepts{answer}."
    remedy = "Send it in smaller parts."


class UnexpectedResponseError(IterableError):
    """Something answered that is not Iterable's API, or an API other than the one described."""

    code = "unexpected_answer"
    says = "What answered{answer} does not look like Iterable's API."
    remedy = "Check the data center, and ITERABLE_SYNC_ITERABLE_URL if it is set."


class UnreachableError(IterableError):
    """No answer came: the host can't be reached, or the connection broke, or time ran out."""

    code = "unreachable"
    is_transient = True
    says = "Iterable can't be reached."
    remedy = "Check the network and try again; a run resumes where it stopped."


class UntrustedCertificateError(IterableError):
    """The host's certificate is not trusted: every request meets the same, until the certificates are set right."""

    code = "untrusted_certificate"
    concerns_whole_connection = True
    default_message = "The certificate of Iterable's host is not trusted. Set SSL_CERT_FILE."


class UnavailableError(IterableError):
    """Iterable, or a gateway before it, is failing at the moment: 5xx, or an answer that is not JSON.

    `may_concern_member`: Iterable itself answers so, and perhaps because of one of the members; `words` are its own,
    without what could be an address, an id or a key.
    """

    code = "unavailable"
    is_transient = True
    says = "Iterable is failing at the moment{answer}, also after several tries."
    remedy = "Try again later; a run resumes where it stopped."

    def __init__(
        self,
        message: str = "",
        *,
        retry_after: float | None = None,
        may_concern_member: bool = False,
        words: str | None = None,
        **about: Any,
    ) -> None:
        super().__init__(message, **about)
        self.retry_after = retry_after
        self.may_concern_member = may_concern_member
        self.words = words


class RateLimitedError(IterableError):
    """429: requests come faster than Iterable takes them. Reaches a caller only after a long time of nothing else."""

    code = "throttled"
    is_transient = True
    says = (
        "Iterable has refused every request for a long time because there were too many{answer}. Something else may be "
        "using up the project's limit."
    )
    remedy = "Lower the connection's rate, or try again later; a run resumes where it stopped."

    def __init__(self, message: str = "", *, retry_after: float | None = None, **about: Any) -> None:
        super().__init__(message, **about)
        self.retry_after = retry_after


#: The codes of the errors that every run of the connection meets alike.
WHOLE_CONNECTION_CODES = frozenset({InvalidApiKeyError.code})
