"""The documentation as a site."""

import os
import re
import subprocess
import sys
from pathlib import Path

import markdown
import pytest

from tests.documents import DOCUMENTS, ROOT
from tools.site import converted, relinked


@pytest.mark.parametrize(
    ("source", "link", "expected"),
    [
        ("README.md", "docs/howto/deploy.md#postgresql", "howto/deploy.md#postgresql"),
        ("docs/architecture.md", "../CONTRIBUTING.md", "CONTRIBUTING.md"),
        ("docs/howto/install-in-slack.md", "../../manifest.yml", "../manifest.yml"),
        ("docs/howto/deploy.md", "../reference/cli.md", "../reference/cli.md"),
        ("docs/howto/deploy.md", "https://example.com/a", "https://example.com/a"),
        ("docs/glossary.md", "../README.md", "index.md"),
    ],
)
def test_links(source: str, link: str, expected: str) -> None:
    """A link of the source tree leads to the same document in the site."""
    assert relinked(f"See [it]({link}).", source) == f"See [it]({expected})."


@pytest.mark.parametrize("page", ["docs/howto/migrate-from-mparticle.md", "docs/howto/connect-mparticle.md"])
def test_steps(page: str) -> None:
    """Steps with commands between them stay one numbered list, and the notes for tests are left out."""
    steps = DOCUMENTS[page].partition("\n## Steps\n")[2].partition("\n## ")[0]
    shown = markdown.markdown(converted(steps, page), extensions=["pymdownx.superfences"])
    assert shown.count("<ol>") == 1
    assert "<!--" not in shown


@pytest.mark.extended
def test_site(tmp_path: Path) -> None:
    """The site is built without a broken link or anchor, and no page loads anything from another server."""
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert built.returncode == 0, built.stderr
    for page in tmp_path.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|link rel=.?stylesheet)[^>]*(?:src|href)=.?(https?://[^\s>\"]+)", page.read_text()
        )
        assert loaded == [], page
