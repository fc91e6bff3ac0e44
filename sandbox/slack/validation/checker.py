"""The basic checks: keys, strings, text objects, lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

PLAIN = ("plain_text",)
ANY_TEXT = ("plain_text", "mrkdwn")


@dataclass(frozen=True)
class Problem:
    """One thing that Slack would reject, and its place."""

    at: str
    message: str

    def __str__(self) -> str:
        return f"{self.message} [json-pointer:{self.at}]"


@dataclass
class Checker:
    """Collects the problems of one message or view for a surface: `message`, `modal` or `home`."""

    surface: str
    problems: list[Problem] = field(default_factory=list)
    focused: int = 0

    def add(self, at: str, message: str) -> None:
        """Add a problem."""
        self.problems.append(Problem(at, message))

    def keys(self, thing: dict[str, Any], at: str, needed: Iterable[str], known: Iterable[str]) -> None:
        """Check that required properties are present, and none that Slack doesn't know."""
        for key in needed:
            if thing.get(key) is None:
                self.add(at, f"missing required field: {key}")
        for key in set(thing) - set(needed) - set(known) - {"type"}:
            self.add(at, f"invalid additional property: {key}")

    def string(self, value: Any, at: str, most: int, least: int = 0) -> None:
        """Check that a value is absent or a string of an allowed length."""
        if value is None:
            return
        if not isinstance(value, str):
            self.add(at, "must be a string")
        elif len(value) > most:
            self.add(at, f"must be less than {most + 1} characters")
        elif len(value) < least:
            self.add(at, f"must be more than {least - 1} characters")

    def one_of(self, value: Any, at: str, allowed: Sequence[str]) -> None:
        """Check that a value is absent or one of these words."""
        if value is not None and value not in allowed:
            self.add(at, f"must be one of: {', '.join(allowed)}")

    def flag(self, value: Any, at: str) -> None:
        """Check that a value is absent or a boolean."""
        if value is not None and not isinstance(value, bool):
            self.add(at, "must be a boolean")

    def text(self, value: Any, at: str, most: int, kinds: Sequence[str] = ANY_TEXT, least: int = 1) -> None:
        """Check that a value is absent or a text object of an allowed kind and length."""
        if value is None:
            return
        if not isinstance(value, dict):
            self.add(at, "must provide an object")
            return
        if value.get("type") not in kinds:
            self.add(f"{at}/type", f"must be one of: {', '.join(kinds)}")
            return
        self.keys(value, at, ("text",), ("emoji",) if value["type"] == "plain_text" else ("verbatim",))
        self.string(value.get("text"), f"{at}/text", most, least)

    def items(self, value: Any, at: str, most: int, least: int = 1) -> list[Any]:
        """Return the items of a list of an allowed length, or an empty list if it isn't one."""
        if not isinstance(value, list):
            if value is not None:
                self.add(at, "must provide an array")
            return []
        if len(value) > most:
            self.add(at, f"no more than {most} items allowed")
        elif len(value) < least:
            self.add(at, f"must contain at least {least} item{'s' if least > 1 else ''}")
        return value

    def unique(self, names: Iterable[tuple[str, str]], kind: str) -> None:
        """Check that no name occurs twice; `names` are (place, name)."""
        seen: set[str] = set()
        for at, name in names:
            if name in seen:
                self.add(at, f"duplicate {kind}: {name}")
            seen.add(name)
