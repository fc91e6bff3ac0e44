"""Iterable's API: the client, its errors and its pace."""

from core.iterable.client import IterableClient
from core.iterable.errors import (
    ConflictError,
    InvalidApiKeyError,
    IterableError,
    ListError,
    ListNotFoundError,
    ListNotStandardError,
    RateLimitedError,
    RequestRejectedError,
    RequestTooLargeError,
    UnavailableError,
    UnexpectedResponseError,
    UnreachableError,
)
from core.iterable.models import BulkResult, DataCenter, FailureReason, IterableList, RequestStats, SubscriberKey
from core.iterable.rate_limiter import NoRateLimit, RateLimiter, Slot
from core.iterable.retry import RetryPolicy

__all__ = [
    "BulkResult",
    "ConflictError",
    "DataCenter",
    "FailureReason",
    "InvalidApiKeyError",
    "IterableClient",
    "IterableError",
    "IterableList",
    "ListError",
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
