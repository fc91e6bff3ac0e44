"""The JSON Schema of the configuration file, for editors."""

import json

from core.configuration.model import schema


def schema_text() -> str:
    """Return the schema as text, as it is published."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
