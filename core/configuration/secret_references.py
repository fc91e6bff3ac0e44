"""Secrets by reference: in environment variables (or `.env`), or in files."""

import os
import re
from collections.abc import Collection
from pathlib import Path

from dotenv import dotenv_values

from core.configuration.model import Reference
from core.settings import ENV_FILE

# A secret in a file has at most so many characters.
_MOST = 20_000


class SecretFinder:
    """Finds the secrets that a configuration file refers to."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of the configuration file: paths are relative to it. Reads `.env`."""
        self._folder = folder
        self._variables = dotenv_values(ENV_FILE) | dict(os.environ)

    def find(self, reference: Reference) -> str:
        """Return a secret. Raises ValueError with a sentence if it is not there. The sentence does not contain it."""
        if reference.env is not None:
            secret = (self._variables.get(reference.env) or "").strip()
            if not secret:
                raise ValueError(f"The environment variable {reference.env} is not set. Set it to the secret.")
            return secret
        path = self._folder / (reference.file or "")
        try:
            with path.open(encoding="utf-8-sig") as file:
                secret = file.read(_MOST + 1).strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ValueError(f"The file {reference.file} can't be read ({reason}). Check its path.") from None
        if not secret or len(secret) > _MOST:
            raise ValueError(f"The file {reference.file} is empty, or too long for a secret.")
        return secret


def placeholder(parts: Collection[str], used: set[str]) -> Reference:
    """Return a reference to a variable that is named after an object, and add the name to those that are used."""
    base = re.sub(r"[^A-Z0-9]+", "_", "_".join(parts).upper()).strip("_")
    name, number = base, 1
    while name in used:
        number += 1
        name = f"{base}_{number}"
    used.add(name)
    return Reference(env=name)
