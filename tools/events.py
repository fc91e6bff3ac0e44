"""Writes the JSON Schema of events, which webhooks carry: `python -m tools.events`."""

import json
from pathlib import Path
from typing import Any

from core.models import events

PATH = Path(__file__).parents[1] / "docs" / "reference" / "events.schema.json"


def schema() -> dict[str, Any]:
    """Return the schema."""
    return events.schema()


def schema_text() -> str:
    """Return the schema as the file has it."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    PATH.write_text(schema_text(), encoding="utf-8")
