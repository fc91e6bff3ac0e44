"""Every command, JSON, YAML, SQL and Python text in the documents is valid.

Here commands are parsed. `tests/guides` executes them.
"""

import base64
import hashlib
import hmac
import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from bot.cli.program import application
from bot.features.help.subcommands import SUBCOMMANDS
from bot.web.api.schemas import SyncRequest
from core.models.events import Event
from core.notifications import templates
from core.settings import SECRETS, Settings
from tests.documents import DOCUMENTS, ROOT, blocks, code_blocks, inline_code

_FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_PROGRAM = re.compile(r"(?:^ *(?:\$ )?(?:\w+=\S+ )*|[;|&] |/bin/| -- )iterable-sync( [^;|&>\n]*)", re.MULTILINE)
#: Words of `iterable-sync ...` in running text that stand for any command.
_ANY = {"COMMAND", "...", "--help", "--version"}
#: Reports about former versions, and the generated reference, which test_reference_docs.py compares with the code.
_OTHERS = ("docs/reports/pre-release-faults.md", "docs/reference/cli.md", "CHANGELOG.md")
_PAGES = [page for page in DOCUMENTS if page not in _OTHERS]
#: The test that validates or executes the blocks of a page in a language.
_VALIDATED = {
    ("docs/howto/alerts.md", "json"): "test_template",
    ("docs/howto/configuration-as-code.md", "yaml"): "test_configuration",
    ("docs/howto/respond-to-alerts.md", "yaml"): "test_configuration_of_prometheus",
    ("docs/howto/run-in-kubernetes.md", "yaml"): "test_examples_of_the_guide",
    ("docs/howto/run-log.md", "sql"): "test_examples_for_duckdb",
    ("docs/howto/run-log.md", "yaml"): "test_examples_for_dbt",
    ("docs/howto/use-the-api.md", "python"): "test_examples",
    ("docs/howto/use-the-api.md", "yaml"): "test_examples",
    ("docs/reference/events.md", "json"): "test_events",
    ("docs/reference/events.md", "python"): "test_signature",
    ("docs/reference/json.md", "json"): "test_json_values",
}


def _commands(page: str) -> Iterator[str]:
    """Yield what follows `iterable-sync` in each command of a page."""
    for block in blocks(page):
        if block.language in ("", "console", "bash", "sh"):
            yield from _PROGRAM.findall(block.content.replace("\\\n", " "))
    yield from re.findall(r"`iterable-sync( [^`\n]+)`", _FENCED.sub("", DOCUMENTS[page]))


def _check(words: list[str]) -> None:
    """Parse a command as the program does. Raises ValueError or the parser's error if the program refuses it."""
    command: Any = typer.main.get_command(application())
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
def test_slack_commands(page: str) -> None:
    """Each command of Slack that a page names exists."""
    shown = "\n".join(code_blocks(page, "text"))
    named = re.findall(r"^/iterable-sync ([\w-]+)", "\n".join([*inline_code(page), shown]), re.MULTILINE)
    assert set(named) <= set(SUBCOMMANDS)


def test_all_data_is_validated() -> None:
    """Each block with data or a program is of a language that a test validates."""
    shown = {(page, each.language) for page in _PAGES for each in blocks(page)}
    assert {each for each in shown if each[1] not in ("console", "bash", "text", "mermaid", "diff")} == set(_VALIDATED)
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert [test for test in _VALIDATED.values() if f"def {test}(" not in sources] == []


def test_template() -> None:
    """The template of the guide on alerts is accepted, and is filled with values that an event has."""
    (template,) = code_blocks("docs/howto/alerts.md", "json")
    event = _event(
        type="alert.opened",
        run=None,
        alert={
            "id": 1,
            "key": "mapping-3",
            "code": "list_gone",
            "message": "The list is gone.",
            "opened_at": "2026-11-30T08:00:41Z",
            "closed_at": None,
            "outcome": None,
        },
    )
    _, body = templates.render(templates.check(template), "https://hooks.example.com", event)
    assert body == {"text": "Spring Shoppers: The list is gone."}


def test_signature() -> None:
    """The function of the page on events accepts a signature of the specification, and no other."""
    (program,) = code_blocks("docs/reference/events.md", "python")
    scope: dict[str, Any] = {}
    exec(program, scope)
    secret, body = base64.b64encode(b"a secret of 24 bytes ...").decode(), b"{}"
    digest = hmac.new(base64.b64decode(secret), b"msg_1.1700000000." + body, hashlib.sha256).digest()
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
    assert scope["is_signed"](f"whsec_{secret}", headers, body)
    assert not scope["is_signed"](f"whsec_{secret}", headers, b"{ }")


def test_body_in_the_guide() -> None:
    """The body that the guide on the API names is one."""
    bodies = [text for text in inline_code("docs/howto/use-the-api.md") if text.startswith("{")]
    assert [SyncRequest.model_validate_json(body).address for body in bodies] == ["s3://bucket/audience.csv"]


def _event(**changes: Any) -> dict[str, Any]:
    """The example of the page on events, with changes."""
    (example,) = code_blocks("docs/reference/events.md", "json")
    return Event.model_validate(json.loads(example) | changes).model_dump(mode="json")


def test_settings_in_examples() -> None:
    """Each setting that an example sets exists."""
    fields = Settings.model_fields.items()
    known = {str(field.validation_alias or f"ITERABLE_SYNC_{name.upper()}") for name, field in fields}
    known |= {f"{name}_{suffix}" for name in SECRETS for suffix in ("FILE", "COMMAND")}
    for page in _PAGES:
        for block in [] if page.startswith("docs/reports/") else blocks(page):
            named = set(re.findall(r"\b((?:ITERABLE|SLACK)_[A-Z_]+)=", block.content))
            assert named <= known, page
