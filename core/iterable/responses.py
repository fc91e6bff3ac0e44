"""Iterable's answers, parsed into values or errors.

Pure functions: bytes and status in, values or an error out. The shapes follow Iterable's API description 1.8.
Other integrations have seen that a bad list may be reported in `msg` only, even with the code Success.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

import orjson

from core.iterable.answers import FAILED_UPDATES, Action, Answer, classify
from core.iterable.errors import IterableError, RateLimitedError, RequestRejectedError, UnavailableError
from core.iterable.models import BulkResult, Campaign, FailureReason, IterableList, IterableUser

_CODE = re.compile(r"[A-Za-z]{1,40}")
# Words with an @ are removed before `msg` is searched: an address may contain any of the words that we look for.
_ADDRESS = re.compile(r"\S*@\S*")
# A word that says nothing about a person: letters, with the punctuation of a sentence around them.
_PLAIN_WORD = re.compile(r"[(\"'\[]?[A-Za-z]+(['/-][A-Za-z]+)*[)\"'\].,:;!?]*|-|error(\.[A-Za-z]+)+[.,:;]?")
_REPEATED = re.compile(r"\.\.\.( \.\.\.)+")
#: Characters that are kept of Iterable's message.
MAX_WORDS = 200
# The names of data fields. Other names are not repeated, because they could contain a value.
_FIELD = re.compile(r"[A-Za-z_$][A-Za-z0-9_.$-]{0,63}")


@dataclass(frozen=True)
class ApiResponse:
    """An HTTP answer: its status, body and Retry-After header, and the list that the request was about."""

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


def answer_of(answer: ApiResponse) -> tuple[Answer, str | None]:
    """Return the kind of an answer (by its status, code and `msg`), and its code, if that is a single word."""
    fields = answer.fields
    code, message = (fields or {}).get("code"), (fields or {}).get("msg")
    api_code = code if isinstance(code, str) and code != "Success" and _CODE.fullmatch(code) else None
    words = _ADDRESS.sub("", message) if isinstance(message, str) else ""
    keys = None if fields is None else frozenset(fields)
    return classify(answer.status, api_code, words, keys, about_list=answer.list_id is not None), api_code


def error_from(answer: ApiResponse) -> IterableError | None:
    """Return the error that an answer stands for, or None if it is a success."""
    kind, api_code = answer_of(answer)
    if kind.error is None:
        return None
    details: dict[str, Any] = {"status": answer.status, "api_code": api_code, "list_id": answer.list_id}
    if issubclass(kind.error, RateLimitedError | UnavailableError):
        details["retry_after"] = parse_retry_after(answer.retry_after)
    if kind.action is Action.RETRY_THEN_SPLIT:
        details |= {"may_concern_member": True, "words": harmless_words((answer.fields or {}).get("msg"))}
    if issubclass(kind.error, RequestRejectedError):
        details |= {"failure": kind.failure or FailureReason.INVALID_DATA, "fields": _mismatched_fields(answer)}
    return kind.error(**details)


def harmless_words(message: Any) -> str | None:
    """Return Iterable's message, with "..." for words that could be an address, an id or a key; None if it is empty."""
    if not isinstance(message, str):
        return None
    redacted = " ".join(word if _PLAIN_WORD.fullmatch(word) else "..." for word in message.split())
    return _REPEATED.sub("...", redacted)[:MAX_WORDS].strip() or None


def _mismatched_fields(answer: ApiResponse) -> tuple[str, ...]:
    """Return the data fields that `validationErrors` names. Their descriptions quote values, so they are not read."""
    errors = (answer.fields or {}).get("validationErrors")
    return tuple(name for name in errors if _FIELD.fullmatch(name)) if isinstance(errors, dict) else ()


def parse_retry_after(retry_after: str | None) -> float | None:
    """Return the seconds of a Retry-After header (a number, or an HTTP date); None if it can't be used."""
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
    """Return the lists in an answer to `GET /api/lists`. Raises UnavailableError if the answer has another shape."""
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
    """Return the id in an answer to `POST /api/lists`. Raises UnavailableError if there is none."""
    list_id = (answer.fields or {}).get("listId")
    if not isinstance(list_id, int):
        raise unparsable_error(answer)
    return list_id


