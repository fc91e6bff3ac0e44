"""Sample audiences: a download from mParticle, and a later one of the same audience.

They are the same every time. Good members live at example.com; the rules of the local Iterable
(`sandbox.iterable.scripted_outcomes`) make it reject some of the others. The expected result of a sync is defined here,
too, so that a demo or a test can compare a list to it.
"""

from __future__ import annotations

import json
import random
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

AUDIENCE_ID: Final = 8754
AUDIENCE_NAME: Final = "SpringShoppers"
FIRST: Final = "spring-shoppers.zip"
LATER: Final = "spring-shoppers-a-week-later.zip"

_WEEK: Final = 7 * 24 * 3600
_FIRST_AT: Final = 1_740_819_600  # seconds: 2025-03-01
_FIRST_NAMES: Final = (
    "ada",
    "bela",
    "carla",
    "deniz",
    "emil",
    "fatima",
    "goran",
    "hanna",
    "ivo",
    "jun",
    "kofi",
    "lena",
)
_LAST_NAMES: Final = ("adler", "brandt", "costa", "dietz", "ekman", "fuchs", "garcia", "hansen", "ito", "jones", "khan")
_DEVICES: Final = ("ios_idfv", "android_uuid", "mp_das_id")


@dataclass(frozen=True, slots=True)
class Member:
    """A profile: its identities, and whether Iterable accepts it with the User ID setting customerId."""

    mpid: int
    email: str | None
    customer_id: str | None
    is_good: bool = True


def first() -> list[Member]:
    """Return the members of the first download."""
    rng = random.Random(8754)  # noqa: S311 - repeatable, not secret
    good = [_person(rng, number) for number in range(4_700)]
    no_email = [Member(_mpid(rng), None, f"c-{10_000 + n}", is_good=False) for n in range(150)]
    device_only = [Member(_mpid(rng), None, None, is_good=False) for _ in range(40)]
    malformed = [
        Member(_mpid(rng), _MALFORMED[n % len(_MALFORMED)].format(n), f"c-{20_000 + n}", is_good=False)
        for n in range(45)
    ]
    refused = [
        Member(_mpid(rng), f"{kind}{n}@{kind}.test", f"c-{30_000 + 100 * place + n}", is_good=False)
        for place, (kind, number) in enumerate(_REFUSED)
        for n in range(number)
    ]
    twins = [replace(person, mpid=_mpid(rng), customer_id=None) for person in good[:25]]
    return [*good, *no_email, *device_only, *malformed, *refused, *twins]


def later() -> list[Member]:
    """Return the members a week later: some have left, some have joined, some have another address."""
    rng = random.Random(4578)  # noqa: S311 - repeatable, not secret
    before = first()
    stayed = before[190:]
    moved = [replace(person, email=f"new.{person.email}") for person in stayed[:60]]
    joined = [_person(rng, 5_000 + number) for number in range(240)]
    return [*moved, *stayed[60:], *joined]


def emails(members: Sequence[Member]) -> set[str]:
    """Return the addresses on a list that equals the audience, as Iterable stores them."""
    return {member.email.lower() for member in members if member.is_good and member.email}


def write_first(folder: Path) -> Path:
    """Write the first download into a folder and return its path."""
    return write(folder / FIRST, first(), _FIRST_AT)


def write_later(folder: Path) -> Path:
    """Write the later download into a folder and return its path."""
    return write(folder / LATER, later(), _FIRST_AT + _WEEK)


def write(path: Path, members: Sequence[Member], at: int) -> Path:
    """Write members as an audience download created at a time (in seconds)."""
    rng = random.Random(at)  # noqa: S311 - repeatable, not secret
    rows = [row for member in members for row in _rows(rng, member, at)]
    rng.shuffle(rows)
    name = f"{AUDIENCE_ID}_{AUDIENCE_NAME}_090000Mar{1 + (at - _FIRST_AT) // 86_400:02}2025.csv"
    lines = ["mpid, scanned_timestamp_ms, identity_value, identity_type", *(", ".join(row) for row in rows)]
    stamps = [int(row[1]) for row in rows]
    counts = {
        "min_timestamp_ms": min(stamps),
        "max_timestamp_ms": max(stamps),
        "total_rows": len(rows),
        "rows_by_identity": dict(Counter(row[3] for row in rows)),
    }
    manifest = {
        "archive_name": path.name,
        "id": "00000000-0000-4000-8000-000000008754",
        "audience_ids": [AUDIENCE_ID],
        "included_identities": ["customer_id", "email", *_DEVICES],
        "manifest_generated": f"2025-03-{1 + (at - _FIRST_AT) // 86_400:02}T09:00:00.0000000Z",
        **counts,
        "files": [{"file_name": name, "total_users": len(members), **counts}],
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        _put(archive, name, "\n".join(lines) + "\n")
        _put(archive, "manifest.json", json.dumps(manifest, indent=2))
    return path


_MALFORMED: Final = (
    "no-at-sign-{}.example.com",
    "two@@signs{}.example.com",
    "white space{}@example.com",
    "no-domain{}@",
)
_REFUSED: Final = (("forgotten", 30), ("conflict", 10), ("invalid", 22))


def _person(rng: random.Random, number: int) -> Member:
    name = f"{rng.choice(_FIRST_NAMES)}.{rng.choice(_LAST_NAMES)}{number}"
    if number % 50 == 0:
        name = name.title()  # people type capitals, Iterable stores none
    customer_id = None if number % 20 == 0 else f"c-{number}"
    return Member(_mpid(rng), f"{name}@example.com", customer_id)


def _mpid(rng: random.Random) -> int:
    return rng.randrange(-(2**63), 2**63)


def _rows(rng: random.Random, member: Member, at: int) -> list[tuple[str, str, str, str]]:
    """Return a row for each identity; time stamps are in seconds or in milliseconds."""
    scanned = at - rng.randrange(90 * 24 * 3600)
    stamp = str(scanned if rng.random() < 0.5 else scanned * 1000 + rng.randrange(1000))
    identities = [("email", member.email), ("customer_id", member.customer_id)]
    if (member.email is None and member.customer_id is None) or rng.random() < 0.3:
        device = f"{rng.getrandbits(128):032x}"
        identities.append((rng.choice(_DEVICES), device))
    return [(str(member.mpid), stamp, value, kind) for kind, value in identities if value is not None]


def _put(archive: zipfile.ZipFile, name: str, content: str) -> None:
    entry = zipfile.ZipInfo(name, (2025, 3, 1, 9, 0, 0))  # not now: the same bytes every time
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)
