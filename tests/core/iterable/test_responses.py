"""The meaning of an answer, in every shape."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.iterable import (
    FailureReason,
    IdentityConflictError,
    InvalidApiKeyError,
    IterableError,
    ListError,
    ListNotFoundError,
    ListNotStandardError,
    RateLimitedError,
    RequestRejectedError,
    UnavailableError,
    UnexpectedResponseError,
)
from core.iterable.answers import ANSWERS
from core.iterable.responses import (
    ApiResponse,
    answer_of,
    error_from,
    parse_bulk,
    parse_done,
    parse_list_id,
    parse_lists,
    parse_retry_after,
    parse_size,
)
from sandbox.iterable.answers import REFUSALS


def answer(status: int = 200, list_id: int | None = 7, **fields: Any) -> ApiResponse:
    """An answer with a JSON object."""
    return ApiResponse(status, orjson.dumps(fields), list_id=list_id)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (200, "Success", None),
        (200, "BadParams", RequestRejectedError),
        (400, "BadApiKey", InvalidApiKeyError),
        (400, "InvalidJwtPayload", InvalidApiKeyError),
        (400, "GenericError", RequestRejectedError),
        (400, "ForgottenUserError", IdentityConflictError),
        (400, "RateLimitExceeded", RateLimitedError),
        (401, "JwtUserIdentifiersMismatched", InvalidApiKeyError),
        (403, "ForbiddenParamsError", InvalidApiKeyError),
        (404, "NotFound", ListNotFoundError),
        (405, "GenericError", UnexpectedResponseError),
        (409, "UnknownEmailError", IdentityConflictError),
        (302, "Success", UnexpectedResponseError),
        (500, "BadParams", UnavailableError),
    ],
)
def test_status_and_code_decide(status: int, code: str, kind: type[IterableError] | None) -> None:
    """Each pair of status and code has one meaning."""
    error = error_from(answer(status, code=code, msg=""))
    assert (type(error) if error else None) is kind


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("error.lists.invalidListId", ListNotFoundError),
        ("[/api/lists/subscribe] Error.Lists.InvalidListId: 7", ListNotFoundError),
        ("List 7 is not a static list", ListNotStandardError),
        ("error.lists.somethingElse", ListError),
        ("Invalid email: error.lists.invalidListId@example.com", RequestRejectedError),
        ("Unknown user 'not standard'@x", RequestRejectedError),
    ],
)
def test_list_errors_in_the_message(message: str, kind: type[IterableError]) -> None:
    """A problem of the list is read from the message, but not from an address in it."""
    assert type(error_from(answer(400, code="BadParams", msg=message))) is kind


def test_request_without_a_list_has_no_list_error() -> None:
    """A request without a list can't have a problem with its list."""
    error = error_from(answer(400, list_id=None, code="BadParams", msg="error.lists.invalidListId"))
    assert type(error) is RequestRejectedError


def test_unknown_code_is_not_repeated() -> None:
    """A code that is not one word may contain personal data, so it is not kept."""
    error = error_from(answer(400, code="eve@example.com", msg=""))
    assert error is not None
    assert error.api_code is None


@given(status=st.integers(200, 599), body=st.binary() | st.recursive(st.none() | st.text(), st.lists).map(orjson.dumps))
def test_any_answer_has_a_meaning(status: int, body: bytes) -> None:
    """Every answer can be read, and only one below 300 can be a success."""
    error = error_from(ApiResponse(status, body, retry_after=body[:9].decode(errors="replace"), list_id=7))
    assert error is not None or status < 300


@pytest.mark.parametrize(
    "parse", [parse_bulk, parse_lists, parse_list_id, parse_size, parse_done], ids=lambda parse: parse.__name__
)
@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"[{}]", b'"x"', b"<html>", b'{"lists": 1', b"[1, 2"], ids=lambda body: body.decode()
)
def test_unreadable_answer_is_transient(parse: Any, body: bytes) -> None:
    """An answer of another shape than documented is a transient fault."""
    with pytest.raises(UnavailableError):
        parse(ApiResponse(200, body))


@pytest.mark.parametrize("lists", [None, {}, [{}], [{"id": "x", "name": "", "listType": ""}], ["x"]])
def test_unreadable_lists_are_transient(lists: Any) -> None:
    """Lists of another shape than documented are a transient fault."""
    with pytest.raises(UnavailableError):
        parse_lists(answer(lists=lists))


