"""Errors speak to a person, say whether they pass, and survive being stored."""

import pickle

import pytest

from core.iterable import IterableError, UnavailableError


def kinds(of: type[IterableError] = IterableError) -> list[type[IterableError]]:
    """All kinds of error."""
    return [of] + [kind for child in of.__subclasses__() for kind in kinds(child)]


@pytest.mark.parametrize("kind", kinds())
def test_message_is_a_sentence(kind: type[IterableError]) -> None:
    """Each kind has a message of its own that is complete, names the status and ends like a sentence."""
    error = kind(status=418, api_code="Teapot", list_id=7)
    assert error.message.endswith(".")
    assert "{" not in error.message
    assert "None" not in kind(list_id=7).message


@pytest.mark.parametrize("kind", kinds())
def test_error_survives_pickling(kind: type[IterableError]) -> None:
    """Errors are stored with their run, and come back whole."""
    error = kind(status=418, api_code="Teapot", list_id=7)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.message, vars(copy)) == (kind, error.message, vars(error))


def test_codes_are_distinct() -> None:
    """Programs can tell the kinds apart by their code."""
    codes = [kind.code for kind in kinds()]
    assert len(codes) == len(set(codes))


def test_only_faults_on_the_way_pass() -> None:
    """Exactly those that time may heal are marked as passing."""
    assert {kind.code for kind in kinds() if kind.is_transient} == {"unreachable", "unavailable", "throttled"}


def test_retry_after_is_kept() -> None:
    """What Iterable asks to wait is kept with the error."""
    assert UnavailableError(retry_after=3.0, status=503).retry_after == 3.0