def parse_campaigns(answer: ApiResponse) -> tuple[list[Campaign], bool]:
    """Return the campaigns in an answer to `GET /api/campaigns`, and whether another page follows.

    Raises UnavailableError if the answer has another shape.
    """
    rows = (answer.fields or {}).get("campaigns")
    if not isinstance(rows, list):
        raise unparsable_error(answer)
    try:
        campaigns = [
            Campaign(
                id=int(row["id"]),
                name=str(row["name"]),
                state=str(row["campaignState"]),
                list_ids=frozenset(map(int, row.get("listIds") or ())),
                suppression_list_ids=frozenset(map(int, row.get("suppressionListIds") or ())),
                start_at=row["startAt"] / 1000 if row.get("startAt") else None,
            )
            for row in rows
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise unparsable_error(answer) from error
    return campaigns, bool((answer.fields or {}).get("nextPageUrl"))


def parse_size(answer: ApiResponse) -> int:
    """Return the number in an answer to `GET /api/lists/{listId}/size`. Raises UnavailableError if it is none."""
    try:
        return int(answer.body)
    except ValueError as error:
        raise unparsable_error(answer) from error


def parse_field_types(answer: ApiResponse) -> dict[str, str]:
    """Return the types in an answer to `GET /api/users/getFields`, by name. Raises UnavailableError for another."""
    fields = (answer.fields or {}).get("fields")
    if not isinstance(fields, dict):
        raise unparsable_error(answer)
    return {name: kind for name, kind in fields.items() if isinstance(kind, str)}


def parse_user(answer: ApiResponse) -> IterableUser | None:
    """Return the person in an answer to `GET /api/users/getByEmail` or `byUserId`; None if Iterable knows none.

    The lists are in `emailListIds` (email-based projects) or `userListIds` (the others). Raises UnavailableError if
    the answer has another shape.
    """
    if answer.fields is None:
        raise unparsable_error(answer)
    user = answer.fields.get("user")
    if user is None:
        return None
    data = user.get("dataFields") if isinstance(user, dict) else None
    if not isinstance(data, dict):
        raise unparsable_error(answer)
    list_ids = [*(data.get("emailListIds") or ()), *(data.get("userListIds") or ())]
    email, user_id = (user.get(name) or data.get(name) for name in ("email", "userId"))
    return IterableUser(email, user_id, frozenset(each for each in list_ids if isinstance(each, int)))


def parse_done(answer: ApiResponse) -> None:
    """Check that an answer is a JSON object. Raises UnavailableError if it is not.

    Raises RequestRejectedError if Iterable only accepted the request (202): it may or may not make the change.
    """
    if answer.fields is None:
        raise unparsable_error(answer)
    if answer.status == 202:
        raise RequestRejectedError(status=answer.status, list_id=answer.list_id)


def parse_bulk(answer: ApiResponse) -> BulkResult:
    """Return the outcome in an answer to a subscribe or unsubscribe. Raises UnavailableError if there is none.

    `invalidEmails` and `invalidUserIds` are deprecated and give no reason, so they count only for members that
    `failedUpdates` does not contain.
    """
    if answer.status == 202 and answer.fields is not None:
        return BulkResult(0, 0, is_applied=False)
    fields = answer.fields or {}
    succeeded, failed = fields.get("successCount"), fields.get("failCount")
    if not isinstance(succeeded, int) or not isinstance(failed, int):
        raise unparsable_error(answer)
    updates = fields.get("failedUpdates")
    updates = updates if isinstance(updates, dict) else {}
    emails: dict[str, FailureReason] = {}
    user_ids: dict[str, FailureReason] = {}
    for reason, failure in FAILED_UPDATES.items():
        id_failure = FailureReason.INVALID_USER_ID if failure is FailureReason.INVALID_EMAIL else failure
        _add_failures(emails, updates.get(f"{reason}Emails"), failure, lower=True)
        _add_failures(user_ids, updates.get(f"{reason}UserIds"), id_failure)
    _add_failures(emails, fields.get("invalidEmails"), FailureReason.INVALID_EMAIL, lower=True)
    _add_failures(user_ids, fields.get("invalidUserIds"), FailureReason.INVALID_USER_ID)
    dropped = fields.get("filteredOutFields")
    names = dropped if isinstance(dropped, list) else ()
    named = tuple(name for name in names if isinstance(name, str) and _FIELD.fullmatch(name))
    return BulkResult(succeeded, failed, emails, user_ids, dropped_fields=named)


def _add_failures(
    failures: dict[str, FailureReason], identities: Any, reason: FailureReason, *, lower: bool = False
) -> None:
    for identity in identities if isinstance(identities, list) else ():
        if isinstance(identity, str):
            failures.setdefault(identity.lower() if lower else identity, reason)


def unparsable_error(answer: ApiResponse) -> UnavailableError:
    """Return the error for an answer of an unexpected shape: truncated, or a gateway's page."""
    message = (
        f"Iterable's answer ({answer.status}) can't be read, even after several attempts. Try again later; a run "
        "resumes where it stopped."
    )
    return UnavailableError(message, status=answer.status, list_id=answer.list_id)
