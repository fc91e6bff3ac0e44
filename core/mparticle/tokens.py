"""The tokens of mParticle's platform API, kept in memory until they expire."""

import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # every engine has a cache, and few processes use mParticle
    from core.mparticle.models import Credentials

# A token is fetched again this long before it expires, in seconds.
EXPIRY_MARGIN_S = 300.0


@dataclass(slots=True)
class TokenCache:
    """The tokens of this process, by a digest of the credentials. Nothing is written to disk."""

    _known: dict[str, tuple[str, float]] = field(default_factory=dict)

    def get(self, credentials: "Credentials", host: str) -> str | None:
        """Return the token of these credentials, unless it has expired."""
        token, until = self._known.get(_digest(credentials, host), ("", 0.0))
        return token if time.monotonic() < until else None

    def keep(self, credentials: "Credentials", host: str, token: str, lasts_s: float) -> None:
        """Keep a token that lasts so many seconds."""
        self._known[_digest(credentials, host)] = (token, time.monotonic() + lasts_s - EXPIRY_MARGIN_S)

    def drop(self, credentials: "Credentials", host: str) -> None:
        """Forget the token of these credentials."""
        self._known.pop(_digest(credentials, host), None)


def _digest(credentials: "Credentials", host: str) -> str:
    parts = (credentials.client_id, credentials.client_secret, host)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
