"""Reads and writes YAML: a plain subset, in which each value is what it looks like.

Only `true`, `false` and `null` are words with a meaning, as in YAML 1.2 (yaml.org/spec/1.2.2, "Core Schema"): `no`,
`on` and `12:30` are texts. Anchors, aliases, tags and merge keys are refused: a file that repeats itself is easier to
review than one that refers to itself, and aliases can make a small file huge. PyYAML splits the file into events; it
builds no objects.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from core.configuration.problems import ConfigurationError, Problem

#: The largest file, in bytes: some thousand mappings.
MOST_BYTES = 1_000_000
_DEEPEST = 20

#: The place of a value: the keys and the numbers of list items that lead to it.
Path_ = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
# Whole numbers up to this one are written without an exponent.
_EXACT = 1e15
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(slots=True)
class Document:
    """The content of a YAML file, and the line of each key and list item (from 1)."""

    name: str
    content: Any
    lines: dict[Path_, int] = field(default_factory=dict)

    def line_of(self, place: Path_) -> int | None:
        """Return the line of a place, or of the nearest one that the file has around it."""
        known: Path_ = ()
        for part in place:  # parts that are not in the file are ours, such as the kind of a route
            known = (*known, part) if (*known, part) in self.lines else known
        return self.lines.get(known)


def read(path: Path) -> Document:
    """Read a YAML file. Raises ConfigurationError if it can't be read, or has what is not permitted."""
    return parse(_text(path), str(path))


def parse(text: str, name: str) -> Document:
    """Return the document in a text. `name` is the file's. Raises ConfigurationError."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C: ten times as fast, and not on every machine
    builder = _Builder(name)
    try:
        builder.build(yaml.parse(text, Loader=loader))
    except yaml.MarkedYAMLError as error:
        builder.problems.append(_syntax(error, text))
    except yaml.YAMLError:  # of the reader: it has no line
        builder.problems.append(_unprintable(text))
    if builder.problems:
        raise ConfigurationError(name, builder.problems)
    return builder.document


def write(content: Any) -> str:
    """Return content (dicts, lists and plain values) as YAML that `parse` reads back."""
    return yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=1_000_000
    )


def _text(path: Path) -> str:
    name = str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        message = f"The file can't be read ({error.strerror}). Check its path."
        raise ConfigurationError(name, [Problem(None, message)]) from error
    if len(raw) > MOST_BYTES:
        message = f"The file has more than {MOST_BYTES:,} bytes. Write what repeats itself once, or leave defaults out."
        raise ConfigurationError(name, [Problem(None, message)])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(name, [Problem(line, "The file is not UTF-8. Save it in that encoding.")]) from error


class _Builder:
    """Builds a document from events, and collects all that is not permitted."""

    def __init__(self, name: str) -> None:
        self.document = Document(name, None)
        self.problems: list[Problem] = []

    def build(self, events: Iterator[yaml.Event]) -> None:
        number = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                number += 1
                if number > 1:
                    self._refuse(event, "The file has a second document (after ---). Remove it.")
            elif isinstance(event, yaml.NodeEvent):
                content = self._value(event, events, ())
                self.document.content = content if number == 1 else self.document.content

    def _refuse(self, event: yaml.Event, message: str) -> None:
        self.problems.append(Problem(_line(event), message))

    def _value(self, event: yaml.Event, events: Iterator[yaml.Event], place: Path_) -> Any:
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, f"*{event.anchor} refers to another part of the file. Write the value out.")
            return None
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if anchor is not None:
            self._refuse(event, f"&{anchor} names a part of the file, which is not possible here. Remove it.")
        if tag is not None:
            self._refuse(event, f"The tag {tag[:60]} is not possible here. Remove it.")
        if len(place) > _DEEPEST:
            if len(place) == _DEEPEST + 1:
                self._refuse(event, "The values are nested too deeply here.")
            return self._skip(event, events)
        if isinstance(event, yaml.MappingStartEvent):
            return self._dict(events, place)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(events, place)
        return self._scalar(event) if isinstance(event, yaml.ScalarEvent) else None

    def _dict(self, events: Iterator[yaml.Event], place: Path_) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = str(event.value) if isinstance(event, yaml.ScalarEvent) else None
            if key is None or key == "<<":
                self._refuse(event, "A plain name has to be before the colon here. Write it out.")
                self._skip(event, events)
                self._skip(next(events), events)
                continue
            if _CONTROL.search(key):
                self._refuse(event, "There is a control character in this name. Remove it.")
            if key in content:
                first = self.document.lines[*place, key]
                self._refuse(event, f"`{key[:80]}` is in this block twice, first in line {first}. Remove one of them.")
            inner = (*place, key)
            self.document.lines.setdefault(inner, _line(event))
            content.setdefault(key, self._value(next(events), events, inner))
        return content

    def _list(self, events: Iterator[yaml.Event], place: Path_) -> list[Any]:
        content: list[Any] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            inner = (*place, len(content))
            self.document.lines[inner] = _line(event)
            content.append(self._value(event, events, inner))
        return content

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text = str(event.value)
        if not event.implicit[0]:  # in quotes, or a block of text
            if _CONTROL.search(text):  # for example \x1b: a terminal would obey it
                self._refuse(event, "There is a control character in this text. Remove it.")
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text) if len(text) <= 30 else text
        return float(text) if _NUMBER.fullmatch(text) else text

    def _skip(self, event: yaml.Event, events: Iterator[yaml.Event]) -> None:
        depth = int(isinstance(event, yaml.CollectionStartEvent))
        while depth:
            following = next(events)
            depth += isinstance(following, yaml.CollectionStartEvent) - isinstance(following, yaml.CollectionEndEvent)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1


def _syntax(error: yaml.MarkedYAMLError, text: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Problem(None, "The file is no YAML.")
    lines = text.splitlines() or [""]
    line = lines[min(mark.line, len(lines) - 1)]
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return Problem(mark.line + 1, "The line is indented with a tab, which YAML forbids. Use spaces.")
    context = (
        ""
        if error.context_mark is None or error.context_mark.line == mark.line
        else (f" (what begins in line {error.context_mark.line + 1} has no end)")
    )
    return Problem(
        mark.line + 1,
        f"This is no YAML: {error.problem}{context}. A text with : or # in it, or with one of {{}}[]&*!|>'\"%@ at its "
        "beginning, has to be in quotes.",
    )


def _unprintable(text: str) -> Problem:
    for number, line in enumerate(text.split("\n"), 1):
        if any(not each.isprintable() and each not in "\t\r\x85\ufeff" for each in line):
            return Problem(number, "There is a control character in this line. Remove it.")
    return Problem(None, "There is a character in the file that YAML forbids.")


class _Dumper(yaml.SafeDumper):
    """Writes texts in quotes if they would be read as something else."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # as PyYAML declares it

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal parts out."""
        return True

    def number(self, value: float) -> yaml.ScalarNode:
        """Write 5.0 as 5."""
        if value.is_integer() and abs(value) < _EXACT:
            return self.represent_scalar("tag:yaml.org,2002:int", str(int(value)))
        return self.represent_scalar("tag:yaml.org,2002:float", repr(value))


def _add_resolvers() -> None:
    signs, digits = list("-+"), list("0123456789")
    _Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(true|false)\Z"), list("tf"))
    _Dumper.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(null|~|)\Z"), ["n", "~", ""])
    _Dumper.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(_INTEGER.pattern + r"\Z"), signs + digits)
    _Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(_NUMBER.pattern + r"\Z"), signs + digits)

    _Dumper.add_representer(float, _Dumper.number)


_add_resolvers()
