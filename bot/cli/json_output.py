"""What `--json` prints: one object, on one line of standard output."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol


class JsonReport(Protocol):
    """The object that a command prints."""

    def fail(self, sentence: str, *, is_interrupted: bool) -> None:
        """Record that the command failed, or was interrupted, and why."""

    def to_json(self) -> str:
        """Return the JSON object, on one line."""


@dataclass(slots=True)
class JsonObject:
    """The fields of a class as a JSON object. `error` says why the command failed, and comes last."""

    error: str | None = field(default=None, kw_only=True)

    def fail(self, sentence: str, *, is_interrupted: bool) -> None:
        """Record that the command failed, and why."""
        self.error = sentence

    def to_json(self) -> str:
        """Return the JSON object, on one line."""
        values = asdict(self)
        error = values.pop("error")
        return json.dumps({**values, "error": error})


@dataclass(slots=True)
class CheckList(JsonObject):
    """The results of `doctor`: whether all checks passed, and for each what was checked, `ok`, and a text."""

    ok: bool = True
    checks: list[dict[str, Any]] = field(default_factory=list)

    def fail(self, sentence: str, *, is_interrupted: bool) -> None:
        """Record that the checks could not be finished."""
        self.ok, self.error = False, sentence


@dataclass(slots=True)
class RunList(JsonObject):
    """The runs of `runs list`, newest first."""

    runs: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class StatusReport(JsonObject):
    """The open alerts, the runs that wait for approval and are under way, and the mappings of `status`."""

    alerts: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    under_way: list[dict[str, Any]] = field(default_factory=list)
    mappings: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class ConfigurationPlan(JsonObject):
    """The changes of `config plan` and `config apply`, what is not in the file, and notes."""

    changes: list[dict[str, Any]] = field(default_factory=list)
    not_in_file: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ScheduleList(JsonObject):
    """The schedules of `schedules list`, oldest first."""

    schedules: list[dict[str, Any]] = field(default_factory=list)
