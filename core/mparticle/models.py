"""Accounts and audiences as mParticle's platform API describes them."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self


class Pod(StrEnum):
    """The place where mParticle keeps an account. It changes only the host of the API; tokens come from one host."""

    US1 = "us1"
    US2 = "us2"
    EU1 = "eu1"
    AU1 = "au1"

    @property
    def url(self) -> str:
        """The address of the platform API."""
        return "https://api.mparticle.com" if self is Pod.US1 else f"https://api.{self.value}.mparticle.com"

    @property
    def audiences_page(self) -> str:
        """The page with an account's audiences, for people. The host is that of the pod's login page
        (docs.mparticle.com, "Data Hosting Locations")."""
        return f"https://app.{self.value}.mparticle.com/audiences"

    @property
    def label(self) -> str:
        """The name to show to people."""
        return self.value.upper()


@dataclass(frozen=True, slots=True)
class Credentials:
    """A client id with its secret, and the account that they read."""

    client_id: str
    client_secret: str = field(repr=False)
    account_id: str
    pod: Pod


@dataclass(frozen=True, slots=True)
class ListedAudience:
    """An audience. `name` is the one that outputs receive, `internal_name` the one in mParticle's own pages.

    `size`, and the people `added` and `dropped` in the last 24 hours, are None if mParticle has not computed them.
    """

    id: str
    name: str
    internal_name: str
    size: int | None = None
    added: int | None = None
    dropped: int | None = None

    @classmethod
    def read(cls, item: Any) -> Self | None:
        """Read an audience of an answer; None if it has no id or no name."""
        if not isinstance(item, dict):
            return None
        internal_name, external_name = _one_line(item.get("name")), _one_line(item.get("external_name"))
        audience_id = _count(item.get("id"))
        if audience_id is None or not (internal_name or external_name):
            return None
        return cls(
            str(audience_id),
            external_name or internal_name,
            internal_name or external_name,
            _count(item.get("size")),
            _count(item.get("added_last_24_hours")),
            _count(item.get("dropped_last_24_hours")),
        )

    def is_called(self, text: str) -> bool:
        """Return whether a text, as typed by a person, is the id or one of the names."""
        typed = text.strip().casefold()
        return typed in (self.id, self.name.casefold(), self.internal_name.casefold())

    def contains(self, text: str) -> bool:
        """Return whether a text is the id, or part of one of the names."""
        typed = text.strip().casefold()
        return typed == self.id or typed in self.name.casefold() or typed in self.internal_name.casefold()


@dataclass(frozen=True, slots=True)
class KnownAudiences:
    """The audiences of an account, and when they were fetched (seconds of a monotonic clock).

    `credentials` is the encrypted secret with which they were fetched.
    """

    audiences: tuple[ListedAudience, ...]
    at: float
    credentials: bytes

    def by_id(self, audience_id: str | None) -> ListedAudience | None:
        """Return the audience of an id; None if mParticle no longer has it."""
        return next((each for each in self.audiences if each.id == audience_id), None)

    def of(self, audience_id: str | None, name: str | None) -> ListedAudience | None:
        """Return the audience of a mapping: by its id or, without one, by its name. None if mParticle has none.

        A variant of an A/B test (`[name] - [variant]`) has the id of the test's audience, and no size of its own: None.
        """
        if audience_id is None:
            called = self.called(name) if name else []
            return called[0] if len(called) == 1 else None
        audience = self.by_id(audience_id)
        is_variant = audience is not None and (name or "").casefold().startswith(f"{audience.name.casefold()} - ")
        return None if is_variant else audience

    def called(self, text: str) -> list[ListedAudience]:
        """Return the audiences whose id or name is this text."""
        by_id = [each for each in self.audiences if each.id == text.strip()]
        return by_id or [each for each in self.audiences if each.is_called(text)]


def _one_line(text: Any) -> str:
    """Return a name as people can read and store it: on one line, without control characters."""
    if not isinstance(text, str):
        return ""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _count(number: Any) -> int | None:
    return number if isinstance(number, int) and not isinstance(number, bool) and number >= 0 else None
