"""Errors have a sentence, say whether they are transient, and can be stored."""

import pickle

import pytest

from core.iterable import IterableError, UnavailableError


def kinds(parent: type[IterableError] = IterableError) -> list[type[IterableError]]:
    """All classes of errors."""
    return [parent] + [kind for child in parent.__subclasses__() for kind in kinds(child)]


@pytest.mark.parametrize("kind", kinds())
def test_message_is_a_sentence(kind: type[IterableError]) -> None:
    """Each class has a complete message that ends like a sentence."""
    error = kind(status=418, api_code="Teapot", list_id=7)
    assert error.message.endswith(".")
    assert "{" not in error.message
    assert "None" not in kind(list_id=7).message


@pytest.mark.parametrize("kind", kinds())
def test_error_survives_pickling(kind: type[IterableError]) -> None:
    """A stored error comes back unchanged."""
    error = kind(status=418, api_code="Teapot", list_id=7)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.message, vars(copy)) == (kind, error.message, vars(error))


def test_codes_are_distinct() -> None:
    """Each class has its own code."""
    codes = [kind.code for kind in kinds()]
    assert len(codes) == len(set(codes))


def test_transient_errors() -> None:
    """Exactly the errors that may recover by themselves are transient."""
    assert {kind.code for kind in kinds() if kind.is_transient} == {"unreachable", "unavailable", "throttled"}


def test_retry_after_is_kept() -> None:
    """The error has the wait that Iterable asks for."""
    assert UnavailableError(retry_after=3.0, status=503).retry_after == 3.0
