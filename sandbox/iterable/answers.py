"""Iterable's error answers by name, for the endpoints and for faults.

Sources: the API description 1.8 (codes and statuses), and what public tests and threads of other integrations saw:
`error.lists.invalidListId` under the statuses 400 and 500 and under the code Success; `error.users.noUserWithIdExists`;
`validationErrors` with the invalid value; EmailAlreadyExists and UnknownEmailError with 400; ForgottenUserError
with 400 and 409; 202 for a request that was accepted and not yet applied.

`means` is the kind of the answer for a client: several answers may mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.iterable.responses import Answer, ApiError

INVALID_LIST: Final = "error.lists.invalidListId"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer: its status, `code`, `msg` and other fields of the body.

    Without a code it is a gateway's page.
    """

    means: str
    status: int
    code: str = ""
    msg: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    def error(self, about: str = "") -> ApiError:
        """Return the error for an endpoint to raise; `about` is appended to its message."""
        return ApiError(self.status, self.code, f"{self.msg}: {about}" if about else self.msg)

    def answer(self) -> Answer:
        """Return the HTTP answer."""
        if not self.code:
            page = f"<html><head><title>{self.status}</title></head><body>{self.status}</body></html>"
            return Answer(self.status, page.encode(), "text/html")
        return Answer.json({"msg": self.msg, "code": self.code, "params": None, **self.more}, self.status)


_TYPES: Final = {
    "validationErrors": {
        "birthday": {
            "incomingTypes": ["string", "keyword"],
            "expectedType": "date",
            "category": "user",
            "offendingValue": "the ides of March",
        }
    }
}

REFUSALS: Final[Mapping[str, Refusal]] = {
    "400 invalidListId": Refusal("list is unknown", 400, "BadParams", INVALID_LIST),
    "400 invalidListId, Success": Refusal("list is unknown", 400, "Success", INVALID_LIST),
    "500 invalidListId": Refusal("list is unknown", 500, "GenericError", INVALID_LIST),
    "400 not static": Refusal("list is not static", 400, "BadParams", "List is Dynamic, not Standard"),
    "400 other list error": Refusal("list is refused", 400, "BadParams", "error.lists.archived"),
    "409 Conflict": Refusal("list is in use", 409, "Conflict", "List is in use"),
    "400 BadParams": Refusal("request is refused", 400, "BadParams", "One of the subscribers can't be processed"),
    "400 validationErrors": Refusal(
        "field has another type", 400, "RequestFieldsTypesMismatched", "Types do not match", _TYPES
    ),
    "400 noUserWithIdExists": Refusal(
        "user id is unknown", 400, "UnknownUserIdError", "error.users.noUserWithIdExists"
    ),
    "400 InvalidEmailAddressError": Refusal("email is invalid", 400, "InvalidEmailAddressError", "Invalid email"),
    "400 InvalidUserIdError": Refusal("user id is invalid", 400, "InvalidUserIdError", "Invalid userId"),
    "400 EmailAlreadyExists": Refusal("identity is taken", 400, "EmailAlreadyExists", "Email already exists"),
    "409 EmailAlreadyExists": Refusal("identity is taken", 409, "EmailAlreadyExists", "Email already exists"),
    "409 UserIdAlreadyExists": Refusal("identity is taken", 409, "UserIdAlreadyExists", "userId already exists"),
    "400 UnknownEmailError": Refusal("person is unknown", 400, "UnknownEmailError", "User does not exist"),
    "400 UnknownUserIdError": Refusal("person is unknown", 400, "UnknownUserIdError", "User does not exist"),
    "400 ForgottenUserError": Refusal("person is forgotten", 400, "ForgottenUserError", "User is forgotten"),
    "409 ForgottenUserError": Refusal("person is forgotten", 409, "ForgottenUserError", "User is forgotten"),
    "409 without a code": Refusal("other conflict", 409, "Success", "Conflict"),
    "401 BadApiKey": Refusal("key is refused", 401, "BadApiKey", "Invalid API key"),
    "400 BadApiKey": Refusal("key is refused, by its code", 400, "BadApiKey", "Invalid API key"),
    "403 Forbidden": Refusal("key is refused, by its code", 403, "Forbidden", "This kind of API key may not do that"),
    "403 ForbiddenParamsError": Refusal("key may not", 403, "ForbiddenParamsError", "Not with this kind of API key"),
    "404 NotFound": Refusal("list is not found", 404, "NotFound", "There is nothing"),
    "405": Refusal("not Iterable", 405, "GenericError", "Method not allowed"),
    "413 too large": Refusal("body is too large", 413),
    "400 BatchTooLarge": Refusal("batch is too large", 400, "BatchTooLarge", "Too many subscribers"),
    "429": Refusal("too fast", 429, "RateLimitExceeded", "Rate limit exceeded"),
    "400 RateLimitExceeded": Refusal("too fast, by its code", 400, "RateLimitExceeded", "Rate limit exceeded"),
    "400 DatabaseError": Refusal("database error", 400, "DatabaseError", "Try again"),
    "408": Refusal("not now", 408, "GenericError", "Request timeout"),
    "404 page": Refusal("gateway page", 404),
    "307 redirect": Refusal("redirect", 307),
    "500": Refusal("server error", 500, "GenericError", "An error has occurred"),
    "502 page": Refusal("gateway error", 502),
    "503": Refusal("gateway error", 503, "GenericError", "Request timeout. Try again later."),
    "504 page": Refusal("gateway error", 504),
    "202 accepted": Refusal("accepted, not applied", 202, "Success", "Accepted"),
}
