"""What passes between us and Iterable, as typed values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class DataCenter(StrEnum):
    """Where an Iterable project lives. A key of one is unknown in the other."""

    US = "us"
    EU = "eu"

    @property
    def url(self) -> str:
        """The API's base URL there."""
        return "https://api.eu.iterable.com" if self is DataCenter.EU else "https://api.iterable.com"


class FailureReason(StrEnum):
    """Why Iterable did not accept a member, in the words that reports use."""

    INVALID_EMAIL = "iterable_invalid_email"
    INVALID_USER_ID = "iterable_invalid_user_id"
    CONFLICT = "iterable_conflict"
    FORGOTTEN = "iterable_forgotten"
    NOT_FOUND = "iterable_not_found"
    INVALID_DATA = "iterable_invalid_data"
    ERROR = "iterable_error"
    """Iterable answers 500 to this member, also alone, while it accepts others."""


#: Who is sent: an email and a user id, at least one of them.
SubscriberKey = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class IterableList:
    """A list of people in Iterable. Only those of type Standard can be changed; `created_at` is in ms."""

    id: int
    name: str
    type: str
    created_at: int | None = None
    description: str = ""

    @property
    def is_standard(self) -> bool:
        """Whether people can be subscribed to it."""
        return self.type == "Standard"


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What became of the members of one subscribe or unsubscribe.

    `failed_emails` is keyed by the email in lower case (Iterable may answer in another case than it was sent),
    `failed_user_ids` by the user id exactly as it is. One member may be named in both. `fail_count` above the
    number of members named means that Iterable did not say which. Not `is_applied`: Iterable has accepted the request
    (202) and not said what became of it.
    """

    success_count: int
    fail_count: int
    failed_emails: Mapping[str, FailureReason] = field(default_factory=dict)
    failed_user_ids: Mapping[str, FailureReason] = field(default_factory=dict)
    is_applied: bool = True

    @property
    def is_clean(self) -> bool:
        """Whether every member is known to be accepted."""
        return self.is_applied and not (self.fail_count or self.failed_emails or self.failed_user_ids)


@dataclass(slots=True)
class RequestStats:
    """What a client has sent: requests in all, those repeated after a passing fault, and answers of 429."""

    requests: int = 0
    retries: int = 0
    throttled: int = 0
