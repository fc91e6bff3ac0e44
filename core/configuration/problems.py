"""What is wrong with a configuration file: all of it at once, each with its line."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import InputError

# A longer list helps no one.
_MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong and what to do. `line` is counted from 1; None: it concerns the whole file."""

    line: int | None
    message: str


class ConfigurationError(InputError):
    """A configuration file can't be used. Nothing was changed. `problems` are in the order of their lines."""

    code = "bad_configuration"

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        ordered = sorted(dict.fromkeys(problems), key=lambda problem: (problem.line or 0, problem.message))
        self.problems = tuple(ordered)
        shown = [_text(name, problem) for problem in ordered[:_MOST_SHOWN]]
        if len(ordered) > _MOST_SHOWN:
            shown.append(f"{len(ordered) - _MOST_SHOWN:,} more problems are not shown.")
        super().__init__("\n".join(shown))


def _text(name: str, problem: Problem) -> str:
    return f"{name}: {problem.message}" if problem.line is None else f"{name}, line {problem.line}: {problem.message}"
