"""Dispatch of a call: key, limit, endpoint. No I/O, so a call takes effect completely or not at all."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from sandbox.iterable import campaigns, list_routes, merging, user_routes
from sandbox.iterable.answers import REFUSALS
from sandbox.iterable.rate_limits import SlidingWindow
from sandbox.iterable.request import Call
from sandbox.iterable.responses import Answer, ApiError, not_found
from sandbox.iterable.state import Project

OTHER: Final = "(other)"
_IN_QUERY: Final = frozenset({"api_key", "apikey", "api-key", "key"})


class Route(NamedTuple):
    """An endpoint: its handler, its limit, and the parameters of its query string."""

    handler: Callable[[Call], Answer]
    limit: str = ""
    params: frozenset[str] = frozenset()


_LIST_USERS: Final = frozenset({"listId", "preferUserId"})
ROUTES: Final = {
    ("GET", "/api/lists"): Route(list_routes.all_lists, "lists"),
    ("POST", "/api/lists"): Route(list_routes.create),
    ("DELETE", "/api/lists/{id}"): Route(list_routes.delete),
    ("GET", "/api/lists/{id}/size"): Route(list_routes.size, "size"),
    ("POST", "/api/lists/subscribe"): Route(list_routes.subscribe, "bulk"),
    ("POST", "/api/lists/unsubscribe"): Route(list_routes.unsubscribe, "bulk"),
    ("GET", "/api/lists/getUsers"): Route(list_routes.get_users, "getUsers", _LIST_USERS),
    ("GET", "/api/lists/previewUsers"): Route(list_routes.preview_users, "previewUsers", _LIST_USERS | {"size"}),
    ("GET", "/api/campaigns"): Route(
        campaigns.campaigns, "campaigns", frozenset({"page", "pageSize", "sort", "campaignState"})
    ),
    ("POST", "/api/users/updateEmail"): Route(user_routes.update_email),
    ("POST", "/api/users/merge"): Route(merging.merge, "merge"),
    ("POST", "/api/users/update"): Route(user_routes.update, "update"),
    ("POST", "/api/users/bulkUpdate"): Route(user_routes.bulk_update, "bulkUpdate"),
    ("GET", "/api/users/getByEmail"): Route(user_routes.get_by_email, "getByEmail", frozenset({"email"})),
    ("GET", "/api/users/byUserId"): Route(user_routes.by_user_id, "byUserId", frozenset({"userId"})),
    ("GET", "/api/users/getFields"): Route(user_routes.get_fields, "getFields"),
    ("GET", "/api/users/forgotten"): Route(user_routes.forgotten_emails, "forgotten"),
    ("GET", "/api/users/forgottenUserIds"): Route(user_routes.forgotten_user_ids, "forgottenUserIds"),
}
"""Every endpoint, by method and path."""

_LIST_ID = re.compile(r"/api/lists/([0-9]{1,18})(/size)?")


def answer(call: Call, route: Route | None) -> Answer:
    """Return Iterable's answer, including errors; `route` comes from `route_of`."""
    try:
        return _answer(call, route)
    except ApiError as exc:
        return exc.answer()


def route_of(call: Call) -> Route | None:
    """Find the endpoint, and record it and the list in its path in the call."""
    path = call.path
    numbered = _LIST_ID.fullmatch(path)
    if numbered:
        call.list_id = int(numbered[1])
        path = f"/api/lists/{{id}}{numbered[2] or ''}"
    route = ROUTES.get((call.method, path))
    call.route = path if route else OTHER
    return route


def _answer(call: Call, route: Route | None) -> Answer:
    call.project = _authenticated(call)
    if route is None:
        raise not_found(f"{call.method} {call.path}")
    if len(call.body) > call.state.settings.max_body:
        raise ApiError(413, "BatchTooLarge", f"[{call.path}] the body is larger than 4 MB")
    _within_limit(call, route.limit)
    unknown = set(call.query) - route.params
    if unknown:
        raise ApiError(400, "BadParams", f"[{call.path}] unknown: {', '.join(sorted(unknown))}")
    call.project.apply_waiting(call.at)
    return route.handler(call)


def _authenticated(call: Call) -> Project:
    if not _IN_QUERY.isdisjoint(map(str.lower, call.query)):
        raise ApiError(401, "BadApiKey", "The key belongs in the Api-Key header, not into the address")
    if "Authorization" in call.headers:
        raise ApiError(401, "BadAuthorizationHeader", "The key belongs in the Api-Key header")
    key = call.state.keys.get(call.headers.get("Api-Key", ""))
    if key is None or key.status == "revoked":
        raise REFUSALS["401 BadApiKey"].error()
    if key.status == "forbidden":
        raise REFUSALS["403 Forbidden"].error("use a server-side key")
    return call.state.projects[key.project]


def _within_limit(call: Call, name: str) -> None:
    if not name:
        return
    settings = call.state.settings
    window = call.project.windows.setdefault(name, SlidingWindow())
    wait = window.wait(settings.limits[name], call.at)
    if wait > 0:
        headers = {"Retry-After": str(math.ceil(wait))} if settings.retry_after else None
        raise ApiError(429, "RateLimitExceeded", f"[{call.path}] Rate limit exceeded", headers)
