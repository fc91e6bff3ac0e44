"""Iterable's API: the client, its errors and its rate limit.

The client is imported on first use. It needs aiohttp, which takes longer to import than a command such as `runs list`
takes to run, and most callers need only the errors and the models.
"""

from typing import TYPE_CHECKING, Any

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
from core.iterable.models import (
    BulkResult,
    Campaign,
    DataCenter,
    FailureReason,
    IterableList,
    IterableUser,
    RequestStats,
    SubscriberKey,
)
from core.iterable.rate_limiter import NoRateLimit, RateLimiter, Slot
from core.iterable.retry import RetryPolicy

if TYPE_CHECKING:
    from core.iterable.client import IterableClient

__all__ = [
    "BulkResult",
    "Campaign",
    "DataCenter",
    "FailureReason",
    "IdentityConflictError",
    "InvalidApiKeyError",
    "IterableClient",
    "IterableError",
    "IterableList",
    "IterableUser",
    "ListError",
    "ListInUseError",
    "ListNotFoundError",
    "ListNotStandardError",
    "NoRateLimit",
    "RateLimitedError",
    "RateLimiter",
    "RequestRejectedError",
    "RequestStats",
    "RequestTooLargeError",
    "RetryPolicy",
    "Slot",
    "SubscriberKey",
    "UnavailableError",
    "UnexpectedResponseError",
    "UnreachableError",
]


def __getattr__(name: str) -> Any:
    if name != "IterableClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from core.iterable.client import IterableClient

    return IterableClient
