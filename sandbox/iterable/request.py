"""A request for the handlers, with strict checks of its shape."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any, Final

import orjson
from multidict import MultiMapping

from sandbox.iterable.membership import Batch
from sandbox.iterable.responses import bad_json, bad_params
from sandbox.iterable.state import Project, State

_WORDS: Final[dict[type, str]] = {
    int: "a whole number",
    str: "a string",
    bool: "true or false",
    list: "an array",
    dict: "an object",
}
_IDENTIFIERS: Final = {"email": str, "userId": str}
_EXTRAS: Final = {"dataFields": dict, "preferUserId": bool, "mergeNestedObjects": bool}
SUBSCRIBER: Final = {**_IDENTIFIERS, **_EXTRAS}
UNSUBSCRIBER: Final = _IDENTIFIERS


class _Absent:
    """The type of an absent field. A null would be present, and wrong."""


_ABSENT: Final = _Absent()


@dataclass(slots=True)
class Call:
    """An API request, completely read. Handlers fill in the fields for the log."""

    state: State
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    at: float
    route: str = ""
    subscribers: int = 0
    list_id: int | None = None
    _project: Project | None = None

    @property
    def project(self) -> Project:
        """The project of the key."""
        assert self._project is not None, "the key is checked first"
        return self._project

    @project.setter
    def project(self, project: Project) -> None:
        self._project = project

    def json(self, required: Mapping[str, type], optional: Mapping[str, type]) -> dict[str, Any]:
        """Return the body as an object with these fields and no others."""
        content_type = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if content_type != "application/json":
            raise bad_json(f"[{self.path}] Content-Type must be application/json, not {content_type or 'missing'}")
        if self.headers.get("Content-Encoding"):
            raise bad_json(f"[{self.path}] the body must not be compressed")
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError as exc:
            raise bad_json(f"[{self.path}] Invalid JSON: {exc}") from exc
        if type(body) is not dict:
            raise bad_json(f"[{self.path}] the body must be a JSON object")
        missing = required.keys() - body.keys()
        if missing:
            raise bad_params(f"[{self.path}] missing: {', '.join(sorted(missing))}")
        self._check(body, {**required, **optional})
        return body

    def param(self, name: str, default: str | None = None) -> str:
        """Return a parameter of the query string."""
        value = self.query.get(name, default)
        if value is None:
            raise bad_params(f"[{self.path}] missing: {name}")
        return value

    def params(self, name: str) -> list[str]:
        """Return all values of a parameter that may be repeated."""
        if isinstance(self.query, MultiMapping):
            return list(self.query.getall(name, []))
        return [self.query[name]] if name in self.query else []

    def int_param(self, name: str, default: int | None = None) -> int:
        """Return an integer of the query string."""
        value = self.param(name, None if default is None else str(default))
        if not value.isascii() or not value.isdigit():
            raise bad_params(f"[{self.path}] {name} must be a whole number")
        return int(value)

    def bool_param(self, name: str) -> bool:
        """Return a boolean of the query string, False by default."""
        value = self.param(name, "false")
        if value not in {"true", "false"}:
            raise bad_params(f"[{self.path}] {name} must be true or false")
        return value == "true"

    def batch(self, subscribers: list[Any], name: str, known: Mapping[str, type]) -> Batch:
        """Return the subscribers of a request in columns, after checking their shapes."""
        self.subscribers = len(subscribers)
        most = self.state.settings.max_subscribers
        if most and len(subscribers) > most:
            raise bad_params(f"[{self.path}] at most {most} {name} in a request", "BatchTooLarge")
        if not set(map(type, subscribers)) <= {dict}:
            raise bad_params(f"[{self.path}] {name} must hold objects")
        columns = _columns(subscribers)
        given = columns.keys()
        if not given <= known.keys():
            raise bad_params(f"[{self.path}] unknown in {name}: {', '.join(sorted(given - known.keys()))}")
        emails, has_emails = self._strings(columns.get("email"), len(subscribers), f"{name}.email")
        user_ids, has_user_ids = self._strings(columns.get("userId"), len(subscribers), f"{name}.userId")
        if given.isdisjoint(_EXTRAS):
            return Batch(emails, user_ids, has_emails, has_user_ids)
        for subscriber in subscribers:
            self._check(subscriber, known, f"{name}.")
        return Batch(emails, user_ids, has_emails, has_user_ids, subscribers)

    def _strings(self, values: list[Any] | None, count: int, name: str) -> tuple[list[Any], bool]:
        """Return a column of strings with None for absent values, and whether none is absent."""
        if values is None:
            return [None] * count, count == 0
        types = set(map(type, values))
        if not types <= {str, _Absent}:
            raise bad_params(f"[{self.path}] {name} must be a string")
        if _Absent not in types:
            return values, True
        return [None if value is _ABSENT else value for value in values], False

    def _check(self, given: dict[str, Any], known: Mapping[str, type], where: str = "") -> None:
        for name, value in given.items():
            if name not in known:
                raise bad_params(f"[{self.path}] unknown: {where}{name}")
            if type(value) is not known[name]:
                raise bad_params(f"[{self.path}] {where}{name} must be {_WORDS[known[name]]}")


def _columns(subscribers: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the fields that occur, each with the values of all subscribers."""
    if len(set(map(len, subscribers))) == 1:
        with contextlib.suppress(KeyError):  # as many fields as the first has, and the same
            return {field: list(map(itemgetter(field), subscribers)) for field in subscribers[0]}
    names = set(chain.from_iterable(set(map(tuple, subscribers))))
    return {field: [subscriber.get(field, _ABSENT) for subscriber in subscribers] for field in names}
