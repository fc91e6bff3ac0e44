"""Results of handlers: an `Answer`, or an `ApiError` with one of Iterable's codes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import orjson

JSON = "application/json"


@dataclass(slots=True)
class Answer:
    """An HTTP answer, ready to be sent."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: object, status: int = 200, headers: dict[str, str] | None = None) -> Self:
        """Return an answer with `value` as JSON."""
        return cls(status, orjson.dumps(value), JSON, headers or {})

    @classmethod
    def text(cls, value: str, status: int = 200) -> Self:
        """Return an answer with plain text."""
        return cls(status, value.encode(), "text/plain")

    @classmethod
    def message(cls, msg: str, code: str, status: int = 200, headers: dict[str, str] | None = None) -> Self:
        """Return an answer with Iterable's `{msg, code, params}`."""
        return cls.json({"msg": msg, "code": code, "params": None}, status, headers)


class ApiError(Exception):
    """A request that Iterable rejects, with the status, code and message of the answer."""

    def __init__(self, status: int, code: str, msg: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(msg)
        self.status = status
        self.code = code
        self.msg = msg
        self.headers = headers

    def answer(self) -> Answer:
        """Return the HTTP answer."""
        return Answer.message(self.msg, self.code, self.status, self.headers)


def bad_params(msg: str, code: str = "BadParams") -> ApiError:
    """400: the endpoint does not accept the request's fields."""
    return ApiError(400, code, msg)


def bad_json(msg: str) -> ApiError:
    """400: the body is not a JSON object."""
    return ApiError(400, "BadJsonBody", msg)


def not_found(path: str) -> ApiError:
    """404: no such endpoint."""
    return ApiError(404, "NotFound", f"There is nothing at {path}")
