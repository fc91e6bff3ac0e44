"""Errors of the API as problem details (RFC 9457), with the stable codes of `core.errors`."""

import json
import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy.exc import SQLAlchemyError

from core.errors import (
    ConflictError,
    InputError,
    NotFoundError,
    PermissionDeniedError,
    SettingsError,
    SyncError,
)
from core.iterable.errors import IterableError
from core.runs.uploads import ContentTooLargeError

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

_TITLES = {
    400: "The request can't be carried out",
    401: "No valid token",
    403: "The token does not permit this",
    404: "Not found",
    405: "The method is not allowed here",
    408: "The request took too long",
    409: "The current state does not permit this",
    413: "The request is too large",
    415: "The media type is not supported",
    422: "The request is invalid",
    429: "Too many requests",
    500: "Unexpected error",
    502: "Iterable refused or did not answer",
    503: "The service can't work now",
}


# The codes of errors that have none of their own.
_GENERAL_CODES = {403: "forbidden", 404: "not_found", 409: "conflict"}


class Problem(BaseModel):
    """What is wrong, and what to do. `code` is a stable word for programs."""

    model_config = ConfigDict(extra="allow", title="Problem")

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str


def problem(
    status: int, detail: str, code: str, *, headers: dict[str, str] | None = None, **facts: object
) -> web.Response:
    """Return an error. `facts` (such as `sync_id`) are left out if they are None."""
    content = {"type": "about:blank", "title": _TITLES[status], "status": status, "detail": detail, "code": code}
    content |= {name: fact for name, fact in facts.items() if fact is not None}
    return web.Response(
        text=json.dumps(content), status=status, content_type=MEDIA_TYPE, charset="utf-8", headers=headers
    )


def of_exception(error: Exception, operation: str) -> web.Response:
    """Return the answer to a request to an operation that raised this. What is not the client's fault is logged."""
    match error:
        case ContentTooLargeError():
            answer = problem(413, error.message, error.code)
        case web.HTTPRequestEntityTooLarge():  # aiohttp, about a part without a file
            answer = problem(413, str(error.text), ContentTooLargeError.code)
        case SyncError():
            answer = of_error(error)
        case ValidationError():
            answer = of_invalid(error)
        case web.RequestPayloadError() | HttpProcessingError() | ConnectionError():
            answer = problem(400, "The body is malformed or was cut off. Send the request again.", "bad_input")
        case TimeoutError():
            answer = problem(408, "The body took too long to arrive. Send the request again.", "timeout")
        case SQLAlchemyError():
            logger.warning("the API could not use the database", exc_info=error)
            detail = "The database can't be used now. Try again later."
            answer = problem(503, detail, "storage", headers={"Retry-After": "5"})
        case _:
            logger.error("the API could not answer the operation %s", operation, exc_info=error)
            answer = problem(500, "Something unexpected happened. The server's error log says where.", "unexpected")
    return answer


def of_error(error: SyncError) -> web.Response:
    """Return an error of the engine."""
    status = _status_of(error)
    return problem(
        status,
        error.message,
        _GENERAL_CODES.get(status, error.code) if error.code == InputError.code else error.code,
        sync_id=error.run_id,
        mapping_id=error.mapping_id,
        connection_id=error.connection_id,
        list_id=error.list_id,
        audience=error.audience,
    )


def of_invalid(error: ValidationError) -> web.Response:
    """Return the faults of a query or a body, with the place of each. The values are left out: they may be personal."""
    faults = [
        {"place": ".".join(map(str, fault["loc"])), "message": fault["msg"]}
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    detail = "; ".join(
        f"{fault['place']}: {fault['message']}" if fault["place"] else fault["message"] for fault in faults
    )
    return problem(422, detail, "invalid_request", faults=faults)


def _status_of(error: SyncError) -> int:
    statuses: tuple[tuple[type[SyncError], int], ...] = (
        (NotFoundError, 404),
        (PermissionDeniedError, 403),
        (ConflictError, 409),
        (InputError, 400),
        (IterableError, 502),
        (SettingsError, 503),
    )
    return next((status for kind, status in statuses if isinstance(error, kind)), 500)
