"""The reader of YAML: each value is what it looks like, and each fault has its line and a remedy."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.configuration import document
from core.configuration.loader import load
from core.configuration.problems import ConfigurationError
from tests.examples import examples

_SHOP = "version: 1\nconnections:\n  Shop:\n    key: {env: PATH}\n"
_MAPPING = f"{_SHOP}    mappings:\n      buyers:\n        list: 1001\n"

#: Texts, the lines of their faults, and words of each.
_FAULTS: list[tuple[str, list[int | None], str]] = [
    ("", [None], "The file is empty"),
    ("# nothing\n", [None], "The file is empty"),
    ("- 1\n", [None], "must have settings"),
    ("version: 2\n", [1], "`version` must be 1"),
    ("version: 1\nconnections:\n\t- a\n", [3], "indented with a tab"),
    ("version: 1\na: 'x\n", [3], "This is no YAML"),
    ("version: 1\na: b: c\n", [2], "has to be in quotes"),
    ("version: 1\nversion: 1\n", [2], "is in this block twice, first in line 1"),
    ("version: 1\n---\nversion: 1\n", [2], "a second document"),
    ("version: &one 1\nroutes: *one\n", [1, 2], "names a part of the file"),
    ("version: !!int '1'\n", [1], "The tag"),
    ("version: 1\n<<: {a: 1}\n", [2], "plain name"),
    ("version: 1\n? [a, b]\n: 1\n", [2], "plain name"),
    ("version: 1\na: \x07\n", [2], "control character"),
    ('version: 1\na: "\\x1b[31m"\n', [2], "control character"),
    ("version: 1\nroutes: " + "[" * 60 + "]" * 60, [2], "nested too deeply"),
    (f"{_SHOP}    aprovers: [U0ANA]\n    rate: no\n", [5, 6], "Did you mean `approvers`?"),
    (f"{_SHOP}    rate: 5000\n    alert_rules: {{drift: false}}\n", [5, 6], "A rate is 0.1 to 1,000"),
    (f"{_SHOP}    key: {{}}\n", [5], "twice"),
    (_SHOP.replace("{env: PATH}", "{env: NOT_SET_ANYWHERE}"), [4], "NOT_SET_ANYWHERE is not set"),
    (_SHOP.replace("{env: PATH}", "{file: missing}"), [4], "missing can't be read (No such file"),
    (_SHOP.replace("{env: PATH}", "abc"), [4], "must have settings"),
    (_SHOP.replace("{env: PATH}", "{env: A, file: b}"), [4], "needs either env"),
    (_SHOP.replace("Shop", "environment-us"), [4], "always uses the key in ITERABLE_API_KEY"),
    (f"{_MAPPING}        new_list: A\n", [6], "needs either list"),
    (f"{_MAPPING}        list: 12\n", [8], "twice"),
    (f"{_MAPPING}        mode: mirrored\n        channel: '#general'\n", [8, 9], "'auto', 'mirror', 'delta' or 'add'"),
    (f"{_MAPPING}        name: 12\n", [8], "put it in quotes"),
    (f"{_MAPPING}        fields: {{a: email}}\n", [8], "Iterable maintains itself"),
    (f"{_MAPPING}        exclude: {{mappings: [buyers, no]}}\n", [8], "excludes itself"),
    (f"{_MAPPING}        schedules: {{a: {{cron: '* * *'}}}}\n", [8], "five fields"),
    (f"{_MAPPING}        source: {{address: 's3://u:p@b/x'}}\n", [8], "Use address_from"),
    (f"{_MAPPING}      Other Key: {{list: 1}}\n", [8], "lower-case letters"),
    ("version: 1\nroutes: {a: {kind: pigeon}}\n", [2], "needs a kind"),
    ("version: 1\nroutes: {a: {kind: slack, channel: C0A, connection: X}}\n", [2], "no connection `X`"),
]


@pytest.mark.parametrize(("text", "lines", "words"), _FAULTS, ids=[str(number) for number in range(len(_FAULTS))])
def test_faults(tmp_path: Path, text: str, lines: list[int | None], words: str) -> None:
    """All faults are reported at once, each with its line; none has a secret in it."""
    path = tmp_path / "sync.yml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        load(path)
    assert sorted({problem.line for problem in raised.value.problems}, key=str) == lines, raised.value.message
    assert words in raised.value.message


def test_files(tmp_path: Path) -> None:
    """A file that is missing, too large, or in another encoding is refused at once; a BOM is no fault."""
    path = tmp_path / "sync.yml"
    for content, words in (
        (None, "No such file"),
        (b"a: " + b"x" * 2_000_000, "more than 1,000,000 bytes"),
        ("version: 1\na: \xe4".encode("latin-1"), "line 2: The file is not UTF-8"),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=words):
            load(path)
    path.write_bytes(b"\xef\xbb\xbfversion: 1\r\n")
    assert load(path).file.version == 1


def test_many_faults(tmp_path: Path) -> None:
    """A thousand faults make a short message."""
    path = tmp_path / "sync.yml"
    path.write_text("version: 1\n" + "".join(f"x{number}: 1\n" for number in range(1_000)))
    with pytest.raises(ConfigurationError, match="950 more problems are not shown") as raised:
        load(path)
    assert len(raised.value.message) < 10_000


_SCALARS = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
_TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("\n\t:#-'\"{}[]&*!|>%@`"))
_VALUES = st.recursive(
    _SCALARS | _TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3)
)


@settings(max_examples=examples(60))
@given(st.dictionaries(_TEXTS.filter(lambda text: text != "<<"), _VALUES, max_size=4))
def test_round_trip(content: dict[str, Any]) -> None:
    """What is written is read back."""
    assert document.parse(document.write(content), "x").content == content


@given(st.text(st.sampled_from("ab:-#[]{}&*!|>'\"%@,?<~ \t\n1.\r\x85\u2028\ufeff\x00")))
def test_any_text(text: str) -> None:
    """Any text is read, or refused with a sentence."""
    with contextlib.suppress(ConfigurationError):
        document.parse(text, "x")
