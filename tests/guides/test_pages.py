"""Each shell command of the documents works, in the order of its page, or its page says why no test executes it."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sandbox.sample_audiences import write_first, write_later
from tests.bot.cli.commands import Commands, LocalIterable, local_iterable
from tests.core.databases import new_sqlite
from tests.documents import DOCUMENTS, ROOT, Block, Command, blocks
from tests.guides.shell import execute, matches
from tests.guides.situations import SITUATIONS, Situation

_SHELL = ("console", "bash", "sh")
_NOTES = {"not executed", "exit code", "file"}
_UNFENCED = re.compile(r"^(?: {4,}|\t)\$? ?(?:iterable-sync|sudo|docker|make|pip|export) .*$", re.MULTILINE)
#: Pages whose blocks are shown, and are not for readers to execute.
_OTHERS = ("docs/reference/cli.md", "docs/reports/pre-release-faults.md", "CHANGELOG.md")
_PAGES = [page for page in DOCUMENTS if page not in _OTHERS and any(each.language in _SHELL for each in blocks(page))]


def _executed(page: str) -> Iterator[Block]:
    """Yield the blocks of a page that are executed or written to a file."""
    yield from (each for each in blocks(page) if "not executed" not in each.notes)


def _commands(block: Block) -> list[Command]:
    if block.language == "console":
        return block.commands()
    script = re.sub(r"^#.*\n", "", block.content, flags=re.MULTILINE)
    return [Command(f"(set -euo pipefail\n{script})")]


@pytest.mark.parametrize("page", DOCUMENTS)
def test_blocks(page: str) -> None:
    """Commands stand in fenced blocks; a block has only known notes, and a reason if it is not executed."""
    if page in _OTHERS:
        return
    fenced = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
    assert _UNFENCED.findall(fenced.sub("", DOCUMENTS[page])) == []
    for block in blocks(page):
        assert block.notes.keys() <= _NOTES
        if block.language in _SHELL:
            assert block.language != "console" or block.content.startswith("$ "), block.content
            assert "not executed" in block.notes or page in SITUATIONS, block.content


@pytest.mark.parametrize("page", _PAGES)
def test_not_executed(page: str) -> None:
    """The shell can parse commands that are not executed, and the files and targets that they name exist."""
    for block in blocks(page):
        if block.language not in _SHELL or "not executed" not in block.notes:
            continue
        text = "\n".join(command.text for command in _commands(block))
        parsed = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
        assert parsed.returncode == 0, parsed.stderr
        named = re.findall(r"(?<![\w/.])(?:deploy|docs|core|bot|tests|tools)/[\w./-]+", text)
        assert [path for path in named if not (ROOT / path).exists() and "secrets" not in path] == []
        targets = re.findall(r"^make ([\w-]+)", text, re.MULTILINE)
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert [target for target in targets if f"\n{target}:" not in makefile] == []


@pytest.fixture
def private_iterable() -> Iterator[LocalIterable]:
    """A local Iterable with nothing but its samples."""
    with local_iterable() as iterable:
        yield iterable


@pytest.mark.extended
@pytest.mark.parametrize("page", SITUATIONS)
def test_page(page: str, tmp_path: Path, private_iterable: LocalIterable) -> None:
    """Each command of a page ends as the page says, and prints what the page shows."""
    with ExitStack() as stack:
        new_sqlite(tmp_path / "data")
        reader = Situation(Commands(tmp_path, private_iterable), stack)
        SITUATIONS[page](reader)
        commands, codes = [], []
        for block in _executed(page):
            if "file" in block.notes:
                commands.append(Command(f"cat > {block.notes['file']} <<'@@'\n{block.content}@@"))
                codes.append(0)
            elif block.language in _SHELL:
                commands += _commands(block)
                codes += [0] * (len(commands) - len(codes) - 1) + [int(block.notes.get("exit code", "0"))]
        expected = [Command(_replaced(each.text, reader), each.output) for each in commands]
        outcomes = execute(expected, tmp_path, reader.run.env, reader.answers)
    assert [each.text for each in expected if "..." in each.text] == []
    report = "\n".join(f"$ {each.command.text}\n{each.shown}[{each.code}]" for each in outcomes)
    print(report)  # pytest shows it if the test fails, or with -rP
    assert [each.code for each in outcomes] == codes
    for outcome in outcomes:
        assert "Traceback" not in outcome.shown
        shown = [_replaced(line, reader) for line in outcome.command.output]
        assert not shown or matches(shown, outcome.shown), outcome


@pytest.mark.extended
def test_json_example(tmp_path: Path, private_iterable: LocalIterable) -> None:
    """The example of the page on JSON is what the sync of the second sample prints, but for its id and its time."""
    (example,) = (json.loads(each.content) for each in blocks("docs/reference/json.md") if each.language == "json")
    new_sqlite(tmp_path / "data")
    run = Commands(tmp_path, private_iterable)
    assert run.here("sync", write_first(tmp_path), "--list", 1002).code == 0
    printed = run.here("sync", write_later(tmp_path), "--list", 1002, "--json").object
    changing = {name: example[name] for name in ("run_id", "duration_s")}
    assert printed | changing == example


def _replaced(text: str, reader: Situation) -> str:
    """Replace the placeholders of a page by what the reader has in their place."""
    for placeholder, value in reader.stands_for.items():
        text = text.replace(placeholder, value)
    return text