def test_list_needs_no_description() -> None:
    """Fields that the API description does not require may be missing."""
    assert parse_lists(answer(lists=[{"id": 1, "name": "N", "listType": "Standard"}]))[0].description == ""


@pytest.mark.parametrize("failed", [None, {}, {"invalidEmails": None}, {"invalidEmails": []}, [], "x"])
def test_bulk_lists_may_be_missing(failed: Any) -> None:
    """Missing, null and empty failure lists all name no member."""
    result = parse_bulk(answer(successCount=1, failCount=0, failedUpdates=failed, invalidEmails=None))
    assert result.is_clean


def test_bulk_names_only_texts() -> None:
    """A value other than text names no member."""
    result = parse_bulk(answer(successCount=0, failCount=2, failedUpdates={"invalidEmails": [None, 7, "A@B.c"]}))
    assert dict(result.failed_emails) == {"a@b.c": FailureReason.INVALID_EMAIL}


def test_deprecated_lists_are_merged() -> None:
    """The top-level lists add members that `failedUpdates` leaves out."""
    result = parse_bulk(answer(successCount=0, failCount=2, invalidEmails=["A@x.y"], invalidUserIds=["U"]))
    assert dict(result.failed_emails) == {"a@x.y": FailureReason.INVALID_EMAIL}
    assert dict(result.failed_user_ids) == {"U": FailureReason.INVALID_USER_ID}


def test_deprecated_lists_do_not_change_a_reason() -> None:
    """The top-level lists contain every failure, so a known reason stays."""
    result = parse_bulk(
        answer(
            successCount=0,
            failCount=1,
            failedUpdates={"forgottenEmails": ["a@x.y"], "conflictUserIds": ["U"]},
            invalidEmails=["a@x.y"],
            invalidUserIds=["U"],
        )
    )
    assert dict(result.failed_emails) == {"a@x.y": FailureReason.FORGOTTEN}
    assert dict(result.failed_user_ids) == {"U": FailureReason.CONFLICT}


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("3", 3.0), ("0.5", 0.5), ("-1", 0.0), ("soon", None), ("nan", None), ("inf", None), ("", None)],
)
def test_retry_after_in_seconds(header: str | None, seconds: float | None) -> None:
    """Retry-After may be a number of seconds, and nonsense is ignored."""
    assert parse_retry_after(header) == seconds


def test_retry_after_as_a_date() -> None:
    """Retry-After may be an HTTP date, and means the time until then."""
    date = datetime.now(UTC) + timedelta(seconds=100)
    seconds = parse_retry_after(format_datetime(date, usegmt=True))
    assert seconds is not None
    assert 90 < seconds <= 100


def test_retry_after_in_the_past() -> None:
    """A date in the past means no wait."""
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


@pytest.mark.parametrize("name", REFUSALS)
def test_each_refusal_has_its_kind(name: str) -> None:
    """The table of answers has the right kind for each refusal of the local Iterable."""
    refusal = REFUSALS[name]
    response = refusal.answer()
    kind, _ = answer_of(ApiResponse(response.status, response.body, list_id=7))
    assert kind.name == refusal.means


def test_each_kind_has_an_answer() -> None:
    """The local Iterable can give every kind of refusal."""
    covered = {refusal.means for refusal in REFUSALS.values()}
    assert {row.name for row in ANSWERS} - covered == {"success", "no answer", "unreadable"}


def test_offending_value_is_not_read() -> None:
    """An error has the names of fields with a wrong type, but not the values."""
    response = REFUSALS["400 validationErrors"].answer()
    error = error_from(ApiResponse(response.status, response.body, list_id=7))
    assert isinstance(error, RequestRejectedError)
    assert (error.failure, error.fields) == (FailureReason.INVALID_DATA, ("birthday",))
    assert "ides" not in f"{error} {vars(error)}"


@pytest.mark.parametrize("name", ["eve@example.com", "a b", "", "x" * 65])
def test_field_that_looks_like_a_value_is_not_kept(name: str) -> None:
    """A name that no data field has could be personal data, so it is not kept."""
    error = error_from(answer(400, code="BadParams", validationErrors={name: {"offendingValue": 1}}))
    assert isinstance(error, RequestRejectedError)
    assert error.fields == ()


def test_accepted_is_not_applied() -> None:
    """A 202 says nothing about the members, so none counts as failed or as applied."""
    response = REFUSALS["202 accepted"].answer()
    result = parse_bulk(ApiResponse(response.status, response.body, list_id=7))
    assert (result.is_applied, result.is_clean, result.fail_count) == (False, False, 0)
