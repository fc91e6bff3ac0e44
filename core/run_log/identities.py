"""How the run log names people: as they are, by salted hashes, or not at all."""

import hashlib
from collections.abc import Callable, Iterable

from core.store.run_log import Identifiers

#: Writes the values of a column.
Writer = Callable[[Iterable[str | None]], list[str | None]]


def writer(identifiers: Identifiers, salt: str | None) -> Writer:
    """Return the function that writes identifiers."""
    if identifiers is Identifiers.RAW:
        return list
    if identifiers is Identifiers.NONE:
        return lambda values: [None for _ in values]
    assert salt is not None
    salted = hashlib.sha256(salt.encode())

    def hashed(values: Iterable[str | None]) -> list[str | None]:
        return [None if value is None else _digest(salted, value) for value in values]

    return hashed


def _digest(salted: "hashlib._Hash", value: str) -> str:
    digest = salted.copy()
    digest.update(value.encode())
    return digest.hexdigest()
