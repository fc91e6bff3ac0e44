"""Loads a configuration file: checked against the model, its parts against each other, and its secrets found."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from core.configuration import document
from core.configuration.document import Document
from core.configuration.items import Items, items_of
from core.configuration.model import KEY_PATTERN, VARIABLE_PATTERN, ConfigurationFile
from core.configuration.problems import ConfigurationError, Problem
from core.configuration.secret_references import SecretFinder
from core.configuration.snapshot import ENVIRONMENT_KEY, is_of_environment, split_name
from core.connections.manage import check_name
from core.errors import InputError
from core.settings.faults import describe

# What the patterns of the model ask for, in words.
_PATTERNS = {
    KEY_PATTERN: "must have lower-case letters, digits, - and _ only, at most 80",
    VARIABLE_PATTERN: "must be the name of an environment variable",
}
# How similar a name has to be to a known one to be suggested.
_SIMILAR = 0.6


@dataclass(slots=True)
class LoadedFile:
    """A configuration file without faults of its own, and its objects with their secrets."""

    document: Document
    file: ConfigurationFile
    items: Items

    def problem(self, place: tuple[str | int, ...], message: str) -> Problem:
        """Return what is wrong at a place of the file."""
        return Problem(self.document.line_of(place), message)

    def fail(self, problems: list[Problem]) -> None:
        """Raise ConfigurationError if there are problems."""
        if problems:
            raise ConfigurationError(self.document.name, problems)


def load(path: Path) -> LoadedFile:
    """Load a configuration file. Raises ConfigurationError with all that is wrong in it."""
    source = document.read(path)
    if source.content is None:
        raise ConfigurationError(source.name, [Problem(None, "The file is empty. It begins with: version: 1")])
    try:
        file = ConfigurationFile.model_validate(source.content)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        problems = [_problem(source, fault) for fault in faults]
        raise ConfigurationError(source.name, problems) from None
    loaded = LoadedFile(source, file, items_of(file))
    problems = [*_names(loaded), *_mappings(loaded), *_routes(loaded)]
    finder = SecretFinder(path.parent)
    for item in loaded.items.values():
        for setting, reference in item.references.items():
            try:
                item.secrets[setting] = finder.find(reference)
            except ValueError as error:
                problems.append(loaded.problem((*item.place, *setting.split(".", 1)), str(error)))
    loaded.fail(problems)
    return loaded


def _problem(source: Document, fault: ErrorDetails) -> Problem:
    place = tuple(fault["loc"])
    return Problem(source.line_of(place), _sentence(source, fault, place))


def _sentence(source: Document, fault: ErrorDetails, place: tuple[str | int, ...]) -> str:
    name, kind = _name(place), fault["type"]
    words = _PATTERNS.get(fault.get("ctx", {}).get("pattern", "")) or describe(fault)
    if kind == "extra_forbidden":
        return f"`{name}` is not a setting here.{_suggestion(place)}"
    if kind == "missing":
        return f"`{name}` is missing{_inside(source, place)}."
    if kind.startswith("union_tag"):
        return f"`{name}` needs a kind: webhook, pagerduty, email or slack."
    if name == "[key]":
        return f"`{_name(place[:-1])}` can't be a name here: it {words}."
    if kind == "value_error" and words.endswith("."):  # a sentence of a rule that is applied elsewhere, too
        return f"`{name}`: {words}"
    return f"`{name}` {words}."


def _name(place: tuple[str | int, ...]) -> str:
    """Return the name of a setting, with its number if it is an item of a list."""
    if not place:
        return "The file"
    last = place[-1]
    return f"{_name(place[:-1])}[{last}]" if isinstance(last, int) else str(last)[:80]


def _inside(source: Document, place: tuple[str | int, ...]) -> str:
    around = [part for number, part in enumerate(place[:-1]) if place[: number + 1] in source.lines]
    return f" in `{around[-1]}`" if around else ""


def _suggestion(place: tuple[str | int, ...]) -> str:
    """Return the known names here, or the one that was probably meant."""
    known = _known_names(place[:-1])
    similar = difflib.get_close_matches(str(place[-1]), known, 1, _SIMILAR)
    if similar:
        return f" Did you mean `{similar[0]}`?"
    return f" The settings are: {', '.join(known)}." if known else ""


@cache
def _known_names(place: tuple[str | int, ...]) -> list[str]:
    """Return the settings that the model has at a place."""
    part: Any = _schema()
    definitions = part["$defs"]
    for name in place:
        part = _resolved(part, definitions)
        if isinstance(name, int):
            part = part.get("items", {})
        elif name in part.get("properties", {}):
            part = part["properties"][name]
        elif "discriminator" in part:
            part = {"$ref": part["discriminator"]["mapping"].get(name, "")}
        else:
            patterns = part.get("patternProperties", {})
            part = next(iter(patterns.values()), part.get("additionalProperties", {}))
    return list(_resolved(part, definitions).get("properties", {}))


@cache
def _schema() -> dict[str, Any]:
    return ConfigurationFile.model_json_schema()


def _resolved(part: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(part, dict):
        return {}
    if "$ref" in part:
        return dict(definitions.get(part["$ref"].rpartition("/")[2], {}))
    for option in part.get("anyOf", ()):
        if "$ref" in option:
            return _resolved(option, definitions)
    return part


def _names(loaded: LoadedFile) -> Iterator[Problem]:
    """Check the names of connections, which the rules of the program restrict."""
    for name, connection in loaded.file.connections.items():
        place = ("connections", name)
        if is_of_environment(name):
            if connection.key.env != ENVIRONMENT_KEY:
                yield loaded.problem((*place, "key"), f"`{name}` always uses the key in {ENVIRONMENT_KEY}.")
            elif name != f"environment-{connection.data_center}":
                yield loaded.problem(place, f"`{name}` has another data center in its name than in data_center.")
            continue
        try:
            if check_name(split_name(name)[1]) != split_name(name)[1]:
                yield loaded.problem(place, f"`{name}` begins or ends with a blank. Remove it.")
        except InputError as error:
            yield loaded.problem(place, error.message)


def _mappings(loaded: LoadedFile) -> Iterator[Problem]:
    """Check the mappings of each connection against each other."""
    for name, connection in loaded.file.connections.items():
        schedules, targets = dict[str, str](), dict[tuple[Any, ...], str]()
        for key, mapping in connection.mappings.items():
            place = ("connections", name, "mappings", key)
            target = (mapping.list, mapping.new_list, (mapping.audience or "").casefold())
            if (other := targets.setdefault(target, key)) != key:
                yield loaded.problem(place, f"`{key}` has the audience and the list of `{other}`. Remove one of them.")
            for number, excluded in enumerate(mapping.exclude.mappings):
                if excluded == key or excluded not in connection.mappings:
                    what = "excludes itself" if excluded == key else f"excludes `{excluded}`, which is not here"
                    yield loaded.problem((*place, "exclude", "mappings", number), f"`{key}` {what}.")
            for schedule_name, schedule in mapping.schedules.items():
                at = (*place, "schedules", schedule_name)
                if (other := schedules.setdefault(schedule_name, key)) != key:
                    message = f'"{schedule_name}" is the name of a schedule of `{other}`, too. Choose another.'
                    yield loaded.problem(at, message)
                if schedule.after is not None and (schedule.after == key or schedule.after not in connection.mappings):
                    message = f"`{schedule.after}` is no other mapping of this connection."
                    yield loaded.problem((*at, "after"), message)
            if mapping.archived and (mapping.paused or mapping.schedules):
                yield loaded.problem((*place, "archived"), f"`{key}` is archived: leave out paused and schedules.")


def _routes(loaded: LoadedFile) -> Iterator[Problem]:
    for name, route in loaded.file.routes.items():
        if route.connection is not None and route.connection not in loaded.file.connections:
            message = f"There is no connection `{route.connection}` in this file."
            yield loaded.problem(("routes", name, "connection"), message)
        if not name.isprintable() or name != name.strip():
            yield loaded.problem(
                ("routes", name), "The name of a route has printable characters, and no blank at its ends."
            )
