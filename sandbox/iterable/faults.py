"""Fault injection: rules that say which requests fail, and how.

The first matching rule decides; a request without a matching rule succeeds. With the same seed and rules, the same
requests of a rule fail, whatever happens in between.

Actions: `answer` (one of `sandbox.iterable.answers`, by its name), `error` (a status with Iterable's JSON),
`html` (a status with a gateway's page), `throttle` (429, with `Retry-After` if `retry_after` is given), `reset`
(the connection is torn down), `slow` (the true answer after `delay`), `hang` (never an answer), `truncated` (the
true answer, its JSON broken off), `cut` (the connection closes within the answer) and `not_json` (200, but
text). With `applied`, the request is carried out before it goes wrong, so the client can't know; `truncated`
and `cut` always are. `delay` goes with any.

When a rule is removed, the requests that it still delays go on: a slow one is answered at once, a hung one is torn
down.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, get_args

from sandbox.iterable.answers import REFUSALS

Action = Literal["answer", "error", "html", "throttle", "reset", "slow", "hang", "truncated", "cut", "not_json"]
ACTIONS: Final[tuple[str, ...]] = get_args(Action)
_ALWAYS_APPLIED: Final = frozenset({"truncated", "cut"})
_COUNTERS: Final = frozenset({"matched", "hits"})
_INTERNAL: Final = frozenset({"rng", "removed"})
_STATUS: Final = {"error": 500, "html": 502, "throttle": 429, "not_json": 200}


@dataclass(slots=True)
class Fault:
    """One rule: which requests it matches, and what happens to them."""

    action: Action
    path: str = "/api/"  # a prefix of the request's path
    method: str = ""  # any
    contains: str = ""  # the body contains this text
    nth: int | None = None  # only the nth matching request, from 1
    after: int = 0  # this many matching requests succeed first
    times: int | None = None  # fails at most this often
    probability: float = 1.0
    applied: bool = False  # carries the request out before it fails
    delay: float = 0.0  # seconds
    status: int = 0  # by action: 500, 502, 429, 200
    code: str = "GenericError"
    msg: str = "A fault of the sandbox"
    retry_after: float | None = None  # seconds
    answer: str = ""  # which one, if the action is `answer`
    matched: int = 0
    hits: int = 0
    rng: random.Random = field(default_factory=random.Random, repr=False, compare=False)
    removed: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raise ValueError for invalid rules, and fill in the defaults of the action."""
        if self.action not in ACTIONS:
            raise ValueError(f"no action {self.action!r}: one of {', '.join(ACTIONS)}")
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError("probability is from 0 to 1")
        if (self.action == "answer") != bool(self.answer) or self.answer not in {"", *REFUSALS}:
            raise ValueError(f"answer is one of {', '.join(REFUSALS)}, and goes with the action of that name")
        self.status = self.status or _STATUS.get(self.action, 0)
        self.applied = self.applied or self.action in _ALWAYS_APPLIED

    def strikes(self, method: str, path: str, body: bytes) -> bool:
        """Whether this rule makes the request fail. Counts the request if it matches."""
        if not path.startswith(self.path) or self.method not in {"", method}:
            return False
        if self.contains and self.contains.encode() not in body:
            return False
        self.matched += 1
        if self.matched <= self.after or self.nth not in {None, self.matched}:
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        if self.probability < 1.0 and self.rng.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def as_dict(self) -> dict[str, Any]:
        """Return the rule for the control API."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _INTERNAL}


_NUMBER: Final = (int, float)
_GIVEN: Final[dict[str, type | tuple[type, ...]]] = {
    "action": str,
    "path": str,
    "method": str,
    "contains": str,
    "nth": int,
    "after": int,
    "times": int,
    "probability": _NUMBER,
    "applied": bool,
    "delay": _NUMBER,
    "status": int,
    "code": str,
    "msg": str,
    "retry_after": _NUMBER,
    "answer": str,
}


def fault_from(given: Mapping[str, Any]) -> Fault:
    """Return a rule from JSON: null is the default, counters are ignored. Raises ValueError if it is invalid."""
    values = {name: value for name, value in given.items() if value is not None and name not in _COUNTERS}
    for name, value in values.items():
        if name not in _GIVEN:
            raise ValueError(f"a fault has no {name!r}: it has {', '.join(_GIVEN)}")
        if not isinstance(value, _GIVEN[name]) or (isinstance(value, bool) and _GIVEN[name] is not bool):
            raise ValueError(f"{name} can't be {value!r}")
    if "action" not in values:
        raise ValueError(f"a fault needs an action: one of {', '.join(ACTIONS)}")
    return Fault(**values)


@dataclass
class Faults:
    """The active rules."""

    seed: int = 0
    rules: list[Fault] = field(default_factory=list)
    _added: int = field(default=0, repr=False)

    def add(self, *faults: Fault) -> None:
        """Append rules."""
        for fault in faults:
            # a separate stream for each rule, so that they are independent
            fault.rng = random.Random(f"{self.seed}:{self._added}")  # noqa: S311 - repeatable, not secret
            self._added += 1
            fault.removed.clear()
            self.rules.append(fault)

    def set(self, faults: Iterable[Fault], seed: int | None = None) -> None:
        """Replace all rules, and restart the random numbers."""
        self.clear()
        self.seed = self.seed if seed is None else seed
        self.add(*faults)

    def clear(self) -> None:
        """Remove all rules, and let the requests go on that they delay."""
        for rule in self.rules:
            rule.removed.set()
        self.rules.clear()
        self._added = 0

    def pick(self, method: str, path: str, body: bytes) -> Fault | None:
        """Return the rule that makes this request fail, or None."""
        for fault in self.rules:
            if fault.strikes(method, path, body):
                return fault
        return None
