"""What the records of the log are about: ids that hold for a block of code, and for the tasks that it starts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_ids: ContextVar[Mapping[str, str]] = ContextVar("log_ids", default={})  # noqa: B039  # never changed, only replaced


@contextmanager
def log_ids(**ids: object) -> Iterator[None]:
    """Give the records that are logged in a block these ids, such as `run_id`, in addition to those of outer blocks."""
    token = _ids.set({**_ids.get(), **{name: str(value) for name, value in ids.items()}})
    try:
        yield
    finally:
        _ids.reset(token)


def present_ids() -> Mapping[str, str]:
    """Return the ids of the blocks that are being executed, by name."""
    return _ids.get()
