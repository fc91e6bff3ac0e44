"""Writes the JSON Schema of the configuration file: `python -m tools.configuration`."""

from pathlib import Path

from core.configuration.json_schema import schema_text

PATH = Path(__file__).parents[1] / "docs" / "reference" / "configuration.schema.json"

if __name__ == "__main__":
    PATH.write_text(schema_text(), encoding="utf-8")
