"""Who is kept off the list among few members, in Python.

core/planning/exclusions.py does the same in DuckDB for large audiences, with all excluded people. A property test
compares both.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.batch import FORMER_IDENTITY_PREFIX
from core.planning.exclusions import DIGEST_LENGTH, ExclusionSettings
from core.planning.small_workspace import lower
from core.store import ledger_rows

#: Member key, email and user id.
Identity = tuple[str, str | None, str | None]


@dataclass(frozen=True, slots=True)
class ExcludedPeople:
    """Who is excluded: `digests` of addresses, keyed with `salt`, `domains`, and what is known of people elsewhere."""

    salt: str
    digests: frozenset[str]
    domains: tuple[str, ...]
    member_keys: Collection[str] = ()
    emails: Collection[str] = ()
    user_ids: Collection[str] = ()

    def has(self, member_key: str, email: str | None, user_id: str | None) -> bool:
        """Return whether a person is excluded, as `is_excluded` in sql/exclusions.sql."""
        if member_key in self.member_keys or (user_id is not None and user_id in self.user_ids):
            return True
        address = lower(email)
        if address is None:
            return False
        _, _, rest = address.partition("@")
        return (
            address in self.emails
            or (bool(self.digests) and _digest(self.salt, address) in self.digests)
            or (bool(self.domains) and self._has_domain(rest.partition("@")[0]))
        )

    def _has_domain(self, domain: str) -> bool:
        return any(domain == excluded or domain.endswith(f".{excluded}") for excluded in self.domains)


async def find_excluded(
    db: AsyncConnection, settings: ExclusionSettings, identities: Iterable[Identity]
) -> ExcludedPeople:
    """Return who is excluded among people with these identities. No files are read."""
    keys: set[str] = set()
    emails: set[str] = set()
    user_ids: set[str] = set()
    if settings.mapping_ids:
        wanted = [*identities]
        member_keys = frozenset(key for key, _, _ in wanted)
        addresses = frozenset(address for _, email, _ in wanted if (address := lower(email)) is not None)
        ids = frozenset(user_id for _, _, user_id in wanted if user_id is not None)
        of_each = [dict.fromkeys(settings.mapping_ids, values) for values in (member_keys, addresses, ids)]
        rows = await ledger_rows.find(db, *of_each)
        people = [row[1:4] for row in rows if not row[1].startswith(FORMER_IDENTITY_PREFIX)]
        keys.update(key for key, _, _ in people)
        emails.update(email for _, email, _ in people if email is not None)
        user_ids.update(user_id for _, _, user_id in people if user_id is not None)
    digests, domains = frozenset(settings.digests), tuple(settings.domains)
    return ExcludedPeople(settings.salt, digests, domains, keys, emails, user_ids)


def _digest(salt: str, address: str) -> str:
    return hashlib.sha256(f"{salt}{address}".encode()).hexdigest()[:DIGEST_LENGTH]
