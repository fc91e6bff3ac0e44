"""What an answer of Iterable means: the error that it stands for, or the values that it holds.

Pure: bytes and status in, values or an error out. The shapes are those of Iterable's API description 1.8; that a
bad list may be told only in `msg`, even under the code Success, comes from other integrations' experience.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

import orjson

from core.iterable.errors import (
    IdentityConflictError,
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
)
from core.iterable.models import BulkResult, FailureReason, IterableList

_KEY_CODES = {
    "BadApiKey",
    "BadAuthorizationHeader",
    "Forbidden",
    "InvalidJwtPayload",
    "JwtUserIdentifiersMismatched",
    "Unauthorized",
}
_CONFLICT_CODES = {
    "EmailAlreadyExists",
    "ExternalKeyConflict",
    "ForgottenUserError",
    "UnknownEmailError",
    "UnknownUserIdError",
    "UserIdAlreadyExists",
}
# 408 Request Timeout and 425 Too Early are the two of the 4xx that ask for another try.
_PASSING_STATUSES = {408, 425}
# Errors by `code` where neither the status nor `msg` has said more.
_BY_CODE: dict[str, type[IterableError]] = {
    **dict.fromkeys(_KEY_CODES, InvalidApiKeyError),
    **dict.fromkeys(_CONFLICT_CODES, IdentityConflictError),
    "BatchTooLarge": RequestTooLargeError,
    "DatabaseError": UnavailableError,
}
_CODE = re.compile(r"[A-Za-z]{1,40}")
# Words with an @ are left out before `msg` is searched: an address may hold any of the words that we look for.
_ADDRESS = re.compile(r"\S*@\S*")
# Tried in this order. Iterable's words for a list of the wrong type are not published, hence the variants.
_LIST_WORDS: list[tuple[re.Pattern[str], type[IterableError]]] = [
    (re.compile(r"\bnot (a )?(static|standard)\b", re.IGNORECASE), ListNotStandardError),
    (re.compile(r"error\.lists\.invalidListId", re.IGNORECASE), ListNotFoundError),
    (re.compile(r"error\.lists\.\w", re.IGNORECASE), ListError),
]

# The reasons in `failedUpdates`; each is a pair of lists, `<reason>Emails` and `<reason>UserIds`.
_FAILED_UPDATES = {
    "forgotten": FailureReason.FORGOTTEN,
    "conflict": FailureReason.CONFLICT,
    "notFound": FailureReason.NOT_FOUND,
    "invalid": FailureReason.INVALID_EMAIL,
    "invalidData": FailureReason.INVALID_DATA,
}


@dataclass(frozen=True)
class ApiResponse:
    """An HTTP answer: its status, its Retry-After header, its body, and the list that was asked about."""

    status: int
    body: bytes = b""
    retry_after: str | None = None
    list_id: int | None = None

    @cached_property
    def json(self) -> Any:
        """The body as JSON, or None if it is not JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    @property
    def fields(self) -> dict[str, Any] | None:
        """The body as a JSON object, or None if it is not one."""
        return self.json if isinstance(self.json, dict) else None


def error_from(answer: ApiResponse) -> IterableError | None:
    """The error that an answer stands for, or None if it is a success (by its status, code and `msg`)."""
    fields = answer.fields or {}
    code = fields.get("code")
    api_code = code if isinstance(code, str) and code != "Success" and _CODE.fullmatch(code) else None
    about: dict[str, Any] = {"status": answer.status, "api_code": api_code, "list_id": answer.list_id}
    if answer.status == 429 or api_code == "RateLimitExceeded":
        return RateLimitedError(retry_after=parse_retry_after(answer.retry_after), **about)
    kind = (
        _by_message(fields.get("msg"), answer.list_id)
        or _by_status(answer.status, is_json=answer.fields is not None)
        or _BY_CODE.get(api_code or "")
        or _by_remainder(answer.status, api_code, answer.list_id)
    )
    if kind is UnavailableError:
        return UnavailableError(retry_after=parse_retry_after(answer.retry_after), **about)
    return kind(**about) if kind else None


def _by_message(message: Any, list_id: int | None) -> type[IterableError] | None:
    if list_id is None or not message or not isinstance(message, str):
        return None
    words = _ADDRESS.sub("", message)
    return next((kind for pattern, kind in _LIST_WORDS if pattern.search(words)), None)


