"""The variants of an A/B test in one audience download, found without unpacking it.

mParticle's documentation of A/B testing: a test has up to five variants and a control; each variant has a CSV of its
own in the download, and is called `[External name] - [Variant]`. The control is there to be compared with: it gets
nothing.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

from core.sources import manifest, zip_archive
from core.sources.audience_ref import split_variant
from core.sources.download_zip import members_of
from core.sources.source_file import SourceFile

# More files than this are no A/B test: mParticle makes up to five variants and a control.
MOST_VARIANTS = 10
_CONTROL = frozenset({"control", "control group", "holdout"})


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant: its whole name, and how many profiles the manifest counts (None: it does not say)."""

    name: str
    people: int | None

    @property
    def label(self) -> str:
        """The name within the test."""
        parts = split_variant(self.name)
        return parts[1] if parts else self.name

    @property
    def is_control(self) -> bool:
        """Whether it is the control of the test."""
        return self.label.casefold() in _CONTROL


def read_variants(path: Path, name: str) -> list[Variant]:
    """Return the variants in a file that a person calls `name`; empty if it is not the download of an A/B test.

    Raises InputError if the file is a ZIP and damaged.
    """
    with path.open("rb") as opened:
        if not zipfile.is_zipfile(opened):
            return []
    file = SourceFile(path, name)
    with zip_archive.open_archive(file) as archive:
        content = archive.manifest()
        if content is None:
            return []
        members = members_of(archive, manifest.parse(content, file), file)
    parts = [split_variant(member.audience.name) for member in members]
    tests = {(member.audience.id, part[0].casefold()) for member, part in zip(members, parts, strict=True) if part}
    if not 2 <= len(members) <= MOST_VARIANTS or None in parts or len(tests) != 1:
        return []
    return [Variant(member.audience.name or "", member.expected.users) for member in members]
