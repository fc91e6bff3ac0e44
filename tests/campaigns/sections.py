"""Reports of campaigns in parts: each part is a section of the page, and only those that were run are replaced."""

from collections.abc import Mapping, Sequence


def replace_sections(template: str, former: str, sections: Mapping[str, str], titles: Sequence[str]) -> str:
    """Return a page: `template` with its `{sections}`, in the order of the titles.

    `sections` are the new ones, by title; the others are those of `former`, the page before.
    """
    kept = {title: f"## {title}\n{text}" for title, _, text in (each.partition("\n") for each in former.split("\n## "))}
    return template.format(sections="\n".join(({**kept, **sections})[title].rstrip("\n") + "\n" for title in titles))
