"""The check that keeps banned phrases and names out of code and documents."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tools.phrases import CONFIG, Config, check, find_files, find_names, find_phrases, load_config, main

CONFIGURED = load_config(CONFIG)


def _words(text: str, suffix: str = ".md") -> list[tuple[int, str]]:
    return [(line, words) for line, words, _ in find_phrases(text, suffix, CONFIGURED.phrases)]


def _tree(root: Path, files: Mapping[str, str]) -> list[Path]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(find_files(root))


@pytest.mark.parametrize(
    "sentence",
    [
        "Somebody has to approve it.",
        "Ask the people whom it concerns.",
        "The run is planned anew.",
        "It goes on where it stopped.",
        "The channel is told.",
        "Approvers are told.",
        "The worker beside it stops.",
        "It is meant as a number.",
        "It does not run any more.",
        "Put in another file.",
        "A table, each row of which is a run.",
        "Returns None where there was no run.",
        "Raises InputError where the file is wrong.",
        "Where a run has failed, it can be resumed.",
    ],
)
def test_banned_phrases_are_found(sentence: str) -> None:
    """The check finds each kind of banned phrase in a sentence."""
    assert _words(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "Besides, nothing stops.",
        "It needs any more than a second.",
        "The input is put into the table.",
        "Where is the file?",
        "This page says where to look.",
        "## Where a change belongs\n\nA handler, for example, reads the payload.",
        "Run `whom` again, see [the page](anew.md).",
        "```\nsomebody\n```",
    ],
)
def test_other_words_are_left_alone(sentence: str) -> None:
    """The check ignores words that only look like a banned phrase, code, and link targets."""
    assert _words(sentence) == []


def test_a_phrase_is_found_across_lines() -> None:
    """A wrapped phrase is reported at the line of its first word: in text, comments and strings."""
    assert _words("One.\nThe run goes\non.") == [(2, "goes on")]
    assert _words('#: It goes\n#: on.\nx = f"it is "  f"told {x}"\n', ".py") == [(1, "goes on"), (3, "is told")]


def test_code_is_not_prose() -> None:
    """The check ignores names and SQL, and finds no phrase across code."""
    source = 'beside = whom("SELECT 1 WHERE x", "is", told)\n"told"\nanew: int\n'
    assert _words(source, ".py") == []


def test_a_finding_says_what_to_write(tmp_path: Path) -> None:
    """A finding has the file, the line, the words, what to write instead, and why."""
    files = _tree(tmp_path, {"docs/page.md": "Fine.\n\nAsk somebody.\n"})
    (complaint,) = check(files, tmp_path, Config(CONFIGURED.phrases), is_whole_tree=False)
    assert complaint.startswith('docs/page.md:3: "somebody": write the role')
    assert complaint.endswith("Nearly always stands for a role or a process that has a name.")


def test_exceptions_only_shrink(tmp_path: Path) -> None:
    """An exception excuses a file that is not clean, and is reported once that file is clean or gone."""
    files = _tree(
        tmp_path, {"core/a.py": "# anew\n", "core/b/c.py": "# anew\n", "bot/d.py": "", ".venv/e.py": "# anew\n"}
    )
    config = Config(CONFIGURED.phrases, ("core", "core/b/c.py", "bot", "gone.md"))
    assert [path.name for path in files] == ["d.py", "a.py", "c.py"]
    assert check(files, tmp_path, config, is_whole_tree=True) == [
        'tools/phrases.toml: remove the exception "bot" for phrases: it is clean, or does not exist.',
        'tools/phrases.toml: remove the exception "gone.md" for phrases: it is clean, or does not exist.',
    ]
    assert check(files, tmp_path, config, is_whole_tree=False) == []


@pytest.mark.parametrize(
    "code",
    [
        "it = 1",
        "it: int",
        "a, (b, *it) = c",
        "a[(it := 0)] += 1",
        "for it in a: pass",
        "async def f():\n    async with a as it: pass",
        "def f(a, *, it=None): pass",
        "f = lambda *it: a",
        "{a: b for a, it in c}",
        "try: pass\nexcept E as it: pass",
        "from a import b as it",
        "match a:\n    case [*it]: pass",
        "match a:\n    case {**it}: pass",
        "match a:\n    case A(b=it): pass",
    ],
)
def test_banned_names_are_found(code: str) -> None:
    """A banned name is found wherever code binds it."""
    assert [name for _, name in find_names(code, CONFIGURED.names)] == ["it"]


def test_other_names_are_left_alone() -> None:
    """Names that are read, attributes, keyword arguments at a call, parts of names, and prose are not found."""
    assert find_names('a.it = it\nf(it=1)\ncommit = its = "it"  # it\n', CONFIGURED.names) == []


def test_a_name_in_a_file_is_reported(tmp_path: Path) -> None:
    """A name has exceptions of its own, which only shrink too."""
    files = _tree(tmp_path, {"core/a.py": "a = 1\nfound = 2\n", "bot/b.py": "it = 1\n", "bot/c/d.py": ""})
    config = Config((), names=CONFIGURED.names, name_exceptions=("bot", "bot/c"))
    assert check(files, tmp_path, config, is_whole_tree=True) == [
        'core/a.py:2: the name "found": use the noun that it stands for, like "run" or "rows".',
        'tools/phrases.toml: remove the exception "bot/c" for names: it is clean, or does not exist.',
    ]


def test_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """The command accepts file names, as from pre-commit, and skips files other than Python and Markdown."""
    assert main([str(CONFIG), __file__]) == 0
    assert capsys.readouterr().out == ""
