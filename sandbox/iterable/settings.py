"""The settings of the local Iterable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from sandbox.iterable.rate_limits import DEFAULT_LIMITS, Limit

EmailCase = Literal["capital", "upper", "lower"]


@dataclass
class Settings:
    """Settings for behavior in which Iterable may vary."""

    limits: dict[str, Limit] = field(default_factory=DEFAULT_LIMITS.copy)
    retry_after: bool = True  # a 429 has Retry-After
    max_body: int = 4_000_000  # bytes; more is 413
    max_subscribers: int = 0  # more is BatchTooLarge; 0: no limit
    email_case: EmailCase = "capital"  # how failedUpdates spells emails
    empty_buckets: bool = True  # failedUpdates contains empty lists, too
    deleted_list_code: str = "BadParams"  # or "Success", as observed
    unique_user_ids: bool = False  # email-based projects, too, reject a user id of another person
    list_ready_after: float = 0.0  # seconds until a list that was created by a request can be used
    membership_after: float = 0.0  # seconds until a subscribe or unsubscribe shows in sizes and lists of users
    merge_keeps_lists: bool = False  # a merge carries the source's lists over; whether Iterable does is not documented
    single_calls_after: float = 0.0  # seconds until a single-user call takes effect: bulk calls meanwhile come first
    history: bool = True  # new lists record who joined and left

    def update(self, given: Mapping[str, Any]) -> None:
        """Change settings from JSON, all or none. Raises ValueError if one is wrong."""
        taken: dict[str, Any] = {}
        for name, value in given.items():
            if name == "limits":
                taken[name] = self._limits(value)
                continue
            if name not in {f.name for f in fields(self)}:
                raise ValueError(f"there is no setting {name!r}")
            known = type(getattr(self, name))
            converted = float(value) if known is float and type(value) is int else value
            if type(converted) is not known:
                raise ValueError(f"{name} can't be {value!r}")
            if name == "email_case" and value not in {"capital", "upper", "lower"}:
                raise ValueError("email_case is capital, upper or lower")
            taken[name] = converted
        for name, value in taken.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        """Return the settings for the control API; limits by name, each `{count, seconds}`."""
        shown = {f.name: getattr(self, f.name) for f in fields(self)}
        return shown | {"limits": {name: asdict(limit) for name, limit in self.limits.items()}}

    def _limits(self, given: object) -> dict[str, Limit]:
        if not isinstance(given, dict):
            raise ValueError("limits is an object: name to count, or to {count, seconds}")
        limits = dict(self.limits)
        for name, value in given.items():
            if name not in limits:
                raise ValueError(f"there is no limit {name!r}: {', '.join(limits)}")
            wanted = value if isinstance(value, dict) else {"count": value}
            count = wanted.get("count", limits[name].count)
            seconds = wanted.get("seconds", limits[name].seconds)
            if type(count) is not int or not isinstance(seconds, int | float) or seconds <= 0:
                raise ValueError(f"the limit {name} can't be {value!r}")
            limits[name] = Limit(count, float(seconds))
        return limits