def _by_status(status: int, *, is_json: bool) -> type[IterableError] | None:
    if status >= 500 or status in _PASSING_STATUSES:
        return UnavailableError
    if 300 <= status < 400:  # following it could hand the key to somebody else
        return UnexpectedResponseError
    known = {401: InvalidApiKeyError, 409: IdentityConflictError, 413: RequestTooLargeError}.get(status)
    if known is None and status >= 400 and not is_json:  # a gateway's page, not Iterable's word
        return UnavailableError
    return known


def _by_remainder(status: int, api_code: str | None, list_id: int | None) -> type[IterableError] | None:
    if status == 403:
        return InvalidApiKeyError
    if status == 404 and api_code == "NotFound" and list_id is not None:
        return ListNotFoundError
    if status == 400 or (status < 300 and api_code):
        return RequestRejectedError
    return UnexpectedResponseError if status >= 300 else None


def parse_retry_after(retry_after: str | None) -> float | None:
    """Seconds to wait by a Retry-After header (a number, or an HTTP date); None if it says nothing usable."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            date = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def parse_lists(answer: ApiResponse) -> list[IterableList]:
    """The lists in the answer of `GET /api/lists`. Raises UnavailableError if it is not that."""
    lists = (answer.fields or {}).get("lists")
    if not isinstance(lists, list):
        raise unparsable_error(answer)
    try:
        return [
            IterableList(
                id=int(entry["id"]),
                name=str(entry["name"]),
                type=str(entry["listType"]),
                created_at=entry.get("createdAt"),
                description=entry.get("description") or "",
            )
            for entry in lists
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise unparsable_error(answer) from error


def parse_list_id(answer: ApiResponse) -> int:
    """The id in the answer of `POST /api/lists`. Raises UnavailableError if there is none."""
    found = (answer.fields or {}).get("listId")
    if not isinstance(found, int):
        raise unparsable_error(answer)
    return found


def parse_size(answer: ApiResponse) -> int:
    """The number in the answer of `GET /api/lists/{listId}/size`. Raises UnavailableError if it is none."""
    try:
        return int(answer.body)
    except ValueError as error:
        raise unparsable_error(answer) from error


def parse_done(answer: ApiResponse) -> None:
    """Check that the answer is `{code, msg, params}`. Raises UnavailableError if it is not."""
    if answer.fields is None:
        raise unparsable_error(answer)


def parse_bulk(answer: ApiResponse) -> BulkResult:
    """The outcome in the answer of a subscribe or unsubscribe. Raises UnavailableError if it is not one.

    The deprecated top-level lists name members that failed without saying why, so they count only for those that
    `failedUpdates` does not name.
    """
    fields = answer.fields or {}
    succeeded, failed = fields.get("successCount"), fields.get("failCount")
    if not isinstance(succeeded, int) or not isinstance(failed, int):
        raise unparsable_error(answer)
    updates = fields.get("failedUpdates")
    updates = updates if isinstance(updates, dict) else {}
    emails: dict[str, FailureReason] = {}
    user_ids: dict[str, FailureReason] = {}
    for reason, failure in _FAILED_UPDATES.items():
        id_failure = FailureReason.INVALID_USER_ID if failure is FailureReason.INVALID_EMAIL else failure
        _name(emails, updates.get(f"{reason}Emails"), failure, lower=True)
        _name(user_ids, updates.get(f"{reason}UserIds"), id_failure)
    _name(emails, fields.get("invalidEmails"), FailureReason.INVALID_EMAIL, lower=True)
    _name(user_ids, fields.get("invalidUserIds"), FailureReason.INVALID_USER_ID)
    return BulkResult(succeeded, failed, emails, user_ids)


def _name(into: dict[str, FailureReason], listed: Any, failure: FailureReason, *, lower: bool = False) -> None:
    for name in listed if isinstance(listed, list) else ():
        if isinstance(name, str):
            into.setdefault(name.lower() if lower else name, failure)


def unparsable_error(answer: ApiResponse) -> UnavailableError:
    """What to raise for an answer that is not what was asked for: broken off, or a gateway's page."""
    message = (
        f"Iterable's answer ({answer.status}) can't be read, also after several tries. Try again later; a run goes "
        "on where it stopped."
    )
    return UnavailableError(message, status=answer.status, list_id=answer.list_id)
