"""The variants of an A/B test in one download: each goes to its own list, and not to the list of another."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.errors import InputError
from core.models.run import GuardName, RunStatus
from core.sources.audience_ref import is_other_variant
from sandbox.mparticle import Audience, Profile
from sandbox.mparticle.downloads import Scanned, write_download
from tests.core.harness import LIST, OTHER_LIST, Sync, addresses, syncing

MADE_MS = 1_750_000_000_000
BLUE, GREEN, CONTROL = (Audience(7, f"Spring - {name}") for name in ("Blue", "Green", "Control"))


@pytest.fixture
async def sync(tmp_path: Path) -> AsyncIterator[Sync]:
    """An engine on SQLite."""
    async with syncing(tmp_path) as syncing_engine:
        yield syncing_engine


def scanned(*numbers: int) -> list[Scanned]:
    """Profiles with these numbers, as an export found them."""
    return [Scanned(Profile(number, f"p{number}@example.com", f"c{number}"), MADE_MS) for number in numbers]


def download(sync: Sync, **variants: list[Scanned]) -> Path:
    """Write a download with these variants."""
    audiences = {"blue": BLUE, "green": GREEN, "control": CONTROL}
    exported = {audiences[name]: profiles for name, profiles in variants.items()}
    return write_download(sync.directory / f"{'-'.join(variants)}.zip", exported, made_ms=MADE_MS)


async def test_each_variant_goes_to_its_own_list(sync: Sync) -> None:
    """A mapping of a variant reads that variant only, also when a later sync does not name it; control goes nowhere."""
    path = download(sync, blue=scanned(1, 2), green=scanned(3), control=scanned(4, 5))
    await sync.run(path, audience=BLUE.name, approved=True)
    await sync.run(path, audience=GREEN.name, list_id=OTHER_LIST, approved=True)
    assert (sync.emails(), sync.emails(OTHER_LIST)) == (addresses((1, 2)), addresses((3,)))
    path = download(sync, blue=scanned(2, 6), green=scanned(3, 7), control=scanned(4, 5))
    outcome = await sync.run(path)
    assert outcome.run.status is RunStatus.SUCCEEDED
    assert sync.emails() == addresses((2, 6))


async def test_file_of_another_variant_needs_approval(sync: Sync) -> None:
    """A download of one variant is not synced to the list of another unless an approver says so."""
    await sync.run(download(sync, blue=scanned(1, 2), green=scanned(3)), audience=BLUE.name, approved=True)
    run = (await sync.run(download(sync, green=scanned(3, 4)))).run
    assert run.status is RunStatus.NEEDS_APPROVAL
    assert run.plan is not None
    assert GuardName.OTHER_AUDIENCE in [guard.name for guard in run.plan.guards]
    assert sync.emails() == addresses((1, 2))


async def test_variants_that_are_read_as_one_are_a_note(sync: Sync) -> None:
    """Without a variant's name all of them are one audience, and the plan says so."""
    run = (await sync.run(download(sync, blue=scanned(1), green=scanned(2)), list_id=LIST, approved=True)).run
    assert sync.emails() == addresses((1, 2))
    assert run.plan is not None
    assert "The 2 variants in this download were read as one audience: Spring - Blue (7), Spring - Green (7)." in str(
        run.plan.notes
    )


async def test_unknown_variant(sync: Sync) -> None:
    """A name that no variant has is refused with the names that there are."""
    run = (await sync.run(download(sync, blue=scanned(1), green=scanned(2)), audience="Spring - Red")).run
    assert run.status is RunStatus.FAILED
    assert run.error_code == InputError.code


@pytest.mark.parametrize(
    ("name", "other", "is_other"),
    [
        ("Spring - Blue", "Spring - Green", True),
        ("Spring - Blue", "spring - blue", False),
        ("Spring - Blue", "Summer - Green", False),
        ("Spring", "Spring - Blue", False),
        (None, "Spring - Blue", False),
        ("A - B - C", "A - B - D", True),
    ],
)
def test_other_variant(name: str | None, other: str | None, is_other: bool) -> None:
    """Two names are variants of one test if only what follows the last hyphen differs."""
    assert is_other_variant(name, other) is is_other
