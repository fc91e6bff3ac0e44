"""Spans of what a run does: the run, its planning, each batch, each request to Iterable.

The engine does not depend on OpenTelemetry. Without a tracer, a span costs a comparison. Attributes are ids, counts and
names of our own: never an address, a key, or the text of an error.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

#: What a span is about, and how it ended.
Attributes = dict[str, str | int]


class Tracer(Protocol):
    """Records spans. bot/telemetry.py has one for OpenTelemetry."""

    def span(
        self, name: str, attributes: Mapping[str, str | int], *, is_parent: bool
    ) -> AbstractContextManager[Attributes]:
        """Record a block. What the block puts into the mapping becomes attributes at its end.

        `is_parent`: spans that begin in the block, also in its tasks, are its children.
        """


class _Ignored(Attributes):
    def __setitem__(self, key: str, value: str | int) -> None:
        return


_NOTHING = nullcontext(_Ignored())
_tracers: list[Tracer] = []


@contextmanager
def traced_by(tracer: Tracer) -> Iterator[None]:
    """Record the spans of this process with a tracer for the length of the block."""
    _tracers.append(tracer)
    try:
        yield
    finally:
        _tracers.remove(tracer)


def span(name: str, *, is_parent: bool = True, **attributes: str | int) -> AbstractContextManager[Attributes]:
    """Record a block as a span. Yields a mapping for what is known at its end."""
    return _tracers[-1].span(name, attributes, is_parent=is_parent) if _tracers else _NOTHING
