"""The documents agree with each other and with the code."""

import re
import tomllib

import pytest

from bot.features.help.subcommands import SUBCOMMANDS
from core.models.run import GuardName, RunStatus
from core.store.batches import BatchStatus
from core.store.mappings import MappingStatus
from core.store.slack_messages import MessageStatus
from tests.documents import DOCUMENTS, ROOT, anchors, code, code_blocks, inline_code, links, section, table_rows

_PATH = re.compile(r"(?:core|bot|sandbox|tests|tools|docs)/[\w./*-]*")
_DIAGRAMS = {
    "States of a run": RunStatus,
    "States of a batch": BatchStatus,
    "States of a mapping": MappingStatus,
    "States of a message in Slack": MessageStatus,
}
#: Questions of a newcomer: the document that answers each, and words of the answer.
_QUESTIONS = {
    "Where is the rule that decides who is a duplicate?": ("docs/architecture.md", "`core/planning/diff.py`"),
    "What if the process dies between request and answer?": ("docs/architecture.md", "batch `sent`"),
    "Where would you add a new file format?": ("CONTRIBUTING.md", "a reader in `core/sources/`"),
    "Who may approve a run?": ("docs/reference/permissions.md", "approve or decline"),
    "What is sent for a member without an email?": ("docs/reference/identity.md", "a member without an email"),
    "Why is a run compared with a ledger, and not with the list?": ("docs/decisions/README.md", "list exports"),
    "Which removal needs approval?": ("docs/explanation/how-a-sync-works.md", "more than 20 %"),
    "What does exit code 3 mean?": ("docs/reference/exit-codes.md", "NEEDS_APPROVAL"),
    "Where are addresses stored, and for how long?": ("docs/explanation/stored-data.md", "30 days"),
    "What does a run do if Iterable answers 500?": ("docs/reports/faults.md", "| updates | 500 |"),
    "What does the error code list_gone mean, and is the sync retried?": (
        "docs/reference/errors.md",
        "| `list_gone` |",
    ),
    "Why does the app want the scope users:read?": ("docs/howto/install-in-slack.md", "| `users:read` |"),
    "How do I run one test?": ("CONTRIBUTING.md", "`make test ARGS=tests/"),
    "How many requests a second are sent, and who changes that?": ("docs/howto/deploy.md", "5 requests a second"),
    "Which queue do workers use?": ("docs/decisions/README.md", "The queue of runs"),
    "What leaves the machine for other services?": ("docs/howto/monitor.md", "No span has an address"),
}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    """Every file and every heading that a document links to exists."""
    for target in links(document):
        path, _, anchor = target.partition("#")
        assert (ROOT / path).exists(), target
        assert not anchor or anchor in anchors(path), target


def test_every_document_is_near_the_readme() -> None:
    """A reader reaches each document within two steps from the README."""
    first = {target.partition("#")[0] for target in links("README.md")}
    second = {target.partition("#")[0] for document in first & set(DOCUMENTS) for target in links(document)}
    assert set(DOCUMENTS) - first - second - {"README.md"} == set()


@pytest.mark.parametrize("question", _QUESTIONS)
def test_newcomers_find_answers(question: str) -> None:
    """The README links the document that answers a newcomer's question."""
    document, answer = _QUESTIONS[question]
    assert document in {target.partition("#")[0] for target in links("README.md")}
    assert answer in DOCUMENTS[document]


@pytest.mark.parametrize("page", [document for document in DOCUMENTS if document.startswith("docs/reference/")])
def test_reference_is_in_the_readme(page: str) -> None:
    """The README links every page of the reference."""
    assert page in links("README.md")


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if not name.startswith("docs/reports/pre-")])
def test_paths_exist(document: str) -> None:
    """Every path of the source tree that a document names exists."""
    named = {text for text in inline_code(document) if _PATH.fullmatch(text)}
    assert sorted(path for path in named if not any(ROOT.glob(path.rstrip("/")))) == []


def test_tests_that_reports_name_exist() -> None:
    """Every test that a report refers to exists."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = {text for document in DOCUMENTS for text in inline_code(document) if re.fullmatch(r"test_\w+", text)}
    assert sorted(name for name in named if f"def {name}(" not in source) == []


@pytest.mark.parametrize("heading", _DIAGRAMS)
def test_state_diagrams_have_every_state(heading: str) -> None:
    """The diagram of each kind of state has exactly the stored values."""
    text = section("docs/architecture.md", heading)
    states = set(re.findall(r"^ +(\w+) -->|--> (\w+)", text, re.MULTILINE))
    assert {name for pair in states for name in pair if name} == {state.value for state in _DIAGRAMS[heading]}


def test_diagrams_are_mermaid() -> None:
    """The architecture page has a diagram of the data flow, of the processes, and of each kind of state."""
    kinds = [block.split()[0] for block in code_blocks("docs/architecture.md", "mermaid")]
    assert kinds == ["flowchart", "flowchart", *["stateDiagram-v2"] * len(_DIAGRAMS)]


@pytest.mark.parametrize("package", ["core", "bot"])
def test_layers_match_the_import_contracts(package: str) -> None:
    """The layers on the architecture page are those of the import contract, from the top down."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (each["layers"] for each in contracts if each.get("containers") == [package])
    table = section("docs/architecture.md", "Layers").partition(f"| in `{package}` |")[2].partition("\n\n")[0]
    documented = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in table.splitlines()[2:]]
    assert documented == [layer.split(" | ") for layer in layers]


def test_guards_are_explained() -> None:
    """The documents explain exactly the guards that exist."""
    rows = table_rows(section("docs/explanation/how-a-sync-works.md", "Guards"))
    assert sorted(code(row[0]) for row in rows) == sorted(name.value for name in GuardName)


def test_slack_commands_are_in_the_reference() -> None:
    """The reference has exactly the subcommands of /iterable-sync."""
    rows = table_rows(DOCUMENTS["docs/reference/slack-commands.md"])
    named = [code(row[0]).removeprefix("/iterable-sync").split() for row in rows]
    assert {words[0] if words else "" for words in named} == set(SUBCOMMANDS)
