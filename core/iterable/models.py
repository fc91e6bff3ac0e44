"""The values of requests and answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class DataCenter(StrEnum):
    """The data center of an Iterable project. It does not know the keys of the other one."""

    US = "us"
    EU = "eu"

    @property
    def url(self) -> str:
        """The base URL of its API."""
        return "https://api.eu.iterable.com" if self is DataCenter.EU else "https://api.iterable.com"


class FailureReason(StrEnum):
    """Why Iterable did not accept a member. The values appear in reports."""

    INVALID_EMAIL = "iterable_invalid_email"
    INVALID_USER_ID = "iterable_invalid_user_id"
    CONFLICT = "iterable_conflict"
    FORGOTTEN = "iterable_forgotten"
    NOT_FOUND = "iterable_not_found"
    INVALID_DATA = "iterable_invalid_data"
    ERROR = "iterable_error"
    """Iterable answers 500 to this member, even alone, while it accepts others."""


#: How a request names a person: email and user id, at least one of them.
SubscriberKey = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class IterableList:
    """A list of people in Iterable. Only lists of type Standard can be changed. `created_at` is in ms since 1970."""

    id: int
    name: str
    type: str
    created_at: int | None = None
    description: str = ""

    @property
    def is_standard(self) -> bool:
        """Whether people can be subscribed to the list."""
        return self.type == "Standard"


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign: the lists that it goes to, and those whose people it leaves out. `start_at` is in UTC seconds."""

    id: int
    name: str
    state: str
    list_ids: frozenset[int]
    suppression_list_ids: frozenset[int]
    start_at: float | None


@dataclass(frozen=True, slots=True)
class IterableUser:
    """A person in a project, with the ids of the static lists that they are on. Iterable does not say since when."""

    email: str | None
    user_id: str | None
    list_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class BulkResult:
    """The outcome of a subscribe or unsubscribe request.

    `failed_emails` is keyed by the email in lower case (Iterable's answer may use another case than the request),
    `failed_user_ids` by the exact user id. A member may be in both. If `fail_count` is larger than the number of
    members in them, Iterable did not say which ones failed. If `is_applied` is false, Iterable accepted the request
    (202) without reporting an outcome.
    """

    success_count: int
    fail_count: int
    failed_emails: Mapping[str, FailureReason] = field(default_factory=dict)
    failed_user_ids: Mapping[str, FailureReason] = field(default_factory=dict)
    is_applied: bool = True
    dropped_fields: tuple[str, ...] = ()
    """Data fields that the project does not know and did not add (`filteredOutFields`)."""

    @property
    def is_clean(self) -> bool:
        """Whether Iterable has confirmed every member."""
        return self.is_applied and not (self.fail_count or self.failed_emails or self.failed_user_ids)


@dataclass(slots=True)
class RequestStats:
    """Counts of a client: all requests, requests repeated after a transient fault, and answers with status 429."""

    requests: int = 0
    retries: int = 0
    throttled: int = 0
