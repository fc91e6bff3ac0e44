"""Writes the link that creates the Slack app from the manifest into the guide: `python -m tools.manifest_link`.

Slack opens its form with the manifest of the link (docs.slack.dev/app-manifests/configuring-apps-with-app-manifests).
"""

import re
from pathlib import Path
from urllib.parse import quote, unquote

import yaml

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "howto" / "install-in-slack.md"
_START = "https://api.slack.com/apps?new_app=1&manifest_yaml="
_LINK = re.compile(re.escape(_START) + r"([\w%.~-]*)")


def link() -> str:
    """Return the link with the manifest, without line breaks inside of texts."""
    manifest = yaml.safe_load((ROOT / "manifest.yml").read_text(encoding="utf-8"))
    return _START + quote(yaml.safe_dump(manifest, sort_keys=False, width=10_000), safe="")


def manifest_in(page: str) -> object:
    """Return the manifest of the link in a page. Raises ValueError if there is none."""
    match = _LINK.search(page)
    if match is None:
        raise ValueError("the page has no link with a manifest")
    return yaml.safe_load(unquote(match[1]))


def page() -> str:
    """Return the guide with the present link."""
    return _LINK.sub(link().replace("\\", r"\\"), GUIDE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    GUIDE.write_text(page(), encoding="utf-8")
