"""Refuse phrases and variable names that our English does without: `python -m tools.phrases [FILE ...]`.

Without a file, the whole tree is checked. Reads the phrases, the names and the exceptions from `phrases.toml`, next to
this file. Phrases are looked for in prose: comments and strings of Python files, and Markdown outside of code. Names
are looked for wherever Python code binds one. Prints a line for each finding (`path:line: ...`) and exits with 1 if
there is one. For the whole tree, an exception that is no longer needed is a finding too, so that the list only shrinks.
"""

import ast
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIG = Path(__file__).with_name("phrases.toml")
SUFFIXES = (".py", ".md")

# Directories of other tools.
_GENERATED = frozenset({"build", "data", "node_modules"})
# Stands for code between two pieces of prose, so that no phrase is found across it.
_CODE = "\0"
# From Python 3.12 on, an f-string is several tokens: its quotes, and what is between its fields.
_STRINGS = frozenset(getattr(tokenize, name) for name in ("STRING", "FSTRING_MIDDLE") if hasattr(tokenize, name))
_MARKS = frozenset(getattr(tokenize, name) for name in ("FSTRING_START", "FSTRING_END") if hasattr(tokenize, name))
_QUOTES = re.compile(r"""^[a-zA-Z]*("{3}|'{3}|"|')|("{3}|'{3}|"|')$""")
_COMMENT_MARK = re.compile(r"^#+:?")
_MARKDOWN_CODE = re.compile(r"^(?P<fence>```+).*?^(?P=fence)[ \t]*$|(?P<tick>`+).+?(?P=tick)", re.DOTALL | re.MULTILINE)
_LINK_TARGET = re.compile(r"\]\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A banned phrase: what matches it, what to write instead, and why."""

    pattern: re.Pattern[str]
    use: str
    reason: str


@dataclass(frozen=True, slots=True)
class Config:
    """The banned phrases and names, and the paths that are excused. Paths are relative to the root.

    `exceptions` have phrases and `name_exceptions` have names that are still to be replaced; `quoting` quotes phrases.
    """

    phrases: tuple[Phrase, ...]
    exceptions: tuple[str, ...] = ()
    quoting: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    name_exceptions: tuple[str, ...] = ()


def load_config(path: Path = CONFIG) -> Config:
    """Read the configuration. Raises TOMLDecodeError, KeyError or re.error if the file is wrong."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    phrases = tuple(Phrase(_compile(entry["pattern"]), entry["use"], entry["reason"]) for entry in content["phrase"])
    exceptions = content["exceptions"]
    return Config(
        phrases,
        tuple(exceptions["paths"]),
        tuple(exceptions["quoting"]),
        frozenset(content["names"]["banned"]),
        tuple(content["names"]["exceptions"]),
    )


def _compile(pattern: str) -> re.Pattern[str]:
    """Whole words, in any case, with any white space between them."""
    return re.compile(rf"\b(?:{pattern})(?!\w)".replace(" ", r"\s+"), re.IGNORECASE)


def find_files(root: Path) -> Iterator[Path]:
    """Yield the files of a tree that are checked, in order, without hidden directories and virtual environments."""
    for path in sorted(root.iterdir()):
        if path.is_dir():
            is_foreign = path.name in _GENERATED or path.name.startswith(".") or (path / "pyvenv.cfg").exists()
            if not is_foreign and not path.is_symlink():
                yield from find_files(path)
        elif path.suffix in SUFFIXES:
            yield path


def find_phrases(text: str, suffix: str, phrases: Iterable[Phrase]) -> list[tuple[int, str, Phrase]]:
    """Return the banned phrases in a file's text, in order: line (from 1), the words in the text, and the phrase.

    `suffix` is the file's: ".py" or ".md". Raises tokenize.TokenError or SyntaxError if the Python can't be tokenized.
    """
    prose = _prose_of_python(text) if suffix == ".py" else _prose_of_markdown(text)
    matches = [(match, phrase) for phrase in phrases for match in phrase.pattern.finditer(prose)]
    matches.sort(key=lambda pair: pair[0].start())
    return [(prose.count("\n", 0, match.start()) + 1, " ".join(match[0].split()), phrase) for match, phrase in matches]


def _prose_of_python(source: str) -> str:
    """The source with everything but comments and strings made unreadable; each line keeps its number."""
    starts = [0]
    for line in source.split("\n"):  # only at these, as the tokenizer does
        starts.append(starts[-1] + len(line) + 1)
    prose = [character if character.isspace() else _CODE for character in source]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            words = _COMMENT_MARK.sub(_blank, token.string)
        elif token.type in _STRINGS:
            words = _QUOTES.sub(_blank, token.string)
        elif token.type in _MARKS:
            words = " " * len(token.string)
        else:
            continue
        begin = starts[token.start[0] - 1] + token.start[1]
        prose[begin : begin + len(words)] = words
    return "".join(prose)


def find_names(source: str, banned: Collection[str]) -> list[tuple[int, str]]:
    """Return the banned names that Python code binds, in order: line (from 1) and name.

    Assignments, loops, `with`, comprehensions, arguments, caught exceptions, imports and patterns bind names. A name
    that is only read, or that belongs to another object, is not one of them. Raises SyntaxError if it is not Python.
    """
    bindings = (binding for node in ast.walk(ast.parse(source)) if (binding := _binding(node)))
    return sorted((line, name) for line, name in bindings if name in banned)


def _binding(node: ast.AST) -> tuple[int, str] | None:
    match node:
        case (
            ast.Name(id=name, ctx=ast.Store())
            | ast.arg(arg=name)
            | ast.ExceptHandler(name=str(name))
            | ast.alias(asname=str(name))
            | ast.MatchAs(name=str(name))
            | ast.MatchStar(name=str(name))
        ):
            return node.lineno, name
        case ast.MatchMapping(rest=str(name)):
            return node.lineno, name
    return None


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _prose_of_markdown(source: str) -> str:
    """The text without code and without the targets of links; each line keeps its number."""
    for pattern in (_MARKDOWN_CODE, _LINK_TARGET):
        source = pattern.sub(lambda code: re.sub(r"\S", _CODE, code[0]), source)
    return source


def check(files: Iterable[Path], root: Path, config: Config, *, is_whole_tree: bool) -> list[str]:
    """Return a line for each phrase and each name in the files that are no exceptions.

    With `is_whole_tree` (the files are all that there are), also a line for each exception that is not needed.
    """
    complaints: list[str] = []
    phrase_exceptions = _Exceptions(config.exceptions)
    name_exceptions = _Exceptions(config.name_exceptions)
    for path in files:
        relative = path.relative_to(root)
        text = path.read_text(encoding="utf-8")
        if relative.as_posix() not in config.quoting:
            complaints += phrase_exceptions.filter(relative, _phrase_complaints(relative, text, config))
        if path.suffix == ".py":
            complaints += name_exceptions.filter(relative, _name_complaints(relative, text, config))
    if is_whole_tree:
        complaints += phrase_exceptions.unneeded("phrases") + name_exceptions.unneeded("names")
    return complaints


def _phrase_complaints(path: Path, text: str, config: Config) -> list[str]:
    return [
        f'{path.as_posix()}:{line}: "{words}": write {phrase.use}. {phrase.reason}'
        for line, words, phrase in find_phrases(text, path.suffix, config.phrases)
    ]


def _name_complaints(path: Path, text: str, config: Config) -> list[str]:
    return [
        f'{path.as_posix()}:{line}: the name "{name}": use the noun that it stands for, like "run" or "rows".'
        for line, name in find_names(text, config.names)
    ]


class _Exceptions:
    """Paths that are excused: files, and directories with the files directly in them."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = tuple(paths)
        self._needed: set[str] = set()

    def filter(self, path: Path, complaints: list[str]) -> list[str]:
        """Return the complaints about a file, or none if it is excused. Remembers that the exception is needed."""
        excused = {path.as_posix(), path.parent.as_posix()} & set(self._paths)
        if excused and complaints:
            self._needed |= excused
        return [] if excused else complaints

    def unneeded(self, kind: str) -> list[str]:
        """Return a complaint for each path that has excused nothing; `kind` is what the list is for."""
        return [
            f'tools/{CONFIG.name}: remove the exception "{path}" for {kind}: it is clean, or does not exist.'
            for path in self._paths
            if path not in self._needed
        ]


def main(names: Sequence[str]) -> int:
    """Check these files, or the whole tree. Returns the exit code."""
    files = [path for name in names if (path := Path(name).resolve()).suffix in SUFFIXES]
    complaints = check(files if names else find_files(ROOT), ROOT, load_config(), is_whole_tree=not names)
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
