"""Readers for the project's documents: text, links, headings and tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Every document, by its path from the root.
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
}

_BLOCK = re.compile(
    r"(?P<notes>(?:^ *<!-- [a-z ]+: [^\n]+ -->\n)*)^(?P<indent> *)```(?P<language>\w*)\n(?P<content>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)
_NOTE = re.compile(r"<!-- ([a-z ]+): (.+) -->")
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_ROW = re.compile(r"^\|(.*)\|$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its content without indentation, and the notes in comments right above it.

    CONTRIBUTING.md (Documents) explains the notes, such as `<!-- not executed: needs Docker -->`.
    """

    language: str
    content: str
    notes: dict[str, str]

    def commands(self) -> "list[Command]":
        """The commands of a block `console`, each with the output that the page shows."""
        commands: list[Command] = []
        for line in self.content.splitlines():
            if line.startswith("$ "):
                commands.append(Command(line.removeprefix("$ ")))
            elif commands and commands[-1].text.endswith("\\") and not commands[-1].output:
                commands[-1].text += f"\n{line}"
            else:
                commands[-1].output.append(line)
        return commands


@dataclass
class Command:
    """A command of a page, and the lines of output below it. `...` stands for any text, alone for any lines."""

    text: str
    output: list[str] = field(default_factory=list)


def blocks(document: str) -> Iterator[Block]:
    """Yield the fenced blocks of a document, in order, also those in list items."""
    for match in _BLOCK.finditer(DOCUMENTS[document]):
        content = re.sub(f"^{match['indent']}", "", match["content"], flags=re.MULTILINE)
        yield Block(match["language"], content, dict(_NOTE.findall(match["notes"])))


def links(document: str) -> list[str]:
    """The targets of a document's links that lead to other parts of the project, as "path#anchor" from the root."""
    folder = (ROOT / document).parent
    targets = []
    for target in _LINK.findall(_FENCED.sub("", DOCUMENTS[document])):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        resolved = (folder / path).resolve() if path else ROOT / document
        targets.append(f"{resolved.relative_to(ROOT).as_posix()}{'#' * bool(anchor)}{anchor}")
    return targets


def anchors(document: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    text = _FENCED.sub("", DOCUMENTS[document])
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(text))
    return {heading.replace(" ", "-") for heading in plain}


def code_blocks(document: str, language: str) -> list[str]:
    """The contents of a document's fenced blocks of a language."""
    return [block for name, block in _FENCED.findall(DOCUMENTS[document]) if name == language]


def inline_code(document: str) -> list[str]:
    """The texts in single backticks in a document."""
    return re.findall(r"`([^`\n]+)`", _FENCED.sub("", DOCUMENTS[document]))


def section(document: str, heading: str) -> str:
    """The text below a heading, up to the next heading of any level."""
    _, _, rest = DOCUMENTS[document].partition(f"# {heading}\n")
    assert rest, f"{document} has no heading {heading}"
    return re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def table_rows(text: str) -> list[list[str]]:
    """The cells of all tables in a text, without their heads."""
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)] for row in _ROW.findall(text)]
    heads = {number - 1 for number, row in enumerate(rows) if set("".join(row)) <= set("-: ") and "".join(row)}
    return [row for number, row in enumerate(rows) if number not in heads and number - 1 not in heads]


def code(cell: str) -> str:
    """The text in the first backticks of a cell, or the whole cell if there are none."""
    match = re.search(r"`([^`]+)`", cell)
    return match[1] if match else cell
