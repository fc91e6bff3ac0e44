"""A model of mParticle's hosted Iterable extension: fills a list as that extension does.

Source: mParticle's public extension for Iterable (2020). In mpid mode a profile without an email gets
`<mpid>@placeholder.email`; events in customerId mode used a device's id (IDFV, IDFA, GAID or Android id) in place of
the mpid. Profiles with neither are skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sandbox.iterable.state import State

_DOMAIN = "placeholder.email"


@dataclass(frozen=True, slots=True)
class HostedProfile:
    """A profile as the hosted extension sees it."""

    mpid: int
    email: str | None = None
    customer_id: str | None = None
    device_id: str | None = None


def fill_list(state: State, list_id: int, profiles: Iterable[HostedProfile], *, by_mpid: bool) -> None:
    """Put profiles on a list of the first project. `by_mpid`: the User ID setting is the mpid, not the customer id."""
    people = state.project().people
    numbers = []
    for profile in profiles:
        placeholder = profile.mpid if by_mpid else profile.device_id
        email = profile.email or (f"{placeholder}@{_DOMAIN}" if placeholder is not None else None)
        if email is not None:
            known = people.emails.first.get(email.lower())
            user_id = str(profile.mpid) if by_mpid else profile.customer_id
            numbers.append(people.add(email.lower(), user_id) if known is None else known)
    state.lists[list_id].join(numbers, state.clock())
