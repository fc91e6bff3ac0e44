"""The record of what a configuration file set last, for each object that it manages.

It has digests of the settings, not the settings: a comparison shows what was changed by hand since. The digests are
keyed, because settings of routes contain passwords and addresses of people.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from core.configuration.model import Reference


class Record(BaseModel):
    """What the file set last. `key` is the key of a mapping; `references` are those of its secrets, by setting."""

    key: str = ""
    digests: dict[str, str] = {}
    references: dict[str, Reference] = {}

    @classmethod
    def load(cls, text: str | None) -> "Record | None":
        """Return the record in JSON, or None if no file manages the object."""
        return None if text is None else cls.model_validate_json(text)

    def dump(self) -> str:
        """Return the record as JSON."""
        return self.model_dump_json(exclude_defaults=True)


def digests_of(salt: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of settings (JSON values), by their names."""
    return {name: digest_of(salt, value) for name, value in settings.items()}


def digest_of(salt: str, value: Any) -> str:
    """Return the digest of a setting."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False).encode(errors="surrogatepass")
    return hmac.new(salt.encode(), text, hashlib.sha256).hexdigest()[:16]
