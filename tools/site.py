"""Hooks of the documentation site (mkdocs.yml): the documents at the root of the project become pages of it, too.

Links are written for the source tree, where they lead from `docs/` to files above it. In the site those files are in
the folder of the other documents. Python-Markdown wants the blocks of a list item indented by four spaces, and GitHub
by the width of the item's mark.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]

#: Documents and files outside `docs`, by their names in the site.
_AT_ROOT = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "manifest.yml": "manifest.yml",
    "manifest-usergroups.yml": "manifest-usergroups.yml",
    "LICENSE": "LICENSE.txt",
    "constraints.txt": "constraints.txt",
    "deploy/Dockerfile": "deploy/Dockerfile",
    "deploy/alerts.yaml": "deploy/alerts.yaml",
    "deploy/compose.yaml": "deploy/compose.yaml",
    "deploy/grafana-dashboard.json": "deploy/grafana-dashboard.json",
    "deploy/iterable-sync.service": "deploy/iterable-sync.service",
}
_LINK = re.compile(r"(\]\()([^)\s#]+)")
_ITEM = re.compile(r"(?:\d+\.|-) +")
# A note about the block below, for the tests (CONTRIBUTING.md, Documents).
_NOTE = re.compile(r"^ *<!-- [a-z ]+: .+ -->\n", re.MULTILINE)


def on_config(config: Any) -> Any:
    """Put the pages of a folder in the place of its name, which ends with a slash."""
    config.nav = [_expanded(entry) for entry in config.nav]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the files of the root."""
    for name, page in _AT_ROOT.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=converted(text, name) if name.endswith(".md") else text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Convert the pages in `docs/`."""
    path = page.file.src_uri
    return markdown if path in _AT_ROOT.values() else converted(markdown, f"docs/{path}")


def converted(markdown: str, source: str) -> str:
    """Return a document of the source tree as the site needs it. `source` is its path from the root."""
    return indented(relinked(_NOTE.sub("", markdown), source))


def indented(markdown: str) -> str:
    """Return a document with the blocks of list items indented by four spaces."""
    lines, width = [], 0
    for line in markdown.splitlines(keepends=True):
        if line.strip() and not line.startswith(" "):
            item = _ITEM.match(line)
            width = len(item[0]) if item else 0
        belongs = width and line.startswith(" " * width)
        lines.append(" " * (4 - width) + line if belongs else line)
    return "".join(lines)


def relinked(markdown: str, source: str) -> str:
    """Return a document of the source tree with links as in the site. `source` is its path from the root."""

    def replace(match: re.Match[str]) -> str:
        target = match[2]
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        return match[1] + posixpath.relpath(_page(posixpath.normpath(posixpath.join(folder, target))), start)

    folder = posixpath.dirname(source)
    start = posixpath.dirname(_page(source)) or "."
    return _LINK.sub(replace, markdown)


def _page(path: str) -> str:
    """Return the place in the site of a path from the root."""
    return _AT_ROOT.get(path, path.removeprefix("docs/"))


def _expanded(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    ((title, target),) = entry.items()
    if isinstance(target, list):
        return {title: [_expanded(each) for each in target]}
    if not target.endswith("/"):
        return entry
    folder = ROOT / "docs" / target
    pages = sorted(path.name for path in folder.glob("*.md"))
    return {title: [f"{target}{name}" for name in sorted(pages, key=lambda name: (name != "README.md", name))]}
