"""Every command, JSON, YAML and Python text in the documents is valid: it is parsed, or executed by another test."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
import yaml

from bot.cli import app
from core.settings import SECRETS, Settings
from tests.documents import DOCUMENTS

_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:^(?: {4,}|\t).*\n)+", re.MULTILINE)
_PROGRAM = re.compile(r"(?:^ *(?:\$ )?(?:\w+=\S+ )*|[;|&] |/bin/| -- )iterable-sync( [^;|&>\n]*)", re.MULTILINE)
#: Words of `iterable-sync ...` in running text that stand for any command.
_ANY = {"COMMAND", "...", "--help", "--version"}
#: Reports about former versions, and the generated reference, which test_reference_docs.py compares with the code.
_OTHERS = ("docs/reports/pre-release-faults.md", "docs/reference/cli.md", "CHANGELOG.md")
_PAGES = [page for page in DOCUMENTS if page not in _OTHERS]


def _blocks(page: str) -> Iterator[tuple[str, str]]:
    """Yield the language and the content of each fenced block, without its indentation."""
    for indent, language, content in _BLOCK.findall(DOCUMENTS[page]):
        yield language, re.sub(f"^{indent}", "", content, flags=re.MULTILINE)


def _commands(page: str) -> Iterator[str]:
    """Yield what follows `iterable-sync` in each command of a page."""
    text = DOCUMENTS[page]
    shown = [content for language, content in _blocks(page) if language in ("", "console", "bash", "sh")]
    unfenced = _BLOCK.sub("", text)
    shown += _INDENTED.findall(unfenced)
    for content in shown:
        yield from _PROGRAM.findall(content.replace("\\\n", " "))
    yield from re.findall(r"`iterable-sync( [^`\n]+)`", unfenced)


def _check(words: list[str]) -> None:
    """Parse a command as the program does. Raises ValueError or the parser's error if the program refuses it."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        if not words or words[0] in _ANY:
            return
        command = command.commands[words.pop(0)]
    context = command.context_class(command)
    _, rest, _ = command.make_parser(context).parse_args(words)
    if [word for word in rest if word != "..."]:
        raise ValueError(f"too many arguments: {rest}")


@pytest.mark.parametrize("page", _PAGES)
def test_commands(page: str) -> None:
    """Each command exists, with these options and at most these arguments."""
    for command in _commands(page):
        try:
            _check(shlex.split(command, comments=True))
        except Exception as error:  # noqa: BLE001  # the parser's classes have no public names
            pytest.fail(f"iterable-sync{command}: {type(error).__name__} {error}")


@pytest.mark.parametrize("page", _PAGES)
def test_data(page: str) -> None:
    """Each block of JSON or YAML can be read, and each block of Python is a program."""
    for language, content in _blocks(page):
        if language == "json":
            for line in [content] if content.lstrip().startswith(("{\n", "[\n")) else content.splitlines():
                json.loads(line)
        elif language == "yaml":
            yaml.safe_load(content)
        elif language == "python":
            compile(content, page, "exec")


def test_settings_in_examples() -> None:
    """Each setting that an example sets exists."""
    fields = Settings.model_fields.items()
    known = {str(field.validation_alias or f"ITERABLE_SYNC_{name.upper()}") for name, field in fields}
    known |= {f"{name}_{suffix}" for name in SECRETS for suffix in ("FILE", "COMMAND")}
    for page in _PAGES:
        for _, content in [] if page.startswith("docs/reports/") else _blocks(page):
            named = set(re.findall(r"\b((?:ITERABLE|SLACK)_[A-Z_]+)=", content))
            assert named <= known, page
