"""Exclusions: rules of a mapping that keep people off its list, although they are in the audience."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MOST_ADDRESSES, MOST_OTHERS = 500, 100


class ExclusionKind(StrEnum):
    """What an exclusion names."""

    ADDRESS = "address"
    """An email address. It is kept as a keyed digest."""
    DOMAIN = "domain"
    """A domain with its subdomains."""
    FILE = "file"
    """A file with people. It is read again for each run."""
    MAPPING = "mapping"
    """Another mapping of the connection: the people who were synced for it."""


@dataclass(frozen=True, slots=True, order=True)
class Exclusion:
    """An exclusion. `value` is a digest, a domain, the address of a file, or the id of a mapping."""

    kind: ExclusionKind
    value: str


def dump(exclusions: Sequence[Exclusion]) -> str:
    """Return exclusions as JSON."""
    return json.dumps([[each.kind.value, each.value] for each in exclusions])


def load(text: str) -> tuple[Exclusion, ...]:
    """Return the exclusions in JSON."""
    return tuple(Exclusion(ExclusionKind(kind), value) for kind, value in json.loads(text))


def values_of(exclusions: Sequence[Exclusion], kind: ExclusionKind) -> tuple[str, ...]:
    """Return the values of the exclusions of a kind."""
    return tuple(each.value for each in exclusions if each.kind is kind)


def exclusions_text(exclusions: Sequence[Exclusion]) -> str:
    """Return exclusions in words, without addresses of people; "" if there are none."""
    parts = []
    if addresses := values_of(exclusions, ExclusionKind.ADDRESS):
        parts.append("1 address" if len(addresses) == 1 else f"{len(addresses):,} addresses")
    parts += [f"@{domain}" for domain in values_of(exclusions, ExclusionKind.DOMAIN)]
    parts += [f"the people in {file}" for file in values_of(exclusions, ExclusionKind.FILE)]
    parts += [f"the people of mapping {number}" for number in values_of(exclusions, ExclusionKind.MAPPING)]
    return ", ".join(parts)
