"""Iterable's API: the client, its errors and its pace."""

from core.iterable.client import IterableClient
from core.iterable.errors import (
    ConflictError,
    IterableError,
    KeyRefusedError,
    ListError,
    ListGoneError,
    ListNotStandardError,
    RefusedError,
    ThrottledError,
    TooLargeError,
    UnavailableError,
    UnexpectedAnswerError,
    UnreachableError,
)
from core.iterable.models import BulkResult, DataCenter, Failure, IterableList, Subscriber, Traffic
from core.iterable.rate_limiter import Pacer, SharedPacer, Slot, Unpaced
from core.iterable.retry import Patience

__all__ = [
    "BulkResult",
    "ConflictError",
    "DataCenter",
    "Failure",
    "IterableClient",
    "IterableError",
    "IterableList",
    "KeyRefusedError",
    "ListError",
    "ListGoneError",
    "ListNotStandardError",
    "Pacer",
    "Patience",
    "RefusedError",
    "SharedPacer",
    "Slot",
    "Subscriber",
    "ThrottledError",
    "TooLargeError",
    "Traffic",
    "UnavailableError",
    "UnexpectedAnswerError",
    "Unpaced",
    "UnreachableError",
]
